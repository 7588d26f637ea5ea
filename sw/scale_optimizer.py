"""How quantizer scales learn: relative Adam steps, with moments of its own for every width."""

from enum import StrEnum

import torch
from torch import Tensor

__all__ = ["RateScaling", "ScaleAdam", "adapted_rate"]


class RateScaling(StrEnum):
    """How the learning rate of the scales depends on the width (ALRS)."""

    INTENT = "intent"
    """Attenuated by width, and by the size of the scales' gradients."""
    CONSTANT = "constant"
    """Attenuated by width."""
    NONE = "none"
    """The rate of the weights."""


def adapted_rate(
    rate: float, *, width: int, stored_width: int, gradients: list[Tensor], scaling: RateScaling
) -> float:
    """Learning rate of the scales at one width; always positive.

    Parameters
    ----------
    rate : float
        Learning rate of the weights, positive.
    width, stored_width : int
        Running and highest width, bits.
    gradients : list of Tensor
        Gradient of each scale at this width.
    scaling : RateScaling

    Returns
    -------
    float
        ``eta * rate * (1 - m)``: eta is 1, 0.5, 0.1, 0.05, 0.01, 0.005, 0.001 for a difference of
        0…6 bits, which is the inverse of how fast the rounding noise of a shared scale's gradient
        grows; m is the mean over the scales of their largest gradient, each at most 1.

    Notes
    -----
    Adaptive learning-rate scaling, Huang et al., arXiv 2502.01199, eq. 6, read as ``1 - m`` times
    the rate: as printed, ``rate - m``, it is negative at the gradients the paper itself shows.

    Examples
    --------
    >>> adapted_rate(0.1, width=4, stored_width=8, gradients=[torch.tensor([0.5, -0.25])],
    ...              scaling=RateScaling.INTENT)
    0.0005
    """
    if scaling is RateScaling.NONE:
        return rate
    whole, odd = divmod(stored_width - width, 2)
    eta = 0.5 * 10.0**-whole if odd else 10.0**-whole
    if scaling is RateScaling.CONSTANT or not gradients:
        return eta * rate
    largest = [min(float(g.abs().max()), 1.0) for g in gradients]
    # A thousandth is left where every gradient saturates, so that no width stops for good.
    return eta * rate * max(1.0 - sum(largest) / len(largest), 1e-3)


class ScaleAdam:
    """Adam on the logarithm of scales: steps are relative, and a scale stays positive.

    Moments are kept per width: a scale that all widths share would otherwise take its second
    moment from the noisiest one.

    Parameters
    ----------
    scales : list of Parameter
        Positive.
    betas : (float, float)
        Decay of the first and of the second moment per step.
    """

    def __init__(self, scales, *, betas: tuple[float, float] = (0.9, 0.999)):
        self.scales = list(scales)
        self.betas = betas
        self._moments: dict[int, list[tuple[Tensor, Tensor]]] = {}
        self._steps: dict[int, int] = {}

    @property
    def gradients(self) -> list[Tensor]:
        """Gradients at hand, one for each scale that took part in the last backward."""
        return [scale.grad for scale in self.scales if scale.grad is not None]

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for scale in self.scales:
            scale.grad = None

    @torch.no_grad()
    def step(self, *, width: int, rate: float) -> None:
        """Step with the gradients of one width.

        Parameters
        ----------
        width : int
            Network width that the gradients come from.
        rate : float
            Largest relative change of a scale, roughly.
        """
        if width not in self._moments:
            zeros = [(torch.zeros_like(s), torch.zeros_like(s)) for s in self.scales]
            self._moments[width], self._steps[width] = zeros, 0
        self._steps[width] += 1
        first_decay, second_decay = self.betas
        # Both bias corrections of Adam in one factor.
        count = self._steps[width]
        correction = (1 - second_decay**count) ** 0.5 / (1 - first_decay**count)
        for scale, (first, second) in zip(self.scales, self._moments[width], strict=True):
            if scale.grad is None:
                continue
            slope = scale.grad * scale
            first.lerp_(slope, 1 - first_decay)
            second.mul_(second_decay).addcmul_(slope, slope, value=1 - second_decay)
            step = first / second.sqrt().add_(1e-12)
            scale.mul_(step.mul_(-rate * correction).exp_())
