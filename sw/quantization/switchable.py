"""Networks that run at several widths: a batch norm for each, and the scales that they share."""

import torch.nn.functional as F
from torch import Tensor, nn

from downshift.hw.errors import DownshiftError
from downshift.sw.quantization.activation_quantizer import ActivationQuantizer
from downshift.sw.quantization.double_rounding import DoubleRounding

__all__ = [
    "SwitchableBatchNorm",
    "SwitchableBatchNorm1d",
    "SwitchableBatchNorm2d",
    "scale_parameters",
]

SMALLEST_GAIN = 2.0**-10
"""Least factor of a normalised channel: the requantizer's multiplier is unsigned and never zero."""


class SwitchableBatchNorm(nn.Module):
    """A full batch norm for each width of the network: what its two shapes have in common.

    The factor of every channel is kept positive, at least `SMALLEST_GAIN`. It folds into an
    unsigned multiplier, and a sign cannot move into the weights: they are stored once for all
    widths, and -128 has no negative.

    Parameters
    ----------
    num_features : int
        Channels.
    widths : tuple of int
        Network widths, 1…8.
    transitional : bool
        Whether there is one for each width together with each width of the layer before.

    Attributes
    ----------
    norms : ModuleDict
        One of torch's batch norms by width; if transitional, by that of the layer before and by its
        own, as in "8-4".
    width : int
        Running width of its layer.
    entering : int
        Running width of the layer before; it counts only if transitional.

    Notes
    -----
    Transitional batch norms: Bulat and Tzimiropoulos, *Bit-Mixer*, arXiv 2103.17267.
    """

    kind: type[nn.Module]

    def __init__(self, num_features: int, *, widths: tuple[int, ...], transitional: bool = False):
        super().__init__()
        self.num_features = num_features
        self.widths = tuple(widths)
        self.transitional = transitional
        names = [str(width) for width in widths]
        if transitional:
            names = [f"{before}-{own}" for before in names for own in names]
        self.norms = nn.ModuleDict({name: self.kind(num_features) for name in names})
        self.select(widths[0])

    @property
    def norm(self) -> nn.BatchNorm1d | nn.BatchNorm2d:
        """The batch norm of the running width."""
        name = f"{self.entering}-{self.width}" if self.transitional else str(self.width)
        return self.norms[name]

    @property
    def gain(self) -> Tensor:
        """Factor of each channel at the running width, float32, (num_features,)."""
        return self.norm.weight.detach().clamp_min(SMALLEST_GAIN)

    def select(self, width: int, *, entering: int | None = None) -> None:
        """Normalise as at `width`; unless told otherwise, the layer before runs at it as well."""
        for asked in (width, width if entering is None else entering):
            if asked not in self.widths:
                have = ", ".join(map(str, self.widths))
                raise DownshiftError(f"Batch norms were trained at widths {have}, not {asked!r}")
        self.width = width
        self.entering = width if entering is None else entering

    def start_from(self, norm: nn.BatchNorm1d | nn.BatchNorm2d) -> None:
        """Copy an FP32 batch norm into that of every width."""
        for own in self.norms.values():
            own.load_state_dict(norm.state_dict())
            own.eps = norm.eps

    def forward(self, x):
        """Normalise; (n, num_features, height, width), or without the last two."""
        norm = self.norm
        if not self.training:
            return F.batch_norm(
                x, norm.running_mean, norm.running_var, self.gain, norm.bias, eps=norm.eps
            )
        # A projection, so that the gradient can still pull the factor up again.
        norm.weight.data.clamp_min_(SMALLEST_GAIN)
        return norm(x)


class SwitchableBatchNorm2d(SwitchableBatchNorm):
    """A batch norm of maps for each width of the network; (n, num_features, height, width)."""

    kind = nn.BatchNorm2d


class SwitchableBatchNorm1d(SwitchableBatchNorm):
    """A batch norm of vectors for each width of the network; (n, num_features)."""

    kind = nn.BatchNorm1d


def scale_parameters(model: nn.Module) -> list[nn.Parameter]:
    """Learned scales of all quantizers, in the order of the modules."""
    scales = []
    for module in model.modules():
        if isinstance(module, DoubleRounding | ActivationQuantizer):
            scales += [module.scale, getattr(module, "correction", None)]
    return [scale for scale in scales if isinstance(scale, nn.Parameter)]
