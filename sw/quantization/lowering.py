"""Lowering: a trained switchable network to an integer graph."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from brevitas.nn import QuantConv2d
from torch import nn

from downshift.hw.errors import DownshiftError
from downshift.sw.graph.integer_graph import INPUT, IntegerGraph, Layer, Pool, Setting
from downshift.sw.graph.integer_setting import Codes, integer_setting
from downshift.sw.graph.kernels import ungrouped
from downshift.sw.quantization.activation_quantizer import ActivationQuantizer
from downshift.sw.quantization.double_rounding import DoubleRounding
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

    Per layer, width and channel, with input scale ``s_a``, running weight scale ``s_w * 2**d`` and
    a batch norm of factor ``k = gain / sqrt(var + eps)``, `integer_setting` is given::

        step    =  k * s_w * 2**d * s_a
        offset  =  beta + k * (layer bias - mean)

    A batch norm's gain is positive by construction (see `SwitchableBatchNorm`), hence so is a step.

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
    shapes, layers, pixels = {INPUT: tuple(input_shape)}, [], []
    for block in blocks:
        height, columns, _ = shape = shapes[block.source]
        layers.append(_bare_layer(block, shape))
        pixels.append(height * columns if block.average else 1)
        shapes[block.path] = layers[-1].out_shape(shape)
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
                setting = _setting(block, layer, pixels[index], width)
                settings = {**layer.settings, width: setting}
                layers[index] = replace(layer, settings=settings)
            # One for all logits.
            logit_scales[width] = float(_acc_scale(blocks[-1], layers[-1], pixels[-1])[0])
    return IntegerGraph(
        name=name,
        input_shape=tuple(input_shape),
        input_scale=float(source.scale[0]),
        layers=tuple(layers),
        input_offset=0.0 - source.zero_point * source.scale[0].item(),
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
            weight = ungrouped(weight, module.groups)
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


@np.errstate(all="ignore")  # what is not finite is refused below
def _setting(block: Block, layer: Layer, pixels: int, width: int) -> Setting:
    """Integers of a layer at the width that the model runs at."""
    where = f"Layer {block.path} at width {width}"
    quantizer = block.layer.weight_quant.tensor_quant
    if quantizer.width == 1 and getattr(block.layer, "groups", 1) != layer.groups:
        raise DownshiftError(
            f"{where}: weights of 1 bit have no zero for other groups; leave the width out, or "
            "make the layer dense or depthwise"
        )
    acc_scale = _acc_scale(block, layer, pixels)
    gain, offset = _affine(block, layer)
    if not (np.all(acc_scale > 0) and np.all(gain > 0)):
        raise DownshiftError(f"{where}: scales must be positive and finite; train it again")
    return integer_setting(
        layer,
        where=where,
        weight_width=quantizer.running_width,
        centred=quantizer.is_centred,
        step=gain * acc_scale,
        offset=offset,
        entering=_codes(block.entering),
        out=block.out and _codes(block.out),
        added=None if block.residual is None else _codes(block.added),
        pixels=pixels,
        remedy="train it again, with less weight decay",
    )


def _acc_scale(block: Block, layer: Layer, pixels: int) -> np.ndarray:
    """Real value of one in the products of a layer, by channel, at the running width."""
    weight_scale = _float64(block.layer.weight_quant.tensor_quant.running_scale).reshape(-1)
    return np.broadcast_to(weight_scale * _codes(block.entering).scale / pixels, layer.out_channels)


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


def _codes(quantizer: ActivationQuantizer) -> Codes:
    """Codes that a quantizer gives at the running width."""
    return Codes(
        scale=quantizer.scale[quantizer.index].item(),
        width=quantizer.width,
        zero_point=quantizer.zero_point,
    )


def _float64(tensor) -> np.ndarray:
    return tensor.detach().double().numpy()


def _pair(value) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else tuple(value)
