"""Models from elsewhere: ONNX files, read without trust and turned into integer graphs."""
