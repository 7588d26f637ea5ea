"""Random networks on an accelerator of the table style, against golden and its cycle model."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from downshift.hw.conv_layer import ConvLayer
from downshift.hw.descriptor import descriptor_fields
from downshift.hw.sequencer import program_layers
from downshift.hw.table_config import TableConfig
from downshift.sim import golden
from downshift.sim.bit_flips import BACKDOORS
from downshift.sim.cycles import cycles
from downshift.sim.layer_programs import overwritten_maps
from downshift.sim.random_networks import Feature, random_case
from downshift.sim.runner import UART, build_simulation
from downshift.sim.verify import Case, verify
from downshift.sw.compile.compiler import compile_graph
from downshift.sw.graph.fixed_point import multiplier_width
from downshift.sw.quantization.freeze import freeze
from downshift.sw.quantization.prepare import prepare
from downshift.sw.training.calibration import calibrate, recalibrate_norms

CONFIG = TableConfig(
    segments=3, activation_depth=1024, weight_depth=4096, parameter_depth=1024, sum_depth=64,
    program_depth=2048,
)  # fmt: skip
PLAIN, IDENTITY, SKIP, DEPTHWISE, AVERAGE, WIDE = (
    (), (Feature.IDENTITY,), (Feature.SKIP,), (Feature.DEPTHWISE,), (Feature.AVERAGE,),
    (Feature.WIDE,),
)  # fmt: skip
CASES = [
    *((seed, PLAIN) for seed in (0, 1, 2, 3, 3104, 5546)),
    *((seed, IDENTITY) for seed in (10, 3000, 3179)),
    *((seed, SKIP) for seed in (20, 3025, 3226)),
    *((seed, AVERAGE) for seed in (40, 41, 42)),
    *((seed, DEPTHWISE + IDENTITY + AVERAGE) for seed in (50, 51)),
    *((seed, DEPTHWISE) for seed in (2060, 2168, 3001)),
    *((seed, WIDE) for seed in (4007, 4012, 4020, 4027, 4028)),
    (2083, IDENTITY + DEPTHWISE),
    (2173, DEPTHWISE + DEPTHWISE),
]


@pytest.fixture(scope="module")
def cases():
    return [random_case(seed, CONFIG, images=1, features=features) for seed, features in CASES]


@pytest.fixture(scope="module")
def simulation(simulator):
    # As of the tests of scrubbing, so that it is built once.
    return simulator(CONFIG, replace(UART, backdoors=BACKDOORS[TableConfig]))


def test_every_kind_of_pass_is_drawn(cases):
    passes = [
        descriptor_fields(words, ConvLayer)
        for case in cases
        for width in case.graph.widths
        for words in program_layers(
            np.frombuffer(case.image.program, "<u4").tolist(), width, ConvLayer
        )
    ]
    kinds = {
        "pool": lambda entry: entry["pool"],
        "columns": lambda entry: entry["separate"] and not entry["lanes"]["dense"],
        "columns of two pixels": lambda entry: entry["separate"] and entry["array"]["slots"],
        "dense": lambda entry: entry["lanes"]["dense"],
        "dense and deep": lambda entry: entry["lanes"]["dense"] and entry["loader"]["last_depth"],
        "dense and wide": lambda entry: (
            entry["lanes"]["dense"]
            and entry["loader"]["last_tile"]
            and not entry["writer"]["logits"]
        ),
        "diagonal": lambda entry: entry["loader"]["diagonal"],
        "residual": lambda entry: entry["residual"]["enable"],
        "average": lambda entry: entry["array"]["keep"],
        "bands": lambda entry: entry["writer"]["first_all_row"],
        "residual of several pixels": lambda entry: (
            entry["residual"]["enable"] and entry["array"]["slots"]
        ),
        "words of four pixels": lambda entry: (
            entry["writer"]["last_word"] == 3 and not entry["writer"]["logits"]
        ),
        "words of 32 channels": lambda entry: entry["writer"]["halves"],
        "residual of 32 channels": lambda entry: entry["residual"]["halves"],
        "centred weights": lambda entry: entry["loader"]["width"] == 11,
        "centred weights in lanes": lambda entry: (
            entry["separate"] and entry["loader"]["width"] == 11
        ),
        **{
            f"pack {pack}, slots {1 << slots}": lambda entry, pack=pack, slots=slots: (
                not entry["pool"]
                and entry["array"]["pack"] == pack
                and entry["array"]["slots"] == slots
            )
            for pack, slots in ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))
        },
    }
    for name, kind in kinds.items():
        assert any(kind(entry) for entry in passes), name


def test_rtl_equals_golden(simulation, cases, check_frames, tmp_path):
    for case, reports in zip(cases, verify(simulation, cases, tmp_path), strict=True):
        check_frames(case, reports)


def test_maps_that_lose_their_place_are_compared(simulation, check_frames, tmp_path):
    small = replace(CONFIG, activation_depth=64)
    case = random_case(84, small, images=1, features=SKIP + IDENTITY)
    lost = [overwritten_maps(case.image, width) for width in case.graph.widths]
    assert any(lost)
    # The same program in more memory, of which it uses the beginning.
    case = replace(case, image=replace(case.image, config=CONFIG))
    (reports,) = verify(simulation, [case], tmp_path)
    check_frames(case, reports)


def test_wider_multipliers(check_frames, tmp_path):
    config = replace(CONFIG, multiplier_width=24)
    drawn = [(seed, SKIP + DEPTHWISE + AVERAGE) for seed in range(3)] + [(3, PLAIN)]
    cases = [random_case(seed, config, images=1, features=features) for seed, features in drawn]
    widths = {
        multiplier_width(setting.multiplier)
        for case in cases
        for layer in case.graph.layers
        for setting in layer.settings.values()
    }
    assert widths == {16, 24}
    simulation = build_simulation(config, tmp_path / "simulator")
    for case, reports in zip(cases, verify(simulation, cases, tmp_path), strict=True):
        check_frames(case, reports)


def test_a_reset_in_mid_frame_leaves_nothing(simulation, check_resets):
    check_resets(simulation, random_case(3025, CONFIG, images=1, features=SKIP).graph)


class Blocks(nn.Module):
    """An inverted bottleneck, and a residual block with norms before its convolutions."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU6())
        self.bottleneck = nn.Sequential(
            *[nn.Conv2d(8, 20, 1, bias=False), nn.BatchNorm2d(20), nn.ReLU6()],
            *[nn.Conv2d(20, 20, 3, padding=1, groups=20), nn.BatchNorm2d(20), nn.ReLU6()],
            *[nn.Conv2d(20, 8, 1, bias=False), nn.BatchNorm2d(8)],
        )
        self.skip = nn.Conv2d(8, 24, 1, stride=2)
        self.residual = nn.Sequential(
            *[nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 24, 3, stride=2, padding=1)],
            *[nn.BatchNorm2d(24), nn.ReLU(), nn.Conv2d(24, 24, 3, padding=1, groups=2)],
        )
        self.exit = nn.Sequential(nn.BatchNorm2d(24), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
        self.last = nn.Sequential(nn.Flatten(), nn.Linear(24, 10))

    def forward(self, x):
        x = self.stem(x)
        x = x + self.bottleneck(x)
        return self.last(self.exit(self.skip(x) + self.residual(x)))


def test_pytorch_equals_golden_equals_rtl(simulation, check_counters, tmp_path):
    torch.manual_seed(0)
    widths, x = (8, 4, 2), torch.randint(0, 256, (4, 3, 15, 13))
    model = prepare(Blocks(), widths=widths, input_scale=1 / 255)
    calibrate(model, x / 255, widths)
    recalibrate_norms(model, x / 255, widths)
    mixed = {
        "stem.0": 4, "bottleneck.0": 2, "bottleneck.3": 8, "bottleneck.6": 4, "skip": 2,
        "residual_0_ones": 8, "residual.2": 2, "residual.5": 4, "exit_0_ones": 8, "last.1": 8,
    }  # fmt: skip
    assignments = {width: width for width in widths} | {5: mixed}
    frozen = freeze(model.eval(), input_shape=(15, 13, 3), assignments=assignments)
    image = compile_graph(frozen.graph, CONFIG)
    codes = x.byte()
    case = Case(
        graph=frozen.graph,
        image=image,
        x=codes.permute(0, 2, 3, 1).numpy(),
        schedule=[(0, width) for width in assignments],
    )
    (reports,) = verify(simulation, [case], tmp_path)
    for width, report in reports.items():
        logits = golden.run(case.graph, case.x, width).logits
        assert np.array_equal(frozen(codes, width).logits.numpy(), logits)
        assert report.mismatches == 0
        assert report.codes_compared > 1000
        check_counters(report.counters[0], cycles(image, width))
