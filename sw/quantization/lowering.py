"""Lowering: a trained switchable network to an integer graph, the one step that ends the floats."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from brevitas.nn import QuantConv2d
from torch import nn

from downshift.hw.errors import DownshiftError
from downshift.hw.precision_switch import precision_switch
from downshift.sw.graph.integer_graph import INPUT, LOGIT_WIDTH, IntegerGraph, Layer, Pool, Setting
from downshift.sw.quantization.activation_quantizer import ActivationQuantizer
from downshift.sw.quantization.double_rounding import DoubleRounding
from downshift.sw.quantization.fixed_point import fixed_point
from downshift.sw.quantization.network_blocks import Block, network_blocks
from downshift.sw.quantization.widths import kept_widths, set_widths

__all__ = ["lower"]


def lower(
    model: nn.Module,
    *,
    input_shape: tuple[int, int, int],
    name: str = "network",
    assignments: Mapping[int, int | Mapping[str, int]] | None = None,
    settle: Callable[[nn.Module], None] | None = None,
    provenance: Mapping[str, str] | None = None,
) -> IntegerGraph:
    """Turn a trained network into integers, at every width it was built with.

    What the network may consist of, `network_blocks` says.

    Per layer, width and channel, with input scale ``s_a``, running weight scale ``s_w * 2**d``,
    output scale ``s_o`` and a batch norm of factor ``k = gain / sqrt(var + eps)``::

        multiplier / 2**shift  =  m  =  k * s_w * 2**d * s_a / s_o
        bias                   =  rhe((beta + k * (layer bias - mean)) / s_o / m)

    A batch norm's gain is positive by construction (see `SwitchableBatchNorm`), hence so is m.
    The bias also takes off what zero points add to the sums. A residual of scale ``s_r`` counts
    ``rhe(2**r * s_r / (k * s_w * 2**d * s_a))`` for each code, in sums that are shifted by r.

    Parameters
    ----------
    model : nn.Module
        Runs at the width it ran at before, afterwards.
    input_shape : (height, width, channels)
        Shape of one input.
    name : str
        Name of the graph.
    assignments : mapping of int to int or mapping of str to int, optional
        Widths of the graph, 1…8, each with what it means: what `set_widths` takes. Layers that a
        mapping leaves out have the width itself, or where the network was not built with it, the
        highest. By default every width that it was built with means itself.
    settle : callable, optional
        Called at each width of the graph, with the model that runs as it says: to take statistics
        of batch norms, say.
    provenance : mapping of str to str
        Copied into the graph.

    Returns
    -------
    IntegerGraph

    Raises
    ------
    DownshiftError
        If the model holds a module or an option that the graph cannot express (named by its path
        and type), or an accumulator could leave int32 (named by layer and width).
    """
    source, blocks = network_blocks(model)
    shapes, layers = {INPUT: tuple(input_shape)}, []
    for block in blocks:
        layers.append(_bare_layer(block, shapes[block.source]))
        shapes[block.path] = layers[-1].out_shape(shapes[block.source])
    if len({source.scale[i].item() for i in range(len(source.widths))}) > 1:
        raise DownshiftError("The input has a scale for each width: give its quantizer fixed_scale")

    assignments = assignments or {width: width for width in source.widths}
    logit_scales = {}
    with kept_widths(model):
        for width, means in assignments.items():
            if isinstance(means, Mapping):
                rest = width if width in source.widths else max(source.widths)
                means = {**{block.path: rest for block in blocks}, **means}
            set_widths(model, means)
            if settle is not None:
                settle(model)
            for index, (block, layer) in enumerate(zip(blocks, layers, strict=True)):
                setting = _setting(block, layer, shapes[block.source], width)
                settings = {**layer.settings, width: setting}
                layers[index] = replace(layer, settings=settings)
            scales = _acc_scale(blocks[-1], layers[-1], shapes[blocks[-1].source])
            logit_scales[width] = float(scales[0])  # of all logits
    return IntegerGraph(
        name=name,
        input_shape=tuple(input_shape),
        input_scale=float(source.scale[0]),
        layers=tuple(layers),
        logit_scales=logit_scales,
        provenance=dict(provenance or {}),
    )


def _bare_layer(block: Block, shape: tuple[int, int, int]) -> Layer:
    """The layer without its settings, after checking its options."""
    module, where = block.layer, f"Layer {block.path}"
    quantizer = module.weight_quant.tensor_quant
    if not isinstance(quantizer, DoubleRounding):
        raise DownshiftError(f"{where}: weights must be quantized by DoubleRounding")
    if module.input_quant.is_quant_enabled or module.output_quant.is_quant_enabled:
        raise DownshiftError(f"{where}: quantize activations in QuantIdentity and QuantReLU only")
    if module.bias_quant.is_quant_enabled:
        raise DownshiftError(f"{where}: its bias must be float; lowering makes it int32")
    if block.out is None and quantizer.per_channel:
        raise DownshiftError(
            f"{where} gives logits, which must share one scale: use weight_quant=LogitWeights"
        )
    if not all(bool(p.isfinite().all()) for p in module.parameters()):
        raise DownshiftError(f"{where}: its parameters must be finite; train it again")
    # The switch finds codes of fewer bits at the top of a byte: it then gives what it would there.
    weight = quantizer.codes(module.weight).numpy() << (8 - quantizer.stored_width)
    stride, padding, groups = (1, 1), (0, 0), 1
    if isinstance(module, QuantConv2d):
        if _pair(module.dilation) != (1, 1):
            raise DownshiftError(f"{where}: dilation must be 1")
        if isinstance(module.padding, str) or module.padding_mode != "zeros":
            raise DownshiftError(f"{where}: padding must be given in numbers, of zeros")
        stride, padding = _pair(module.stride), _pair(module.padding)
        if module.groups == module.in_channels == module.out_channels:
            groups = module.groups
        elif module.groups > 1:
            weight = _ungrouped(weight, module.groups)
    elif block.average:
        weight = weight[:, :, None, None]
    else:
        height, width, channels = shape
        if not block.flat and (height, width) != (1, 1):
            raise DownshiftError(f"{where}: a QuantLinear on a map needs a Flatten before it")
        if weight.shape[1] != height * width * channels:
            raise DownshiftError(
                f"{where} expects {weight.shape[1]} inputs, a map of shape {shape} comes in"
            )
        # Flatten runs channel by channel, row by row: so does this kernel that spans the map.
        weight = weight.reshape(-1, channels, height, width)
    pool = block.pool and Pool(size=_pair(block.pool.kernel_size), stride=_pair(block.pool.stride))
    return Layer(
        name=block.path,
        weight=weight,
        stride=stride,
        padding=(padding[0], padding[0], padding[1], padding[1]),
        pool=pool,
        settings={},
        groups=groups,
        source=block.source,
        residual=block.residual,
        average=block.average,
    )


def _ungrouped(weight: np.ndarray, groups: int) -> np.ndarray:
    """Weights of all channels, zero for those of other groups."""
    outputs, inputs = weight.shape[0] // groups, weight.shape[1]
    whole = np.zeros((weight.shape[0], groups * inputs, *weight.shape[2:]), weight.dtype)
    for group in range(groups):
        rows = slice(group * outputs, (group + 1) * outputs)
        whole[rows, group * inputs : (group + 1) * inputs] = weight[rows]
    return whole


@np.errstate(all="ignore")  # what is not finite is refused below
def _setting(block: Block, layer: Layer, shape: tuple[int, int, int], width: int) -> Setting:
    """Integers of a layer at the width that the model runs at; `shape` is that of what enters."""
    where = f"Layer {block.path} at width {width}"
    quantizer, entering = block.layer.weight_quant.tensor_quant, block.entering
    if quantizer.width == 1 and getattr(block.layer, "groups", 1) != layer.groups:
        raise DownshiftError(
            f"{where}: weights of 1 bit have no zero for other groups; leave the width out, or "
            "make the layer dense or depthwise"
        )
    pixels = shape[0] * shape[1] if layer.average else 1
    acc_scale = _acc_scale(block, layer, shape)
    gain, offset = _affine(block, layer)
    if not (np.all(acc_scale > 0) and np.all(gain > 0) and np.all(np.isfinite(offset))):
        raise DownshiftError(f"{where}: scales must be positive and finite; train it again")
    step = gain * acc_scale  # real value of one in the sums

    running = precision_switch(layer.weight, width=quantizer.width)
    running = running.reshape(layer.out_channels, -1).astype(np.float64)
    codes = ((1 << entering.width) - 1) * pixels
    low = np.minimum(running, 0).sum(axis=1) * codes
    high = np.maximum(running, 0).sum(axis=1) * codes
    absorbed = entering.zero_point * pixels * running.sum(axis=1)
    residual_multiplier, residual_shift = None, 0
    if block.residual is not None:
        residual_shift = _residual_shift(quantizer.width, entering.width)
        step = step / (1 << residual_shift)
        low, high, absorbed = (sums * (1 << residual_shift) for sums in (low, high, absorbed))
        counts = np.rint(_scale(block.added) / step)
        if not np.all((counts >= 1) & (counts < 1 << 16)):
            raise DownshiftError(
                f"{where}: a code of the residual {block.residual} would count {counts.min():.0f} "
                f"to {counts.max():.0f} times, 1 to 65,535 is possible; train it again, with less "
                "weight decay"
            )
        high = high + counts * ((1 << block.added.width) - 1)
        absorbed = absorbed + counts * block.added.zero_point
        residual_multiplier = counts.astype(np.uint16)
    bias = np.rint(offset / step) - absorbed

    if block.out is None:
        out_width, zero_point = LOGIT_WIDTH, 0
        multiplier = np.zeros(layer.out_channels, np.uint16)
        shift = np.zeros(layer.out_channels, np.uint8)
    else:
        out_width, zero_point = block.out.width, block.out.zero_point
        factor = step / _scale(block.out)
        try:
            multiplier, shift = fixed_point(factor)
        except ValueError as error:
            raise DownshiftError(f"{where}: {str(error)[0].lower()}{str(error)[1:]}") from None
        # Beyond these every accumulator gives code 0, or the largest: what lies further is as good.
        least = -high - np.ceil(zero_point / factor)
        bias = np.clip(bias, least, np.ceil(((1 << out_width) - zero_point) / factor) - low)

    if not (np.all(low + np.minimum(bias, 0) >= -(2.0**31)) and np.all(high + bias < 2.0**31)):
        raise DownshiftError(
            f"{where}: accumulators may reach {np.max(np.maximum(high + bias, -low - bias)):.0f}, "
            f"beyond int32"
        )
    return Setting(
        weight_width=quantizer.width,
        in_width=entering.width,
        out_width=out_width,
        zero_point_in=entering.zero_point,
        zero_point_out=zero_point,
        bias=bias.astype(np.int32),
        multiplier=multiplier,
        shift=shift,
        residual_multiplier=residual_multiplier,
        residual_shift=residual_shift,
    )


def _acc_scale(block: Block, layer: Layer, shape: tuple[int, int, int]) -> np.ndarray:
    """Real value of one in the products of a layer, by channel, at the running width."""
    pixels = shape[0] * shape[1] if layer.average else 1
    weight_scale = _float64(block.layer.weight_quant.tensor_quant.running_scale).reshape(-1)
    return np.broadcast_to(weight_scale * _scale(block.entering) / pixels, layer.out_channels)


def _affine(block: Block, layer: Layer) -> tuple[np.ndarray, np.ndarray]:
    """What real sums are multiplied with, and what is added then, by channel."""
    gain, offset = np.ones(layer.out_channels), np.zeros(layer.out_channels)
    if block.layer.bias is not None:
        offset = _float64(block.layer.bias)
    if block.norm is not None:
        norm = block.norm.norm
        gain = _float64(block.norm.gain) / np.sqrt(_float64(norm.running_var) + norm.eps)
        offset = _float64(norm.bias) + gain * (offset - _float64(norm.running_mean))
    return gain, offset


def _residual_shift(weight_width: int, in_width: int) -> int:
    """Bits by which sums are shifted for a residual: as high as accelerators have them anyway."""
    shift = 8 - max(weight_width, 2)
    return min(shift, 2) if in_width <= 2 else shift


def _scale(quantizer: ActivationQuantizer) -> np.ndarray:
    return _float64(quantizer.scale[quantizer.index])


def _float64(tensor) -> np.ndarray:
    return tensor.detach().double().numpy()


def _pair(value) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else tuple(value)
