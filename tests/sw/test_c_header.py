import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest

from downshift.sim import golden
from downshift.sim.random_networks import Feature, random_network
from downshift.sw.exporting.c_header import c_header, identifier
from downshift.sw.graph.integer_graph import INPUT

MAIN = """
#include <stdio.h>
#include "network.h"
int main(void)
{
    static uint8_t input[@_INPUTS], memory[@_MEMORY];
    static int32_t logits[@_OUTPUTS];
    while (fread(input, 1, sizeof input, stdin) == sizeof input) {
        @_run(input, logits, memory);
        fwrite(logits, 1, sizeof logits, stdout);
    }
    return 0;
}
"""
COMPILER = shutil.which("cc") or shutil.which("gcc")
FLAGS = [
    "-std=c99",
    "-O2",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-fsanitize=undefined",
]


def computed(graph, width, codes, folder):
    """Logits that the compiled header gives."""
    (folder / "network.h").write_text(c_header(graph, width))
    (folder / "main.c").write_text(MAIN.replace("@", identifier(graph.name)))
    program = folder / f"run{width}"
    subprocess.run([COMPILER, *FLAGS, folder / "main.c", "-o", program], check=True)
    done = subprocess.run([program], input=codes.tobytes(), capture_output=True, check=True)
    assert not done.stderr
    return np.frombuffer(done.stdout, "<i4").reshape(len(codes), -1)


@pytest.mark.skipif(COMPILER is None, reason="needs a C compiler (cc)")
@pytest.mark.parametrize("seed", range(6))
def test_the_compiled_header_gives_golden(tmp_path, seed):
    graph = random_network(
        np.random.default_rng(seed), features=tuple(Feature), multiplier_width=(16, 24)[seed % 2]
    )
    for width in graph.widths:
        bits, _ = graph.codes_of(INPUT, width)
        codes = np.random.default_rng(seed).integers(0, 1 << bits, (4, *graph.input_shape))
        codes = codes.astype(np.uint8)
        wanted = golden.run(graph, codes, width).logits
        np.testing.assert_array_equal(computed(graph, width, codes, tmp_path), wanted)


@pytest.mark.skipif(COMPILER is None, reason="needs a C compiler (cc)")
def test_every_width_of_a_network(tmp_path, lowered):
    codes = np.random.default_rng(0).integers(0, 256, (5, *lowered.input_shape)).astype(np.uint8)
    for width in lowered.widths:
        wanted = golden.run(lowered, codes, width).logits
        np.testing.assert_array_equal(computed(lowered, width, codes, tmp_path), wanted)


@pytest.mark.skipif(COMPILER is None, reason="needs a C compiler (cc)")
def test_halves_go_to_even(tmp_path, lowered):
    def halved(layer):
        setting = layer.settings[8]
        factor = {"multiplier": np.full_like(setting.multiplier, 1 << 15)}
        factor["shift"] = np.full_like(setting.shift, 27)
        return replace(layer, settings={8: replace(setting, **factor)})

    layers = (*map(halved, lowered.layers[:-1]), lowered.layers[-1])
    layers = [replace(layer, settings={8: layer.settings[8]}) for layer in layers]
    # Multiples of half the divisor: every sum is whole or a half.
    layers[0] = replace(layers[0], weight=np.full_like(layers[0].weight, 64))
    settings = replace(layers[0].settings[8], bias=np.zeros(16, np.int32))
    layers[0] = replace(layers[0], settings={8: replace(settings, shift=np.full(16, 22, np.uint8))})
    graph = replace(lowered, layers=tuple(layers), logit_scales={})
    codes = np.random.default_rng(0).integers(0, 10, (5, *graph.input_shape)).astype(np.uint8)
    wanted = golden.run(graph, codes, 8).logits
    np.testing.assert_array_equal(computed(graph, 8, codes, tmp_path), wanted)


def test_headers_shrink_with_the_bits(lowered):
    sizes = [c_header(lowered, width).count(",") for width in (8, 4, 2)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] - sizes[1] == lowered.weight_bytes // 2
