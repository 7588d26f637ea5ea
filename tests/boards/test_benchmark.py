# amaranth: UnusedElaboratable=no
from dataclasses import replace

import numpy as np
import pytest

from downshift.boards import benchmark as module
from downshift.boards import find
from downshift.boards.benchmark import WIDTHS, benchmark, benchmark_graph, images_for
from downshift.boards.build_report import BuildReport
from downshift.boards.routing import Routing
from downshift.hw.errors import DownshiftError
from downshift.hw.table_config import TableConfig
from downshift.sim.frame_profile import frame_profile
from downshift.sim.measure import MeasuredFrame, MeasuredLayer
from downshift.sim.random_networks import random_network
from downshift.sw.compile.compiler import compile_graph
from downshift.sw.device.frame_result import FrameCounters
from downshift.sw.graph.graph_file import save_graph
from downshift.sw.graph.reference_networks import REFERENCE_NETWORKS
from downshift.sw.result_cache import ResultCache

TABLE = replace(find("ulx3s-85f"), config=TableConfig(weight_depth=6144), clock_hz=125_000_000)
BOARD = find("icebreaker")


def test_reference_networks_run_at_all_widths_unless_told():
    assert benchmark_graph("autoencoder", None).widths == WIDTHS
    assert benchmark_graph("autoencoder", (2, 4)).widths == (4, 2)


def test_networks_from_a_file(tmp_path):
    graph = random_network(np.random.default_rng(3))
    path = tmp_path / "mine.safetensors"
    save_graph(graph, path)
    assert benchmark_graph(str(path), None).widths == graph.widths == (8, 7, 6)
    assert benchmark_graph(str(path), (6,)).widths == (6,)
    with pytest.raises(DownshiftError, match=r"runs at widths 8, 7, 6, not 2$"):
        benchmark_graph(str(path), (6, 2))


@pytest.mark.parametrize("network", ["resnet8", "dscnn", "resnet20"])
def test_widths_share_an_image(network):
    images, note = images_for(benchmark_graph(network, None), TABLE)
    assert len({id(image) for image in images.values()}) == 1
    assert (list(images), note) == (list(WIDTHS), "")


@pytest.mark.parametrize("network", ["mobilenetv1", "autoencoder"])
def test_widths_that_do_not_fit_together_have_images_of_their_own(network):
    images, note = images_for(benchmark_graph(network, None), TABLE)
    assert {width: image.widths for width, image in images.items()} == {w: (w,) for w in WIDTHS}
    assert note.startswith("One image for each width, since they do not fit together: The network ")


@pytest.mark.parametrize("network", REFERENCE_NETWORKS)
def test_what_does_not_fit_at_all_says_why(network):
    with pytest.raises(DownshiftError, match=f"^{network} does not fit icebreaker at width 8: "):
        images_for(benchmark_graph(network, None), BOARD)


def benchmarked(board, graph, **options):
    return benchmark(graph, board, seeds=[1], cache=ResultCache(folder=None), **options)


def test_predicted_only():
    graph = benchmark_graph("resnet8", (8, 2))
    report = benchmarked(TABLE, graph, simulated=False, routed=False)
    for name in ("fmax_mhz", "lut", "ff", "bram", "dsp", "seeds", "parts"):
        assert report[name] is None
    assert (report["network"], report["board"], report["style"]) == (
        "resnet8",
        "ulx3s-85f",
        "table",
    )
    for entry in report["widths"].values():
        assert entry["cycles"] is entry["link"] is entry["mismatches"] is None
        assert entry["counted"] is None
        predicted = entry["predicted_cycles"]
        assert entry["inferences_per_s"] == 125e6 / predicted
        assert entry["macs_per_cycle"] == graph.macs / predicted
        layers = entry["layers"]
        for name, cycles in entry["waits"].items():
            assert cycles == sum(layer[name] for layer in layers)
        busy = sum(layer["busy"] for layer in layers)
        assert entry["busy"] == busy / predicted
        assert busy + sum(entry["waits"].values()) == predicted
        assert [layer["name"] for layer in layers] == [each.name for each in graph.layers]
        assert entry["memory"][0]["map"] == "input"
        for each in entry["memory"]:
            assert each["first_byte"] + each["bytes"] <= report["activation_bytes"]


@pytest.fixture
def measured(monkeypatch):
    """Let simulation and routing give made-up figures; a random network for the brick style."""
    graph = random_network(np.random.default_rng(3))
    counters = FrameCounters(cycles=50, busy=20, tile_load=10, fetch=5, weight_words=9)
    layer = MeasuredLayer(counters=counters, compared=4, mismatches=1)
    counters = FrameCounters(cycles=1000, busy=600, tile_load=200, fetch=100, weight_words=8)
    frame = MeasuredFrame(
        counters=counters, bytes_sent=30, bytes_received=70,
        compared=5, mismatches=2, layers={each.name: layer for each in graph.layers},
    )  # fmt: skip
    given = {}

    def measure(graph, images, folder, cache, progress):
        given.update(images=images, folder=folder.is_dir())
        return dict.fromkeys(images, frame)

    def route(board, config, *, seeds, cache, progress):
        progress("Placing")
        reports = tuple(
            BuildReport(
                board=board.name, seed=seed, bitstream=None, fmax_mhz=10.0 * seed, clock_mhz=24,
                lut=100 * seed, lut_available=5280, ff=3, ff_available=5280, bram=4,
                bram_available=30, baud=1_000_000, dsp=5, dsp_available=8, spram=2,
                spram_available=4,
            )
            for seed in seeds
        )  # fmt: skip
        counts = {"ff": 0, "bram": 0, "dsp": 0, "spram": 0}
        return Routing(
            reports=reports, parts={"array": {"lut": 64, **counts}, "pool": {"lut": 16, **counts}}
        )

    monkeypatch.setattr(module, "measure", measure)
    monkeypatch.setattr(module, "route", route)
    report = benchmark(graph, BOARD, seeds=[3, 1, 2], cache=ResultCache(folder=None))
    return graph, report, given


def test_figures_of_the_hardware_are_those_of_the_median(measured):
    _, report, _ = measured
    assert report["fmax_mhz"] == 20.0
    assert report["seeds"] == {"3": 30.0, "1": 10.0, "2": 20.0}
    assert [report[name] for name in ("lut", "ff", "bram", "dsp")] == [200, 3, 4, 5]
    assert report["available"] == {"lut": 5280, "ff": 5280, "bram": 30, "dsp": 8}
    assert report["array"] == {
        "products_per_cycle": 1024, "lut_per_product": 0.0625, "lut_share": 0.8,
        "other_lut_share": 0.2,
    }  # fmt: skip


def test_figures_of_a_frame_are_those_simulated(measured):
    graph, report, given = measured
    assert given["folder"]
    assert list(report["widths"]) == [str(width) for width in graph.widths]
    layers = len(graph.layers)
    for width, entry in report["widths"].items():
        assert entry["cycles"] == 1000
        assert entry["inferences_per_s"] == 20e6 / 1000
        assert entry["counted"] == {
            "busy": 600, "tile_load": 200, "fetch": 100, "requantize": 100,
        }  # fmt: skip
        assert entry["compared"] == 5 + 4 * layers
        assert entry["mismatches"] == 2 + layers
        # Ten bits a byte, each of as many cycles as the board's clock has for one.
        assert entry["link"] == {
            "bytes_sent": 30,
            "bytes_received": 70,
            "cycles": 100 * 10 * BOARD.divisor,
            "inferences_per_s": 1 / (1000 / 20e6 + 100 * 10 / BOARD.baud),
        }
        profile = frame_profile(graph, compile_graph(graph, BOARD.config), int(width))
        for layer, predicted in zip(entry["layers"], profile, strict=True):
            assert (layer["cycles_alone"], layer["weight_words"], layer["mismatches"]) == (50, 9, 1)
            assert [*layer["counted_alone"].values()] == [20, 10, 5, 15]
            assert layer["predicted_cycles"] == predicted.cycles


@pytest.mark.parametrize(("text", "stays"), [("see {}/build.log", True), ("no tool", False)])
def test_a_log_that_an_error_names_stays(monkeypatch, tmp_path, text, stays):
    monkeypatch.setattr(module.tempfile, "tempdir", str(tmp_path))

    def measure(graph, images, folder, cache, progress):
        raise DownshiftError(text.format(folder))

    monkeypatch.setattr(module, "measure", measure)
    with pytest.raises(DownshiftError):
        benchmarked(BOARD, random_network(np.random.default_rng(3)))
    assert len(list(tmp_path.iterdir())) == stays
