"""Models that others made: imported, run in golden over whole test sets, beside ONNX Runtime.

    python benchmarks/imports.py --models DIR --data DIR [--only NAME] [--simulate N]

Models and data are those that README.md names. Accuracy is that of integer arithmetic; agreement is
the share of inputs with the runtime's label. With --simulate, N inputs run through the simulated
accelerator instead, at every width, and every code is compared with golden. What is found is kept
in docs/imports.json, model by model, and shown by docs/imports.md.
"""

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

import numpy as np
import onnx
import onnxruntime
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.transformation.infer_shapes import InferShapes

from downshift.hw.table_config import TableConfig
from downshift.sim import golden
from downshift.sim.cosimulation import cosimulate
from downshift.sw.atomic_write import write_atomically
from downshift.sw.graph.integer_graph import IntegerGraph
from downshift.sw.importing.importer import import_graph, in_map_order, open_model, whole_network
from downshift.sw.importing.onnx_file import read_onnx
from downshift.sw.importing.quantize import input_codes
from downshift.sw.importing.real_layer import RealNetwork

RESULTS = Path(__file__).parent.parent / "docs" / "imports.json"
REPORT = """# Models of others

Written by `python benchmarks/imports.py` from `imports.json` beside it: files that other tools
wrote, imported as they are. Quantized files keep their numbers at their own width; other widths,
and files in float, are quantized by 512 inputs of the training part. Accuracy is golden's on whole
test parts; agreement is with the labels that ONNX Runtime (of QONNX files: the `qonnx` package, on
the first 500) gives for the same inputs. Where there are no labels, it is what 100 random inputs
give, code by code.

| model | runtime | agreement | 8 bit | 6 bit | 4 bit | 2 bit |
|---|---|---|---|---|---|---|"""
SIMULATED = """On the simulated accelerator (`--simulate 8`): codes and logits of 8 inputs that
differ from golden's, and cycles of a frame.

| model | 8 bit | 6 bit | 4 bit | 2 bit |
|---|---|---|---|---|"""
WIDTHS = (8, 6, 4, 2)
CALIBRATION = 512


@dataclass(frozen=True, kw_only=True)
class Case:
    """A model and what it is judged with."""

    file: str
    data: str
    """Name of a data set, or "random" for numbers in the range of the input's codes."""
    runtime_most: int | None = None
    """Inputs that the runtime judges; by default all."""


CASES = (
    Case(file="resnet8_int8_qdq", data="cifar10"),
    Case(file="resnet8_fp32", data="cifar10"),
    Case(file="dscnn_kws_int8_qdq", data="keywords"),
    Case(file="dscnn_kws_fp32", data="keywords"),
    Case(file="mobilenetv1_025_vww_int8_qdq", data="random"),
    Case(file="toycar_ae_int8_qdq", data="random"),
    Case(file="onnxzoo_mnist8_fp32", data="mnist"),
    Case(file="qonnx_TFC_2W2A", data="mnist of 0 to 1", runtime_most=500),
)


def load(data: str, folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Inputs to calibrate with, inputs to judge by, and labels of these."""
    if data == "keywords":
        with np.load(folder / "speech_commands_mfcc.npz") as archive:
            scale, zero = float(archive["scale"]), float(archive["zero_point"])
            real = {
                name: (archive[name].astype(np.float32) - zero) * scale
                for name in ("words4_x", "test12_x")
            }
            kept = archive["words4_split"] == 0
            calibration = real["words4_x"][kept][:CALIBRATION, ..., None]
            return calibration, real["test12_x"][..., None], archive["test12_y"]
    with np.load(folder / f"{data.split()[0]}.npz") as archive:
        train, test = archive["train_x"][:CALIBRATION], archive["test_x"]
        labels = archive["test_y"].reshape(-1)
    if data.startswith("mnist"):
        train, test = train[:, None], test[:, None]
        if data == "mnist":
            return train, test, labels
        return train / 255, test / 255, labels
    return train, test, labels


def of_runtime(path: Path, x: np.ndarray) -> np.ndarray:
    """What ONNX Runtime, or qonnx, gives, (n, …), for real inputs in the file's order."""
    if path.name.startswith("qonnx"):
        return of_qonnx(path, x.astype(np.float32))
    session = onnxruntime.InferenceSession(str(path))
    entry = session.get_inputs()[0]
    model = read_onnx(path)
    if model.input_offset is not None:
        codes = whole_network(open_model(path)).input_codes
        whole = np.rint(x / codes.scale) + codes.zero_point - model.input_offset
        x = whole.astype(np.int8 if model.input_offset else np.uint8)
    else:
        x = x.astype(np.float32)
    fixed = entry.shape[0] == 1
    parts = [x[i : i + (1 if fixed else 500)] for i in range(0, len(x), 1 if fixed else 500)]
    return np.concatenate([session.run(None, {entry.name: part})[0] for part in parts])


def of_qonnx(path: Path, x: np.ndarray) -> np.ndarray:
    """What the qonnx package gives; its runtime does not read what it writes by default."""
    session = onnxruntime.InferenceSession

    def older(content, *arguments, **options):
        model = onnx.load_model_from_string(content)
        model.ir_version = 10
        return session(model.SerializeToString(), *arguments, **options)

    model = ModelWrapper(str(path)).transform(InferShapes())
    (entry,), (leaving,) = model.graph.input, model.graph.output
    with mock.patch.object(onnxruntime, "InferenceSession", older):
        rows = [execute_onnx(model, {entry.name: row[None]})[leaving.name] for row in x]
    return np.concatenate(rows)


def judged(case: Case, models: Path, data: Path) -> dict:
    """Everything about one model but its simulation."""
    path = models / f"{case.file}.onnx"
    start = time.perf_counter()
    network = whole_network(open_model(path))
    result: dict = {}
    if case.data == "random":
        return _codes(path, network)
    graph, inputs, labels = imported(case, path, data)
    result["import_s"] = round(time.perf_counter() - start, 2)
    most = case.runtime_most or len(inputs)
    given = of_runtime(path, inputs[:most]).reshape(most, -1)
    runtime = given.argmax(axis=1)
    result["runtime"] = float((runtime == labels[:most]).mean())
    codes = input_codes(graph, in_map_order(network, inputs))
    for width in graph.widths:
        logits = golden.run(graph, codes, width, keep_codes=False).logits
        found = labels_of(network, logits, graph, width)
        if path.name.startswith("qonnx"):
            # Sums of products of codes: whole numbers of steps, and less than one from its bias.
            steps = np.rint(given / graph.logit_scales[width])
            result["equal_logits"] = float(
                (steps == logits.reshape(-1, len(given[0]))[:most]).mean()
            )
        result[f"accuracy_{width}"] = float((found == labels).mean())
        result[f"agreement_{width}"] = float((found[:most] == runtime).mean())
    return result


def imported(
    case: Case, path: Path, data: Path
) -> tuple[IntegerGraph, np.ndarray, np.ndarray | None]:
    """The graph, at all widths where there is data to calibrate with; inputs, and their labels."""
    network = whole_network(open_model(path))
    if case.data == "random":
        return import_graph(path), random_inputs(network), None
    calibration, inputs, labels = load(case.data, data)
    top = max(layer.stored.width if layer.stored else 8 for layer in network.layers)
    widths = [width for width in WIDTHS if width <= top]
    graph = import_graph(path, calibration=calibration, assignments={w: w for w in widths})
    return graph, inputs, labels


def random_inputs(network: RealNetwork) -> np.ndarray:
    """100 inputs, anywhere in the range of the codes that the file gives them."""
    rng, codes = np.random.default_rng(0), network.input_codes
    numbers = rng.integers(0, 256, (100, *network.given.values()))
    return (numbers - codes.zero_point) * codes.scale


def labels_of(network, logits: np.ndarray, graph, width: int) -> np.ndarray:
    """Labels as the file gives them: where it quantizes its logits, the first of equal codes."""
    if network.output_codes is None:
        return logits.argmax(axis=1)
    return _output_codes(network, logits * graph.logit_scales[width]).argmax(axis=1)


def _output_codes(network, real: np.ndarray) -> np.ndarray:
    """What the file quantizes its logits to."""
    last = network.output_codes
    return np.clip(np.rint(real / last.scale) + last.zero_point, 0, (1 << last.width) - 1)


def _codes(path: Path, network: RealNetwork) -> dict:
    """Output codes beside those of the runtime, on 100 random inputs in range."""
    graph, real = import_graph(path), random_inputs(network)
    wanted = of_runtime(path, real).reshape(100, -1).astype(int)
    entering = input_codes(graph, in_map_order(network, real))
    width = graph.widths[0]
    logits = golden.run(graph, entering, width, keep_codes=False).logits * graph.logit_scales[width]
    last = network.output_codes
    found = _output_codes(network, logits) - 128
    if any(node.op_type == "Softmax" for node in onnx.load(path).graph.node):
        # The file gives shares, as codes of 1 / 256.
        powers = np.exp((found - found.max(axis=1, keepdims=True)) * last.scale)
        shares = powers / powers.sum(axis=1, keepdims=True)
        found = np.clip(np.rint(shares * 256) - 128, -128, 127)
    away = np.abs(found - wanted)
    return {"largest_difference": int(away.max()), "equal_codes": float((away == 0).mean())}


def simulated(case: Case, models: Path, data: Path, count: int) -> dict:
    """Mismatches and cycles of the simulated accelerator, by width."""
    path = models / f"{case.file}.onnx"
    graph, inputs, _ = imported(case, path, data)
    network = whole_network(open_model(path))
    codes = input_codes(graph, in_map_order(network, inputs[:count]))
    config = TableConfig(multiplier_width=graph.multiplier_width)
    with TemporaryDirectory() as folder:
        reports = cosimulate(graph, config, codes, Path(folder), widths=graph.widths)
    return {
        "simulated": {
            str(width): {"mismatches": each["mismatches"], "codes": each["codes_compared"],
                    "cycles": each["cycles_per_image"]}
            for width, each in reports.items()
        },
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only")
    parser.add_argument("--simulate", type=int, default=0)
    arguments = parser.parse_args()
    for case in CASES:
        if arguments.only in (None, case.file):
            given = case, arguments.models, arguments.data
            count = arguments.simulate
            found = simulated(*given, count) if count else judged(*given)
            print(json.dumps({"model": case.file, **found}), flush=True)
            keep(case.file, found)


def keep(model: str, found: dict) -> None:
    """Add to what was found before, and write it down for people."""
    kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    kept.setdefault(model, {}).update(found)
    write_atomically(RESULTS, (json.dumps(kept, indent=1, sort_keys=True) + "\n").encode())
    named = [(case.file, kept[case.file]) for case in CASES if case.file in kept]
    lines = [REPORT, *(_row(name, entry) for name, entry in named), "", SIMULATED]
    lines += [_simulated_row(name, entry) for name, entry in named if "simulated" in entry]
    write_atomically(RESULTS.with_suffix(".md"), ("\n".join(lines) + "\n").encode())


def _row(name: str, entry: dict) -> str:
    if "runtime" not in entry:
        largest, equal = entry.get("largest_difference", "–"), entry.get("equal_codes", 0)
        found = f"{equal:.3%} of the codes equal, the others {largest} off"
        return f"| {name} | – | {found} | – | – | – | – |"
    widths = [
        "–" if f"accuracy_{width}" not in entry else f"{entry[f'accuracy_{width}']:.2%}"
        for width in WIDTHS
    ]
    top = max(width for width in WIDTHS if f"accuracy_{width}" in entry)
    agreement = f"{entry[f'agreement_{top}']:.2%}"
    if "equal_logits" in entry:
        agreement += f", of the logits {entry['equal_logits']:.2%}"
    return f"| {name} | {entry['runtime']:.2%} | {agreement} | {' | '.join(widths)} |"


def _simulated_row(name: str, entry: dict) -> str:
    cells = [
        f"{each['mismatches']} of {each['codes']:,}; {each['cycles']:,}"
        if (each := entry["simulated"].get(str(width)))
        else "–"
        for width in WIDTHS
    ]
    return f"| {name} | {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
