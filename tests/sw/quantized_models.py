"""QDQ models with scales that are powers of two."""

import numpy as np
from onnx_models import make_model

__all__ = ["qdq_model", "quantized", "stored", "weights"]


def quantized(given_name, name, scale, zero_point, dtype):
    """Nodes that quantize a tensor and bring it back, and their constants."""
    names = [f"{name}_scale", f"{name}_zero"]
    return (
        [("QuantizeLinear", [given_name, *names], [f"{name}_q"]),
         ("DequantizeLinear", [f"{name}_q", *names], [name])],
        {names[0]: np.float32(scale), names[1]: np.array(zero_point, dtype)},
    )  # fmt: skip


def stored(name, codes, scale, axis=0):
    """A node that gives weights, and its constants."""
    scale = np.broadcast_to(np.float32(scale), codes.shape[axis])
    constants = {f"{name}_q": codes, f"{name}_s": scale, f"{name}_z": np.zeros(len(scale), np.int8)}
    return [("DequantizeLinear", list(constants), [name], {"axis": axis})], constants


def qdq_model(*, signed=True, seed=0, scales=(0.5, 0.25, 2.0), residual=False):
    """Two convolutions and a fully connected layer, their scales powers of two."""
    rng = np.random.default_rng(seed)
    dtype, middle, low = (np.int8, -5, -128) if signed else (np.uint8, 120, 0)
    adding = ("Add", ["c", "b"], ["t"]) if residual else ("Identity", ["c"], ["t"])
    parts = [
        quantized("x", "a", scales[0], middle, dtype),
        stored("w", weights(rng, 4, 3, 3, 3), 2.0 ** -rng.integers(4, 7, 4)),
        [("Conv", ["a", "w", "bias"], ["p"], {"pads": [1, 1, 1, 1]}), ("Relu", ["p"], ["r"])],
        quantized("r", "b", scales[1], low, dtype),
        stored("v", weights(rng, 4, 4, 1, 1), 2.0**-7),
        [("Conv", ["b", "v"], ["c"]), adding],
        quantized("t", "d", scales[2], middle, dtype),
        stored("u", weights(rng, 100, 5), 2.0**-6, 1),
        [("Flatten", ["d"], ["f"]), ("MatMul", ["f", "u"], ["y"])],
    ]
    nodes, constants = [], {"bias": np.float32(rng.integers(-64, 64, 4)) / 32}
    for part in parts:
        own, more = part if isinstance(part, tuple) else (part, {})
        nodes += own
        constants |= more
    return make_model(nodes, (3, 5, 5), constants=constants, opset=21)


def weights(rng, *shape):
    return rng.integers(-127, 128, shape).astype(np.int8)
