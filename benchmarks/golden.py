"""The golden model's speed, beside ONNX Runtime's on the same quantized file.

    python benchmarks/golden.py --model resnet8_int8_qdq.onnx [--images N] [--rounds N] [--json]

Inputs are random codes. Both take turns, a part of the images at a time, so that whatever else the
machine does slows both; each uses all cores.
"""

import argparse
import json
import os
import time
from pathlib import Path

import numpy as np
import onnxruntime

from downshift.sim import golden
from downshift.sw.importing.importer import import_graph, in_map_order, open_model, whole_network
from downshift.sw.importing.onnx_file import read_onnx
from downshift.sw.importing.quantize import input_codes


def entering(path: Path, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Random inputs as the file takes them, and their real numbers."""
    model, network = read_onnx(path), whole_network(open_model(path))
    codes, shape = network.input_codes, tuple(network.given.values())
    whole = np.random.default_rng(0).integers(0, 256, (count, *shape))
    real = ((whole - codes.zero_point) * codes.scale).astype(np.float32)
    if model.input_offset is None:
        return real, real
    return (whole - model.input_offset).astype(np.int8 if model.input_offset else np.uint8), real


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True, help="ONNX file, quantized")
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=10, help="parts of the images")
    parser.add_argument("--json", action="store_true", help="print JSON for machines")
    arguments = parser.parse_args()
    given, real = entering(arguments.model, arguments.images)
    graph = import_graph(arguments.model)
    network = whole_network(open_model(arguments.model))
    codes = input_codes(graph, in_map_order(network, real))
    session = onnxruntime.InferenceSession(str(arguments.model))
    entry = session.get_inputs()[0]
    step = entry.shape[0] if isinstance(entry.shape[0], int) else 500

    def runtime(part: slice) -> None:
        for first in range(part.start, part.stop, step):
            session.run(None, {entry.name: given[first : min(first + step, part.stop)]})

    def ours(part: slice) -> None:
        golden.run(graph, codes[part], graph.widths[0], keep_codes=False)

    runtime(slice(0, step)), ours(slice(0, 8))
    seconds = {"golden": 0.0, "runtime": 0.0}
    size = -(-arguments.images // arguments.rounds)
    for first in range(0, arguments.images, size):
        part = slice(first, min(first + size, arguments.images))
        for name, work in (("golden", ours), ("runtime", runtime)):
            start = time.perf_counter()
            work(part)
            seconds[name] += time.perf_counter() - start
    report = {
        "model": graph.name,
        "images": arguments.images,
        "cores": os.cpu_count(),
        "seconds": seconds,
        "speed_ratio": seconds["runtime"] / seconds["golden"],
    }
    if arguments.json:
        print(json.dumps(report, indent=2))
        return
    print(f"{graph.name}, {arguments.images:,} images, {report['cores']} cores:")
    print(f"  golden {seconds['golden']:.1f} s, ONNX Runtime {seconds['runtime']:.1f} s")
    print(f"  golden runs at {report['speed_ratio']:.2f} of its speed")


if __name__ == "__main__":
    main()
