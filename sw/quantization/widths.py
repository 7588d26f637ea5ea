"""The running width of a network: one for all layers, or one for each."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches

from torch import nn

from downshift.hw.errors import DownshiftError
from downshift.sw.quantization.activation_quantizer import ActivationQuantizer
from downshift.sw.quantization.double_rounding import DoubleRounding
from downshift.sw.quantization.network_blocks import network_blocks
from downshift.sw.quantization.switchable import SwitchableBatchNorm

__all__ = [
    "SwitchableLayer",
    "kept_widths",
    "select_layers",
    "set_widths",
    "switchable_layers",
]

Part = DoubleRounding | ActivationQuantizer | SwitchableBatchNorm


@dataclass(frozen=True, kw_only=True, eq=False)
class SwitchableLayer:
    """What of a network switches together: weights, their batch norm, and the codes that leave."""

    path: str
    """Of the `QuantConv2d` or `QuantLinear`."""
    source: str
    """Layer that gives what enters; "input" for the network's own."""
    parts: tuple[Part, ...]

    def select(self, width: int) -> None:
        """Run the layer at `width` bits; what is pinned stays as it is."""
        for part in self.parts:
            part.select(width)

    @property
    def running(self) -> int:
        """Width that was selected."""
        return _running(
            next((p for p in self.parts if not isinstance(p, DoubleRounding)), self.parts[0])
        )


def switchable_layers(model: nn.Module) -> dict[str, SwitchableLayer]:
    """Find the layers whose width can be set.

    Parameters
    ----------
    model : nn.Module
        As `network_blocks` takes it; raises what that raises.

    Returns
    -------
    dict of str to SwitchableLayer
        By path, in order.
    """
    _, blocks = network_blocks(model)
    layers = {}
    for block in blocks:
        parts = (block.layer.weight_quant.tensor_quant, block.norm, block.out)
        present = tuple(part for part in parts if part is not None)
        layers[block.path] = SwitchableLayer(path=block.path, source=block.source, parts=present)
    return layers


def set_widths(model: nn.Module, widths: int | Mapping[str, int]) -> None:
    """Set the width of a network, or of some of its layers.

    Pinned quantizers keep their bits: a layer made with `PinnedWeights` or `LogitWeights` runs its
    weights at 8 bits whatever the network does, and `PinnedActivations` stay 8-bit codes.

    Parameters
    ----------
    model : nn.Module
        Holds Brevitas layers with the quantizers of `downshift.sw.quantization.quantizers`.
    widths : int or mapping of str to int
        Width of all, one of those it was built with; or by path of a layer, that of its weights and
        of the codes that leave it. Layers that are not named keep theirs.

    Raises
    ------
    DownshiftError
        If some part does not run at its width, or there is no such layer.
    """
    if not isinstance(widths, Mapping):
        for part in _parts(model):
            part.select(widths)
        return
    layers = switchable_layers(model)
    for path in widths:
        if path not in layers:
            close = get_close_matches(path, layers, n=1) or list(layers)[:1]
            raise DownshiftError(f"There is no layer {path!r}; the nearest name is {close[0]!r}")
    select_layers(layers, widths)


def select_layers(layers: Mapping[str, SwitchableLayer], widths: Mapping[str, int]) -> None:
    """Set the width of some of the layers of a network, as `set_widths` does.

    Parameters
    ----------
    layers : mapping of str to SwitchableLayer
        All of the network.
    widths : mapping of str to int
        By path.
    """
    for path, width in widths.items():
        layers[path].select(width)
    for layer in layers.values():
        for part in layer.parts:
            if isinstance(part, SwitchableBatchNorm):
                before = layers.get(layer.source)
                part.select(part.width, entering=before.running if before else None)


@contextmanager
def kept_widths(model: nn.Module) -> Iterator[None]:
    """Run at other widths for a while."""
    before = [(part, _running(part), getattr(part, "entering", None)) for part in _parts(model)]
    try:
        yield
    finally:
        for part, width, entering in before:
            if isinstance(part, SwitchableBatchNorm):
                part.select(width, entering=entering)
            else:
                part.select(width)


def _parts(model: nn.Module) -> Iterator[Part]:
    return (module for module in model.modules() if isinstance(module, Part))


def _running(part: Part) -> int:
    """Width that was selected; that of codes may be pinned."""
    return part.widths[part.index] if isinstance(part, ActivationQuantizer) else part.width
