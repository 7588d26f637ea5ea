"""Measured frames: cycles in simulation, whole and layer by layer, all values against golden."""

import contextlib
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from downshift.sim import golden, layer_programs
from downshift.sim.cached_simulator import cached_simulation, simulator_key
from downshift.sim.cosimulation import Progress, watched
from downshift.sw.compile.image import Image
from downshift.sw.device.driver import Accelerator
from downshift.sw.device.frame_result import FrameCounters
from downshift.sw.graph.integer_graph import INPUT, IntegerGraph
from downshift.sw.result_cache import ResultCache, digest, source_digest

__all__ = ["MeasuredFrame", "MeasuredLayer", "measure", "random_input", "run_layers"]


RUNS_BY = (
    "downshift.sim.measure", "downshift.sim.layer_programs", "downshift.sim.bench",
    "downshift.sim.job",
    "downshift.sw.device.driver", "downshift.sw.device.frame_result",
)  # fmt: skip
"""Modules that have a say in what the accelerator is asked."""
MALFORMED = (EOFError, KeyError, OSError, RecursionError, TypeError, ValueError, zipfile.BadZipFile)


@dataclass(frozen=True, kw_only=True)
class MeasuredLayer:
    """A layer that ran alone, on the maps that those before it had left."""

    counters: FrameCounters
    compared: int
    """Values of its map that were compared with golden."""
    mismatches: int


@dataclass(frozen=True, kw_only=True)
class MeasuredFrame:
    """A frame at one width."""

    counters: FrameCounters
    bytes_sent: int
    """Over the link: the input and what asks for the frame and its logits, framing included."""
    bytes_received: int
    compared: int
    """Logits that were compared with golden."""
    mismatches: int
    layers: Mapping[str, MeasuredLayer]


def random_input(graph: IntegerGraph, width: int, seed: int = 0) -> np.ndarray:
    """Draw an input evenly from all codes: uint8, (height, width, channels)."""
    bits, _ = graph.codes_of(INPUT, width)
    rng = np.random.default_rng([seed, width])
    return rng.integers(0, 1 << bits, graph.input_shape).astype(np.uint8)


def measure(
    graph: IntegerGraph,
    images: Mapping[int, Image],
    folder: Path,
    cache: ResultCache,
    progress: Progress = lambda *_: None,
) -> dict[int, MeasuredFrame]:
    """Run a frame at every width on a simulated accelerator, through its host link.

    After the whole frame, its layers run one by one, and the map of each is read before another
    takes its place.

    Parameters
    ----------
    graph : IntegerGraph
    images : mapping of int to Image
        By width, compiled from `graph` for one configuration; widths may share an image.
    folder : Path
        For the simulator and its files.
    cache : ResultCache
        Holds simulators, and what they gave.
    progress : callable

    Raises
    ------
    DownshiftError
        If a tool is missing, or the simulation fails.
    """
    inputs = {width: random_input(graph, width) for width in images}
    shared: dict[int, tuple[Image, list[int]]] = {}
    for width, image in images.items():
        shared.setdefault(id(image), (image, []))[1].append(width)
    groups = list(shared.values())
    content = [(image.to_bytes(), json.dumps(widths)) for image, widths in groups]
    content = [part for parts in content for part in parts]
    (config,) = {image.config for image in images.values()}
    key = digest(
        simulator_key(config), source_digest(*RUNS_BY),
        *content, *(x.tobytes() for x in inputs.values()),
    )  # fmt: skip
    kept = cache.get("frames", key)
    if kept is not None:
        # What does not hold the values of these frames is as good as nothing.
        with contextlib.suppress(*MALFORMED):
            return _frames(graph, inputs, *_unpacked(kept))
    progress("simulator", None, None, "Verilator compiles the accelerator, unless it is kept")
    simulation = cached_simulation(config, folder / "simulator", cache)
    progress("simulator", 1, 1, "")
    for number, (image, widths) in enumerate(groups):
        (folder / f"{number}.img").write_bytes(image.to_bytes())
        named: dict[str, Any] = {str(width): inputs[width] for width in widths}
        np.savez(folder / f"{number}.npz", **named)
    counter = folder / "layers"
    total = len(images) * (1 + len(graph.layers))
    with watched(counter, lambda done: progress("simulate", done, total, "frames and layers")):
        counters = simulation.run(
            "downshift.sim.measure:run_layers",
            {"folder": str(folder.resolve()), "progress": str(counter.resolve())},
            folder / "run",
        )
    progress("simulate", total, total, "")
    with np.load(folder / "out.npz") as loaded:
        outputs = dict(loaded)
    cache.put("frames", key, _packed(counters, outputs))
    return _frames(graph, inputs, counters, outputs)


def run_layers(accelerator: Accelerator, *, folder: str, progress: str) -> dict[str, Any]:
    """Run frames and their layers; called in the simulator.

    Parameters
    ----------
    accelerator : Accelerator
    folder : str
        For each image n, reads ``n.img`` and inputs by width from ``n.npz``; writes ``out.npz``:
        logits by width, and maps by "width/layer".
    progress : str
        File that always holds the number of frames and layers run so far.

    Returns
    -------
    dict
        Counters by width.
    """
    link = accelerator.link.transport = _CountedLink(accelerator.link.transport)
    frames: dict[str, Any] = {}
    kept: dict[str, Any] = {}

    def note():
        done = sum(1 + len(frame["layers"]) for frame in frames.values())
        Path(progress).write_text(str(done))

    for number in range(len(list(Path(folder).glob("*.img")))):
        image = Image.load(Path(folder) / f"{number}.img")
        accelerator.load(image)
        with np.load(Path(folder) / f"{number}.npz") as inputs:
            codes = {int(width): inputs[width] for width in inputs}
        for width, x in codes.items():
            link.sent = link.received = 0
            result = accelerator.run(x, width)
            kept[f"{width}"] = result.logits
            frames[f"{width}"] = {
                "counters": asdict(result.counters),
                "bytes_sent": link.sent, "bytes_received": link.received, "layers": {},
            }  # fmt: skip
            note()
        for width, x in codes.items():
            for name, counters in layer_programs.run_layers(accelerator, image, width, x):
                frames[f"{width}"]["layers"][name] = asdict(counters)
                kept[f"{width}/{name}"] = accelerator.read_map(name, width)
                note()
    np.savez(Path(folder) / "out.npz", **kept)
    return frames


class _CountedLink:
    """A transport that counts bytes both ways."""

    def __init__(self, transport):
        self.transport = transport
        self.sent = self.received = 0

    def write(self, content: bytes) -> None:
        self.sent += len(content)
        self.transport.write(content)

    def read(self) -> bytes:
        content = self.transport.read()
        self.received += len(content)
        return content

    def drain(self) -> None:
        self.transport.drain()


def _frames(
    graph: IntegerGraph,
    inputs: Mapping[int, np.ndarray],
    counters: dict[str, Any],
    outputs: Mapping[str, np.ndarray],
) -> dict[int, MeasuredFrame]:
    return {
        width: _compared(graph, width, x, counters[str(width)], outputs)
        for width, x in inputs.items()
    }


def _compared(
    graph: IntegerGraph, width: int, x: np.ndarray, frame: dict, outputs: Mapping[str, np.ndarray]
) -> MeasuredFrame:
    """What a frame took, and how many of its values differ from golden."""
    want = golden.run(graph, x[None], width)
    expected = {**want.codes, graph.layers[-1].name: want.logits}
    layers = {}
    for name, codes in expected.items():
        compared, mismatches = _differences(outputs[f"{width}/{name}"], codes)
        counters = FrameCounters(**frame["layers"][name])
        layers[name] = MeasuredLayer(counters=counters, compared=compared, mismatches=mismatches)
    compared, mismatches = _differences(outputs[f"{width}"], want.logits)
    return MeasuredFrame(
        counters=FrameCounters(**frame["counters"]),
        bytes_sent=frame["bytes_sent"],
        bytes_received=frame["bytes_received"],
        compared=compared,
        mismatches=mismatches,
        layers=layers,
    )


def _differences(got: np.ndarray, want: np.ndarray) -> tuple[int, int]:
    return want.size, int((got.reshape(-1) != want.reshape(-1)).sum())


def _packed(counters: dict, outputs: Mapping[str, Any]) -> bytes:
    arrays = io.BytesIO()
    np.savez_compressed(arrays, **outputs)
    return json.dumps(counters).encode() + b"\n" + arrays.getvalue()


def _unpacked(body: bytes) -> tuple[dict, dict[str, np.ndarray]]:
    counters, _, arrays = body.partition(b"\n")
    with np.load(io.BytesIO(arrays)) as outputs:
        return json.loads(counters), dict(outputs)
