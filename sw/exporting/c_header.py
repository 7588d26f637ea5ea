"""Integer graphs as one C header: packed weights, requantization tables, and the arithmetic."""

import re

import numpy as np

from downshift.sw.exporting.packed import pack_weights
from downshift.sw.graph.integer_graph import INPUT, LOGIT_WIDTH, IntegerGraph, Layer

__all__ = ["c_header"]

FIELDS = (
    "out_channels", "in_channels", "kernel_height", "kernel_width", "stride_height",
    "stride_width", "top", "bottom", "left", "right", "groups", "average", "pool_height",
    "pool_width", "pool_stride_height", "pool_stride_width", "in_height", "in_width",
    "source", "residual", "weight_bits", "in_bits", "out_bits", "out_max", "in_zero", "out_zero",
    "residual_shift",
)  # fmt: skip
"""Of a layer, in order; maps are numbered, 0 the input, -1 none."""

RUNTIME = """
static inline int32_t @_weight(const uint8_t *packed, uint32_t index, int bits)
{
    uint32_t first = index * (uint32_t)bits, byte = first >> 3, over = first & 7;
    uint32_t pair = packed[byte];
    if (over + (uint32_t)bits > 8)
        pair |= (uint32_t)packed[byte + 1] << 8;
    int32_t value = (int32_t)((pair >> over) & ((1u << bits) - 1));
    if (bits == 1)
        return value ? 1 : -1;
    return value >> (bits - 1) ? value - (1 << bits) : value;
}

/* Rounds value / 2**shift half to even. */
static inline int64_t @_round(int64_t value, int shift)
{
    if (shift == 0)
        return value;
    int64_t one = (int64_t)1 << shift, floor = value >> shift, rest = value & (one - 1);
    return floor + (rest > one / 2 || (rest == one / 2 && (floor & 1)));
}

/* Sum of the products of one output pixel and channel. */
static inline int64_t @_sum(const @_layer *l, const uint8_t *x, int y0, int x0, int channel)
{
    int per = l->in_channels / l->groups, first = l->groups > 1 ? channel : 0;
    uint32_t base = (uint32_t)channel * per * l->kernel_height * l->kernel_width;
    int64_t sum = 0;
    if (l->average) {
        for (int c = 0; c < per; c++) {
            int32_t total = 0;
            for (int p = 0; p < l->in_height * l->in_width; p++)
                total += x[p * l->in_channels + c];
            sum += (int64_t)total * @_weight(l->weights, base + c, l->weight_bits);
        }
        return sum;
    }
    for (int c = 0; c < per; c++)
        for (int ky = 0; ky < l->kernel_height; ky++)
            for (int kx = 0; kx < l->kernel_width; kx++) {
                int y = y0 + ky, col = x0 + kx, code = l->in_zero;
                if (y >= 0 && y < l->in_height && col >= 0 && col < l->in_width)
                    code = x[(y * l->in_width + col) * l->in_channels + first + c];
                sum += (int64_t)code * @_weight(
                    l->weights, base + (c * l->kernel_height + ky) * l->kernel_width + kx,
                    l->weight_bits);
            }
    return sum;
}

static inline uint8_t @_code(const @_layer *l, int64_t sum, int added, int channel)
{
    if (l->residual >= 0)
        sum = sum * ((int64_t)1 << l->residual_shift) + (int64_t)added * l->counts[channel];
    int shift = l->shift[channel] > 58 ? 58 : l->shift[channel];
    int64_t code = @_round((sum + l->bias[channel]) * l->multiplier[channel], shift) + l->out_zero;
    int64_t most = l->out_max;
    return (uint8_t)(code < 0 ? 0 : code > most ? most : code);
}

/* Runs the network on one input of codes (height, width, channels); gives its logits. */
static inline void @_run(const uint8_t *input, int32_t *logits, uint8_t *memory)
{
    const uint8_t *maps[@_LAYERS + 1];
    maps[0] = input;
    for (int n = 0; n < @_LAYERS; n++) {
        const @_layer *l = &@_layers[n];
        const uint8_t *x = maps[l->source];
        const uint8_t *added = l->residual >= 0 ? maps[l->residual] : 0;
        int height = l->average ? 1 : (l->in_height + l->top + l->bottom - l->kernel_height)
            / l->stride_height + 1;
        int width = l->average ? 1 : (l->in_width + l->left + l->right - l->kernel_width)
            / l->stride_width + 1;
        int rows = l->pool_height ? (height - l->pool_height) / l->pool_stride_height + 1 : height;
        int columns = l->pool_height ? (width - l->pool_width) / l->pool_stride_width + 1 : width;
        int down = l->pool_height ? l->pool_height : 1, over = l->pool_height ? l->pool_width : 1;
        for (int r = 0; r < rows; r++)
            for (int k = 0; k < columns; k++)
                for (int c = 0; c < l->out_channels; c++) {
                    int place = (r * columns + k) * l->out_channels + c;
                    uint8_t best = 0;
                    for (int i = 0; i < down; i++)
                        for (int j = 0; j < over; j++) {
                            int y = r * (l->pool_height ? l->pool_stride_height : 1) + i;
                            int q = k * (l->pool_height ? l->pool_stride_width : 1) + j;
                            int64_t sum = @_sum(l, x, y * l->stride_height - l->top,
                                                q * l->stride_width - l->left, c);
                            if (l->out_bits == 32) {
                                logits[place] = (int32_t)(sum + l->bias[c]);
                                continue;
                            }
                            uint8_t code = @_code(l, sum, added ? added[place] : 0, c);
                            best = code > best ? code : best;
                        }
                    if (l->out_bits != 32)
                        memory[place] = best;
                }
        maps[n + 1] = memory;
        if (l->out_bits != 32)
            memory += rows * columns * l->out_channels;
    }
}
"""


def c_header(graph: IntegerGraph, width: int) -> str:
    """Write a network at one width as a C99 header without other files.

    Parameters
    ----------
    graph : IntegerGraph
    width : int
        One of ``graph.widths``.

    Returns
    -------
    str
        With ``NAME_run(input, logits, memory)``, which computes golden's logits, and
        ``NAME_MEMORY``, the bytes of memory that it wants. Weights are packed as `pack_weights`
        does it.

    Raises
    ------
    DownshiftError
        If the network does not run at `width`.
    """
    graph.check_width(width)
    name = identifier(graph.name)
    maps = [INPUT, *(layer.name for layer in graph.layers)]
    multiplier = f"uint{16 if graph.multiplier_width <= 16 else 32}_t"
    tables, entries, memory = [], [], 0
    for index, layer in enumerate(graph.layers):
        setting = layer.settings[width]
        codes = setting.running(layer.weight)
        tables += [
            _table("uint8_t", f"{name}_weights{index}", pack_weights(codes, setting.weight_width)),
            _table("int32_t", f"{name}_bias{index}", setting.bias),
            _table(multiplier, f"{name}_multiplier{index}", setting.multiplier),
            _table("uint8_t", f"{name}_shift{index}", setting.shift),
        ]
        counts = "0"
        if setting.residual_multiplier is not None:
            counts = f"{name}_counts{index}"
            tables.append(_table("uint16_t", counts, setting.residual_multiplier))
        numbers = ", ".join(str(int(number)) for number in _numbers(graph, layer, width, maps))
        names = ("weights", "bias", "multiplier", "shift")
        pointers = ", ".join(f"{name}_{each}{index}" for each in names)
        label = layer.name.replace("*/", "* /")
        entries.append(f"    /* {label} */\n    {{ {numbers},\n      {pointers}, {counts} }},")
        if setting.out_width != LOGIT_WIDTH:
            memory += int(np.prod(graph.shape_of(layer.name)))
    guard, fields = f"{name.upper()}_H", ", ".join(FIELDS)
    outputs = int(np.prod(graph.shape_of(graph.layers[-1].name)))
    return "\n".join([
        f"/* Network {graph.name.replace('*/', '* /')} at {width} bits. */",
        f"#ifndef {guard}", f"#define {guard}", "", "#include <stdint.h>", "",
        f"#define {name}_LAYERS {len(graph.layers)}",
        f"#define {name}_INPUTS {int(np.prod(graph.input_shape))}",
        f"#define {name}_OUTPUTS {outputs}",
        f"#define {name}_MEMORY {max(memory, 1)}", "",
        "typedef struct {", f"    int {fields};", "    const uint8_t *weights;",
        "    const int32_t *bias;", f"    const {multiplier} *multiplier;",
        "    const uint8_t *shift;",
        "    const uint16_t *counts;", f"}} {name}_layer;", "", *tables, "",
        f"static const {name}_layer {name}_layers[{name}_LAYERS] = {{", *entries, "};",
        RUNTIME.replace("@", name), "#endif", "",
    ])  # fmt: skip


def identifier(name: str) -> str:
    """A name as C can have it.

    Examples
    --------
    >>> identifier("a/b-1"), identifier("8bit"), identifier("größe")
    ('a_b_1', 'n8bit', 'gr__e')
    """
    name = re.sub(r"[^A-Za-z0-9_]", "_", name)[:60] or "network"
    return name if name[0].isalpha() else f"n{name}"


def _numbers(graph: IntegerGraph, layer: Layer, width: int, maps: list[str]) -> tuple[int, ...]:
    """Values of `FIELDS`."""
    setting = layer.settings[width]
    height, columns, channels = graph.shape_of(graph.source_of(layer))
    pool = (0, 0, 0, 0) if layer.pool is None else (*layer.pool.size, *layer.pool.stride)
    return (
        layer.out_channels, channels, *layer.kernel, *layer.stride, *layer.padding, layer.groups,
        layer.average, *pool, height, columns, maps.index(graph.source_of(layer)),
        -1 if layer.residual is None else maps.index(layer.residual), setting.weight_width,
        setting.in_width, setting.out_width,
        0 if setting.out_width == LOGIT_WIDTH else setting.out_max,
        setting.zero_point_in, setting.zero_point_out, setting.residual_shift,
    )  # fmt: skip


def _table(kind: str, name: str, array: np.ndarray) -> str:
    """A constant array."""
    values = [str(int(value)) for value in array.reshape(-1)]
    # The least int32 is no literal of that type.
    values = ["(-2147483647 - 1)" if value == "-2147483648" else value for value in values]
    rows = [", ".join(values[i : i + 16]) for i in range(0, len(values), 16)]
    return f"static const {kind} {name}[{len(values)}] = {{\n    " + ",\n    ".join(rows) + "\n};"
