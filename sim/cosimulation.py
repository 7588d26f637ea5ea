"""Co-simulation of a network: compile, build the simulator, run frames, compare, report."""

import threading
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from downshift.hw.config import AcceleratorConfig
from downshift.hw.region import Region
from downshift.hw.table_config import TableConfig
from downshift.sim.cycles import cycles
from downshift.sim.runner import UART, SimulatedLink, build_simulation
from downshift.sim.verify import Case, verify
from downshift.sw.compile.compiler import compile_graph
from downshift.sw.graph.integer_graph import IntegerGraph

__all__ = ["cosimulate", "switch_cost", "watched"]

Progress = Callable[[str, float | None, float | None, str], None]
"""Called with the name of a step, what is done and what there is, None if unknown, and a text."""


def cosimulate(
    graph: IntegerGraph,
    config: AcceleratorConfig | TableConfig,
    x: np.ndarray,
    out: Path,
    *,
    widths: Sequence[int],
    progress: Progress | None = None,
    seed: int = 0,
    link: SimulatedLink = UART,
) -> dict[str, dict[str, Any]]:
    """Run every input at every width on the simulated accelerator, in random order.

    Parameters
    ----------
    graph : IntegerGraph
    config : AcceleratorConfig or TableConfig
    x : uint8 array, shape (n, height, width, channels)
        Input codes.
    out : Path
        Folder for the simulator and its files.
    widths : sequence of int
    progress : callable, optional
    seed : int
        Of the order of the frames.
    link : SimulatedLink
        How the host reaches the accelerator.

    Returns
    -------
    dict of str to dict
        By width: what was compared, mismatches, cycles, and the costs of switching.

    Raises
    ------
    DownshiftError
        If the network does not fit, has no such width, or a tool is missing.
    """
    for width in widths:
        graph.check_width(width)
    image = compile_graph(graph, config)
    report = progress or (lambda *_: None)
    report("compile", None, None, "Verilator compiles the accelerator")
    simulation = build_simulation(config, out / "simulator", link=link)
    report("compile", 1, 1, "")

    frames = [(index, width) for index in range(len(x)) for width in widths]
    order = np.random.default_rng(seed).permutation(len(frames))
    case = Case(graph=graph, image=image, x=x, schedule=[frames[k] for k in order])
    counter = out / "frames"
    with watched(counter, lambda done: report("simulate", done, len(frames), "frames")):
        (reports,) = verify(simulation, [case], out / "run", progress=counter)
    report("simulate", len(frames), len(frames), "")

    macs = graph.macs
    word_bytes, _ = config.regions[Region.WEIGHTS]
    results = {}
    for width in widths:
        entry = reports[width]
        results[str(width)] = {
            "images_simulated": entry.images,
            "logits_compared": entry.logits_compared,
            "codes_compared": entry.codes_compared,
            "mismatches": entry.mismatches,
            "cycles_per_image": round(float(np.mean(entry.cycles))),
            "cycles_predicted": cycles(image, width).total,
            "macs_per_image": macs,
            "weight_bits_read": sum(
                layer.weight.size * layer.settings[width].weight_width for layer in graph.layers
            ),
            "stored_weight_bits_read": entry.counters[-1].weight_words * 8 * word_bytes,
            "switch": switch_cost(entry),
        }
    return results


def switch_cost(entry) -> dict[str, int]:
    """What frames after another width cost more than frames after the same, at most.

    Returns
    -------
    dict
        ``host_bytes`` over the link and ``cycles``; 0 each if there was no frame of one kind.
    """
    costs = {}
    for name, values in (("host_bytes", entry.bytes_sent), ("cycles", entry.cycles)):
        after = [v for v, switched in zip(values, entry.after_switch, strict=True) if switched]
        same = [v for v, switched in zip(values, entry.after_switch, strict=True) if not switched]
        costs[name] = max(after) - min(same) if after and same else 0
    return costs


@contextmanager
def watched(counter: Path, report: Callable[[int], None]):
    """Report the number in a file, twice a second, while the body runs."""
    over = threading.Event()
    counter.unlink(missing_ok=True)

    def watch():
        while not over.wait(0.5):
            text = counter.read_text() if counter.exists() else ""
            report(int(text) if text else 0)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
