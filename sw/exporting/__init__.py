"""Integer graphs for other tools: ONNX, packed arrays, C."""
