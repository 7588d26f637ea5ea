"""What becomes of nodes, and what comes nearest to those that are refused."""

from dataclasses import dataclass

__all__ = ["Fate", "unknown"]


@dataclass(frozen=True, kw_only=True)
class Fate:
    """What became of a node."""

    node: str
    op: str
    outcome: str
    """"supported", "folded" or "refused"."""
    detail: str


NEAREST = {
    "Sigmoid": "at the end of a network it may be left out, inside a Relu or a Clip works",
    "Tanh": "use Clip from -1 to 1",
    "HardSwish": "use Relu",
    "HardSigmoid": "use Clip",
    "LeakyRelu": "use Relu",
    "PRelu": "use Relu",
    "Elu": "use Relu",
    "Gelu": "use Relu",
    "ConvTranspose": "use Conv on a map that is large enough",
    "Resize": "use strides and pools to make maps smaller; nothing makes them larger",
    "Upsample": "use strides and pools to make maps smaller; nothing makes them larger",
    "LSTM": "use convolutions over time",
    "GRU": "use convolutions over time",
    "If": "export one branch",
    "Loop": "export it unrolled",
    "DynamicQuantizeLinear": "quantize activations with fixed scales",
    "InstanceNormalization": "use BatchNormalization",
    "LayerNormalization": "use BatchNormalization",
    "Split": "use a convolution that gives only the channels of one part",
    "Sum": "use Add",
}
"""What comes nearest to operators that are refused."""


def unknown(op: str) -> str:
    """Say why an operator that is not there is refused, and what would work.

    Examples
    --------
    >>> unknown("PRelu")
    'PRelu is not supported; use Relu'
    """
    nearest = NEAREST.get(op)
    if nearest is None:
        return f"{op} is not among what runs on the accelerator; see `downshift import --help`"
    return f"{op} is not supported; {nearest}"
