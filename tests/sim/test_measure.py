# amaranth: UnusedElaboratable=no
"""Frames and layers in simulation: with a stand-in for the accelerator, and in RTL."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from downshift.boards import find
from downshift.hw.protocol import Command
from downshift.hw.table_config import TableConfig
from downshift.sim import golden, measure
from downshift.sim.cycles import cycles
from downshift.sim.layer_programs import layer_image, layer_passes
from downshift.sim.measure import random_input
from downshift.sim.random_networks import Feature, random_case, random_codes
from downshift.sw.device.frame_result import FrameCounters, FrameResult
from downshift.sw.result_cache import ResultCache

SMALL = TableConfig(
    segments=3, activation_depth=1024, weight_depth=4096, parameter_depth=1024, sum_depth=64,
    program_depth=2048,
)  # fmt: skip
BRICK = find("icebreaker").config


COUNTERS = FrameCounters(cycles=100, busy=70, tile_load=11, fetch=12, weight_words=5)


class Pretend:
    """Answers as the accelerator does, by golden; each layer takes a cycle for each value."""

    def __init__(self, graph):
        self.graph, self.codes, self.transport, self.link = graph, {}, None, self
        self.written = self.layer = None

    def load(self, image):
        self.image = image

    def write(self, address, content):
        self.written = content

    def run(self, x, width):
        self.codes[width] = golden.run(self.graph, x[None], width)
        self.transport.write(bytes(11))
        return FrameResult(logits=self.codes[width].logits[0], counters=COUNTERS)

    def request(self, command, payload):
        assert command == Command.RUN
        assert self.image.weights == self.image.parameters == b""
        assert self.written == self.image.encode_input(
            random_input(self.graph, payload[0]), payload[0]
        )
        return np.array([40, 30, 1, 4, 2], "<u4").tobytes()

    def read_map(self, name, width):
        result = self.codes[width]
        return result.codes[name][0] if name in result.codes else result.logits[0]


@pytest.fixture
def case():
    return random_case(1, SMALL, images=1, features=(Feature.IDENTITY,))


@pytest.fixture
def simulate(monkeypatch, tmp_path, case):
    """Measure with an accelerator that pretends; list which were run."""
    ran = []

    def build(config, folder, cache):
        return replace_run(Pretend(case.graph))

    def replace_run(accelerator):
        class Simulation:
            def run(self, work, arguments, out):
                ran.append(work)
                accelerator.transport = type("Link", (), {"write": lambda self, content: None})()
                return damage(measure.run_layers(accelerator, **arguments), arguments["folder"])

        return Simulation()

    def damage(counters, folder):
        if damage.name:
            with np.load(Path(folder) / "out.npz") as outputs:
                outputs = dict(outputs)
            outputs[damage.name] = outputs[damage.name] ^ 1
            np.savez(Path(folder) / "out.npz", **outputs)
        return counters

    damage.name = None
    monkeypatch.setattr(measure, "cached_simulation", build)

    def call(name=None, folder="cache"):
        damage.name = name
        work = tmp_path / f"work{len(list(tmp_path.iterdir()))}"
        work.mkdir()
        images = dict.fromkeys(case.graph.widths, case.image)
        frames = measure.measure(case.graph, images, work, ResultCache(folder=tmp_path / folder))
        return frames, ran

    return call


def test_frames_and_layers(simulate, case):
    frames, _ = simulate()
    assert list(frames) == list(case.graph.widths)
    for frame in frames.values():
        assert frame.counters == COUNTERS
        assert (frame.bytes_sent, frame.bytes_received) == (11, 0)
        assert [*frame.layers] == [layer.name for layer in case.graph.layers]
        assert frame.mismatches == 0
        sizes = [np.prod(shape) for shape in case.graph.shapes[1:]]
        assert [layer.compared for layer in frame.layers.values()] == sizes
        for layer in frame.layers.values():
            assert layer.counters == FrameCounters(
                cycles=40, busy=30, tile_load=1, fetch=4, weight_words=2
            )
            assert layer.counters.requantize == 5
            assert layer.mismatches == 0


def test_what_was_simulated_is_kept(simulate):
    first, _ = simulate()
    second, ran = simulate()
    assert first == second
    assert ran == ["downshift.sim.measure:run_layers"]


@pytest.mark.parametrize("body", [b"", b"{}\n", b"nonsense", b"{}\nPK\3\4", b"[" * 100_000])
def test_what_the_cache_holds_wrongly_is_simulated_again(tmp_path, simulate, body):
    first, _ = simulate()
    (path,) = (tmp_path / "cache" / "frames").iterdir()
    ResultCache(folder=tmp_path / "cache").put("frames", path.name, body)
    second, ran = simulate()
    assert first == second
    assert len(ran) == 2


def test_every_value_that_differs_is_counted(simulate, case):
    width, layer = case.graph.widths[0], case.graph.layers[0].name
    frames, _ = simulate(f"{width}/{layer}", "one")
    assert frames[width].layers[layer].mismatches == frames[width].layers[layer].compared
    assert sum(each.mismatches for each in frames[width].layers.values()) == (
        frames[width].layers[layer].compared
    )
    frames, _ = simulate(f"{width}", "two")
    assert frames[width].mismatches == frames[width].compared == case.graph.shapes[-1][2]


@pytest.mark.parametrize(("config", "seeds"), [(SMALL, range(4)), (BRICK, (1, 2, 3))])
def test_layers_are_the_program_cut_in_pieces(config, seeds):
    for seed in seeds:
        case = random_case(seed, config, images=1)
        for width in case.image.widths:
            passes = layer_passes(case.image, width)
            assert list(passes) == [layer.name for layer in case.graph.layers]
            whole = [words for of_layer in passes.values() for words in of_layer]
            assert [words[0] & 1 for words in whole] == [0] * (len(whole) - 1) + [1]
            image = layer_image(case.image, width, whole)
            assert cycles(image, width) == cycles(case.image, width)
            for of_layer in passes.values():
                assert len(cycles(layer_image(case.image, width, of_layer), width).passes) == len(
                    of_layer
                )


def test_inputs_are_drawn_from_all_codes_of_the_width(case):
    for width in case.graph.widths:
        drawn = random_input(case.graph, width)
        assert drawn.shape == case.graph.input_shape
        assert np.array_equal(drawn, random_input(case.graph, width))
        random_codes(np.random.default_rng(0), case.graph, 1)
        assert drawn.max() < 1 << case.graph.codes_of("input", width)[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("config", "features"), [(SMALL, (Feature.SKIP, Feature.DEPTHWISE)), (BRICK, ())]
)
def test_rtl_layer_by_layer(tmp_path, config, features):
    # Too little memory for all maps at once: they take each other's places.
    if config is SMALL:
        config = replace(config, activation_depth=128)
    case = random_case(7, config, images=1, features=features)
    images = dict.fromkeys(case.graph.widths, case.image)
    cache = ResultCache(folder=tmp_path / "cache")
    for work in ("first", "second"):
        (tmp_path / work).mkdir()
        frames = measure.measure(case.graph, images, tmp_path / work, cache)
        for width, frame in frames.items():
            assert frame.cycles == cycles(case.image, width).total
            assert frame.mismatches == 0
            for name, passes in layer_passes(case.image, width).items():
                layer = frame.layers[name]
                assert layer.mismatches == 0
                image = layer_image(case.image, width, passes)
                assert layer.cycles == cycles(image, width).total
    assert not (tmp_path / "second" / "simulator").exists()
