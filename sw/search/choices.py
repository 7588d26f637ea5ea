"""What of a network there is to choose: layers whose width is free, and those that follow one."""

from collections.abc import Mapping

from torch import nn

from downshift.sw.quantization.activation_quantizer import ActivationQuantizer
from downshift.sw.quantization.network_blocks import Block, network_blocks

__all__ = ["Assignment", "deciding_layers", "expanded"]

Assignment = Mapping[str, int]
"""Width by path of the layer."""


def deciding_layers(model: nn.Module) -> dict[str, str]:
    """Find the layers that switch, each with the one whose width it takes.

    A convolution on a skip takes the width of the layer that adds it. A layer whose weights have 8
    bits at every width, but whose codes have not, takes the width of the first layer that they
    enter. All others decide for themselves.

    Parameters
    ----------
    model : nn.Module
        As `network_blocks` takes it; raises what that raises.

    Returns
    -------
    dict of str to str
        By path, in order; layers where nothing switches are left out.
    """
    _, blocks = network_blocks(model)
    sources = {block.source for block in blocks}
    follows = {}
    for block in blocks:
        if _weights_switch(block):
            adders = [b.path for b in blocks if b.residual == block.path and _weights_switch(b)]
            only_added = adders and block.path not in sources
            follows[block.path] = adders[0] if only_added else block.path
        elif _switches(block.out):
            takers = [b.path for b in blocks if block.path in (b.source, b.residual)]
            follows[block.path] = takers[0]
    # What is followed may follow; where nothing decides in the end, nothing is to be chosen.
    return {path: root for path in follows if (root := _root(path, follows)) is not None}


def expanded(model: nn.Module, assignment: Assignment) -> dict[str, int]:
    """Widths of all layers that switch, from those of the layers that decide."""
    return {path: assignment[root] for path, root in deciding_layers(model).items()}


def _root(path: str, follows: Mapping[str, str]) -> str | None:
    while path in follows and follows[path] != path:
        path = follows[path]
    return path if path in follows else None


def _weights_switch(block: Block) -> bool:
    return block.layer.weight_quant.tensor_quant.pinned_width is None


def _switches(out: ActivationQuantizer | None) -> bool:
    return out is not None and out.pinned_width is None
