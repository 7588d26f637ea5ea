"""Lowering: a trained switchable network to an integer graph, the one step that ends the floats."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from brevitas.nn import QuantConv2d, QuantIdentity, QuantLinear, QuantReLU
from torch import nn

from downshift.hw.errors import DownshiftError
from downshift.sw.activation_quantizer import ActivationQuantizer
from downshift.sw.double_rounding import DoubleRounding
from downshift.sw.fixed_point import fixed_point
from downshift.sw.integer_graph import LOGIT_WIDTH, IntegerGraph, Layer, Pool, Setting
from downshift.sw.switchable import SwitchableBatchNorm2d, set_widths

__all__ = ["lower"]

CHAIN = (
    "QuantIdentity, then QuantConv2d or QuantLinear, SwitchableBatchNorm2d, QuantReLU, MaxPool2d, "
    "and Flatten before the first QuantLinear"
)


@dataclass(frozen=True, kw_only=True)
class _Block:
    """One layer of the graph, as the modules it is made of."""

    path: str
    layer: QuantConv2d | QuantLinear
    norm: SwitchableBatchNorm2d | None
    out: ActivationQuantizer | None
    pool: nn.MaxPool2d | None
    flat: bool
    """Whether the input was flattened before it entered."""


def lower(
    model: nn.Module,
    *,
    input_shape: tuple[int, int, int],
    name: str = "network",
    provenance: Mapping[str, str] | None = None,
) -> IntegerGraph:
    """Turn a trained network into integers, at every width it was built with.

    The network is a chain: `QuantIdentity`, then layers of `QuantConv2d` or `QuantLinear`, each
    with an optional `SwitchableBatchNorm2d`, a `QuantReLU` and an optional `MaxPool2d`; `Flatten`
    before the first `QuantLinear`; the last layer gives logits and ends the chain. `Sequential`
    nests, `Identity` and `Dropout` vanish.

    Per layer, width and channel, with input scale ``s_a``, running weight scale ``s_w * 2**d``,
    output scale ``s_o`` and a batch norm of factor ``k = gain / sqrt(var + eps)``::

        multiplier / 2**shift  =  m  =  k * s_w * 2**d * s_a / s_o
        bias                   =  rhe((beta + k * (layer bias - mean)) / s_o / m)

    A batch norm's gain is positive by construction (see `SwitchableBatchNorm2d`), hence so is m.

    Parameters
    ----------
    model : nn.Module
        Runs at the width it ran at before, afterwards.
    input_shape : (height, width, channels)
        Shape of one input.
    name : str
        Name of the graph.
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
    source, blocks = _blocks(list(_leaves(model)))
    shape, layers = tuple(input_shape), []
    for block in blocks:
        layers.append(_bare_layer(block, shape))
        shape = layers[-1].out_shape(shape)
    if len({source.scale[i].item() for i in range(len(source.widths))}) > 1:
        raise DownshiftError("The input has a scale for each width: give its quantizer fixed_scale")

    before = source.widths[source.index]
    try:
        for width in source.widths:
            set_widths(model, width)
            entering = source
            for index, block in enumerate(blocks):
                setting = _setting(block, layers[index], entering, width)
                settings = {**layers[index].settings, width: setting}
                layers[index] = replace(layers[index], settings=settings)
                entering = block.out
    finally:
        set_widths(model, before)
    return IntegerGraph(
        name=name,
        input_shape=tuple(input_shape),
        input_scale=float(source.scale[0]),
        layers=tuple(layers),
        provenance=dict(provenance or {}),
    )


def _leaves(module: nn.Module, path: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Path and module of every link of the chain, nested `Sequential` unrolled."""
    if isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward:
        for name, child in module.named_children():
            yield from _leaves(child, f"{path}.{name}" if path else name)
    elif not isinstance(module, nn.Identity | nn.Dropout):
        yield path or "model", module


def _blocks(leaves: list[tuple[str, nn.Module]]) -> tuple[ActivationQuantizer, list[_Block]]:
    """Quantizer of the input, and the chain cut into layers."""
    leaves = leaves[::-1]
    entrance = _take(leaves, QuantIdentity)
    if entrance is None:
        raise DownshiftError("A network must begin with a QuantIdentity that quantizes its input")
    source = _activations(*entrance)
    blocks: list[_Block] = []
    while not blocks or blocks[-1].out is not None:
        flat = _take(leaves, nn.Flatten) is not None
        layer = _take(leaves, QuantConv2d | QuantLinear)
        if layer is None:
            break
        norm = _take(leaves, SwitchableBatchNorm2d)
        relu = _take(leaves, QuantReLU)
        pool = _take(leaves, nn.MaxPool2d) if relu else None
        blocks.append(
            _Block(
                path=layer[0],
                layer=layer[1],
                norm=norm and norm[1],
                out=relu and _activations(*relu),
                pool=pool and _checked_pool(*pool),
                flat=flat,
            )
        )
    if leaves:
        path, module = leaves[-1]
        raise DownshiftError(
            f"Module {path} of type {type(module).__name__} cannot be lowered in its place; a "
            f"network is a chain of {CHAIN}"
        )
    if not blocks or blocks[-1].out is not None or blocks[-1].norm is not None:
        raise DownshiftError("A network must end with a layer that gives logits")
    if blocks[-1].layer.weight_quant.tensor_quant.per_channel:
        raise DownshiftError(
            f"Layer {blocks[-1].path} gives logits, which must share one scale: "
            f"use weight_quant=LogitWeights"
        )
    return source, blocks


def _take(leaves, kind):
    """Pop the next module of a reversed chain if it is of `kind`."""
    return leaves.pop() if leaves and isinstance(leaves[-1][1], kind) else None


def _activations(path: str, module: QuantIdentity | QuantReLU) -> ActivationQuantizer:
    fused = module.act_quant.fused_activation_quant_proxy
    quantizer = getattr(fused, "tensor_quant", None)
    if not isinstance(quantizer, ActivationQuantizer):
        raise DownshiftError(f"Module {path} must be quantized by SwitchableActivations or its kin")
    return quantizer


def _checked_pool(path: str, pool: nn.MaxPool2d) -> nn.MaxPool2d:
    if _pair(pool.padding) != (0, 0) or _pair(pool.dilation) != (1, 1) or pool.ceil_mode:
        raise DownshiftError(
            f"Module {path} of type MaxPool2d must have no padding, dilation or ceil_mode"
        )
    return pool


def _pair(value) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else tuple(value)


def _bare_layer(block: _Block, shape: tuple[int, int, int]) -> Layer:
    """The layer without its settings, after checking its options."""
    module, where = block.layer, f"Layer {block.path}"
    quantizer = module.weight_quant.tensor_quant
    if not isinstance(quantizer, DoubleRounding) or quantizer.stored_width != 8:
        raise DownshiftError(f"{where}: weights must be quantized by DoubleRounding, stored 8-bit")
    if module.input_quant.is_quant_enabled or module.output_quant.is_quant_enabled:
        raise DownshiftError(f"{where}: quantize activations in QuantIdentity and QuantReLU only")
    if module.bias_quant.is_quant_enabled:
        raise DownshiftError(f"{where}: its bias must be float; lowering makes it int32")
    if not all(bool(p.isfinite().all()) for p in module.parameters()):
        raise DownshiftError(f"{where}: its parameters must be finite; train it again")
    weight = quantizer.codes(module.weight).numpy()
    stride, padding = (1, 1), (0, 0)
    if isinstance(module, QuantConv2d):
        if module.groups != 1 or _pair(module.dilation) != (1, 1):
            raise DownshiftError(f"{where}: groups and dilation must be 1")
        if isinstance(module.padding, str) or module.padding_mode != "zeros":
            raise DownshiftError(f"{where}: padding must be given in numbers, of zeros")
        stride, padding = _pair(module.stride), _pair(module.padding)
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
    )


@np.errstate(all="ignore")  # what is not finite is refused below
def _setting(block: _Block, layer: Layer, entering: ActivationQuantizer, width: int) -> Setting:
    """Integers of a layer at the width that the model runs at."""
    where = f"Layer {block.path} at width {width}"
    quantizer = block.layer.weight_quant.tensor_quant
    drop = quantizer.stored_width - quantizer.width
    in_scale = _float64(entering.scale[entering.index])
    acc_scale = _float64(quantizer.scale).reshape(-1) * 2.0**drop * in_scale
    acc_scale = np.broadcast_to(acc_scale, layer.out_channels)
    gain, offset = np.float64(1.0), np.zeros(layer.out_channels)
    if block.layer.bias is not None:
        offset = _float64(block.layer.bias)
    if block.norm is not None:
        norm = block.norm.norm
        gain = _float64(block.norm.gain) / np.sqrt(_float64(norm.running_var) + norm.eps)
        offset = _float64(norm.bias) + gain * (offset - _float64(norm.running_mean))
    if not (np.all(acc_scale > 0) and np.all(gain > 0) and np.all(np.isfinite(offset))):
        raise DownshiftError(f"{where}: scales must be positive and finite; train it again")

    top = 1 << (quantizer.width - 1)
    running = np.clip(np.rint(layer.weight / 2.0**drop), -top, top - 1)
    running = running.reshape(layer.out_channels, -1) * ((1 << entering.width) - 1)
    low, high = np.minimum(running, 0).sum(axis=1), np.maximum(running, 0).sum(axis=1)
    bias = np.rint(offset / (gain * acc_scale))

    if block.out is None:
        out_width = LOGIT_WIDTH
        multiplier = np.zeros(layer.out_channels, np.uint16)
        shift = np.zeros(layer.out_channels, np.uint8)
    else:
        out_width = block.out.width
        factor = gain * acc_scale / _float64(block.out.scale[block.out.index])
        try:
            multiplier, shift = fixed_point(factor)
        except ValueError as error:
            raise DownshiftError(f"{where}: {str(error)[0].lower()}{str(error)[1:]}") from None
        # Beyond these every accumulator gives code 0, or the largest: what lies further is as good.
        bias = np.clip(bias, -high, np.ceil((1 << out_width) / factor) - low)

    if not (np.all(low + np.minimum(bias, 0) >= -(2.0**31)) and np.all(high + bias < 2.0**31)):
        raise DownshiftError(
            f"{where}: accumulators may reach {np.max(np.maximum(high + bias, -low - bias)):.0f}, "
            f"beyond int32"
        )
    return Setting(
        weight_width=quantizer.width,
        in_width=entering.width,
        out_width=out_width,
        zero_point_in=0,
        zero_point_out=0,
        bias=bias.astype(np.int32),
        multiplier=multiplier,
        shift=shift,
    )


def _float64(tensor) -> np.ndarray:
    return tensor.detach().double().numpy()
