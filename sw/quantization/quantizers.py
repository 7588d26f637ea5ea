"""Brevitas quantizers whose width changes at run time; leaf classes set only widths."""

from brevitas.inject import ExtendedInjector
from brevitas.proxy import ActQuantProxyFromInjector, WeightQuantProxyFromInjector

from downshift.sw.quantization.activation_quantizer import ActivationQuantizer
from downshift.sw.quantization.double_rounding import DoubleRounding

__all__ = [
    "InputActivations",
    "LogitWeights",
    "OffsetActivations",
    "PinnedActivations",
    "PinnedOffsetActivations",
    "PinnedWeights",
    "SwitchableActivations",
    "SwitchableWeights",
]


class _WeightProxy(WeightQuantProxyFromInjector):
    """Brevitas rebuilds a quantizer whenever a state dict is loaded; the running width survives."""

    def init_tensor_quant(self, preserve_state_dict=False):
        before = self.tensor_quant
        super().init_tensor_quant(preserve_state_dict)
        if before is not None:
            self.tensor_quant.width = before.width


class _ActivationProxy(ActQuantProxyFromInjector):
    """Brevitas rebuilds a quantizer whenever a state dict is loaded; the running width survives."""

    def init_tensor_quant(self):
        before = getattr(self, "fused_activation_quant_proxy", None)
        super().init_tensor_quant()
        if before is not None:
            after = self.fused_activation_quant_proxy.tensor_quant
            after.select(before.tensor_quant.widths[before.tensor_quant.index])


class _DoubleRoundedWeights(ExtendedInjector):
    proxy_class = _WeightProxy
    tensor_quant = DoubleRounding
    signed = True
    narrow_range = False
    compat = None
    corrected_widths = ()
    centred = False


class _PerChannel(ExtendedInjector):
    per_channel = True


class _PerTensor(ExtendedInjector):
    per_channel = False


class _UnsignedActivations(ExtendedInjector):
    proxy_class = _ActivationProxy
    tensor_quant = ActivationQuantizer
    signed = False
    narrow_range = False
    offset = False


class SwitchableWeights(_DoubleRoundedWeights, _PerChannel):
    """`weight_quant` of a layer that follows the width of the network."""

    stored_width = 8
    pinned_width = None


class PinnedWeights(_DoubleRoundedWeights, _PerChannel):
    """`weight_quant` of a layer that always runs at 8 bits, such as the first one."""

    stored_width = 8
    pinned_width = 8


class LogitWeights(_DoubleRoundedWeights, _PerTensor):
    """`weight_quant` of the last layer: 8 bits, one scale for all logits."""

    stored_width = 8
    pinned_width = 8


class SwitchableActivations(_UnsignedActivations):
    """`act_quant` of activations that follow the width of the network; takes `widths`."""

    pinned_width = None
    fixed_scale = None


class PinnedActivations(_UnsignedActivations):
    """`act_quant` of 8-bit activations, such as the last layer's input; takes `widths`."""

    pinned_width = 8
    fixed_scale = None


class OffsetActivations(_UnsignedActivations):
    """`act_quant` of activations that may be negative: zero has a trained code; takes `widths`."""

    pinned_width = None
    fixed_scale = None
    offset = True


class PinnedOffsetActivations(_UnsignedActivations):
    """`act_quant` of 8-bit activations that may be negative; takes `widths`."""

    pinned_width = 8
    fixed_scale = None
    offset = True


class InputActivations(_UnsignedActivations):
    """`act_quant` of the network's 8-bit input; takes `widths` and `fixed_scale`."""

    pinned_width = 8
