"""Networks that run at several widths: a batch norm for each, and the scales that they share."""

import torch.nn.functional as F
from torch import Tensor, nn

from downshift.hw.errors import DownshiftError
from downshift.sw.activation_quantizer import ActivationQuantizer
from downshift.sw.double_rounding import DoubleRounding

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

    Attributes
    ----------
    norms : ModuleDict
        One of torch's batch norms by width.
    width : int
        Running network width.
    """

    kind: type[nn.Module]

    def __init__(self, num_features: int, *, widths: tuple[int, ...]):
        super().__init__()
        self.num_features = num_features
        self.norms = nn.ModuleDict({str(width): self.kind(num_features) for width in widths})
        self.width = widths[0]

    @property
    def norm(self) -> nn.BatchNorm1d | nn.BatchNorm2d:
        """The batch norm of the running width."""
        return self.norms[str(self.width)]

    @property
    def gain(self) -> Tensor:
        """Factor of each channel at the running width, float32, (num_features,)."""
        return self.norm.weight.detach().clamp_min(SMALLEST_GAIN)

    def select(self, width: int) -> None:
        """Normalise with the batch norm of `width`."""
        if str(width) not in self.norms:
            have = ", ".join(self.norms)
            raise DownshiftError(f"Batch norms were trained at widths {have}, not {width!r}")
        self.width = width

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
