"""Layers with quantized weights, made of FP32 ones."""

import torch
from brevitas.nn import QuantConv2d, QuantLinear
from torch import nn

from downshift.sw.quantization.switchable import SwitchableBatchNorm

__all__ = ["make_positive", "quantized_layer"]


@torch.no_grad()
def quantized_layer(
    layer: nn.Conv2d | nn.Linear, weight_quant, **options
) -> QuantConv2d | QuantLinear:
    """Make the same layer with quantized weights; weights and bias are copies.

    Options are those of `DoubleRounding`; they take precedence over what `weight_quant` says.
    """
    bias = layer.bias is not None
    options = {"weight_quant": weight_quant} | {f"weight_{k}": v for k, v in options.items()}
    if isinstance(layer, nn.Linear):
        quantized = QuantLinear(layer.in_features, layer.out_features, bias=bias, **options)
    else:
        quantized = QuantConv2d(
            layer.in_channels, layer.out_channels, layer.kernel_size, stride=layer.stride,
            padding=layer.padding, dilation=layer.dilation, groups=layer.groups, bias=bias,
            padding_mode=layer.padding_mode, **options,
        )  # fmt: skip
    quantized.weight.copy_(layer.weight)
    if bias:
        quantized.bias.copy_(layer.bias)
    quantized.weight_quant.tensor_quant.start_from(quantized.weight)
    return quantized


@torch.no_grad()
def make_positive(
    quantized: SwitchableBatchNorm, norm: nn.Module, layer: QuantConv2d | QuantLinear
) -> None:
    """Move signs of a batch norm's factors into the weights before it.

    The function stays the same, and `quantized` keeps factors that are positive.
    """
    sign = torch.where(norm.weight < 0, -1.0, 1.0)
    for own in quantized.norms.values():
        own.weight.mul_(sign)
        own.running_mean.mul_(sign)
    layer.weight.mul_(sign.view(-1, *[1] * (layer.weight.ndim - 1)))
    if layer.bias is not None:
        layer.bias.mul_(sign)
