"""How quantizer scales learn: relative Adam steps, with moments of its own for every width."""

from enum import StrEnum
from typing import Any

import torch
from torch import Tensor

__all__ = ["RateScaling", "ScaleAdam", "ScaleRates"]

ETA_DECAY = 0.99
"""Of the mean squares that `RateScaling.MEASURED` compares; some hundred steps."""
LEAST = 1e-3
"""Of a rate, where every gradient saturates or is noise: no width stops for good."""


class RateScaling(StrEnum):
    """How the learning rate of the scales depends on the width (ALRS)."""

    INTENT = "intent"
    """Attenuated by width, and by the size of the scales' gradients."""
    MEASURED = "measured"
    """Attenuated, scale by scale, by how much larger its gradients are than at the top width."""
    CONSTANT = "constant"
    """Attenuated by width."""
    NONE = "none"
    """The rate of the weights."""


class ScaleRates:
    """Learning rates of the scales at each width; always positive.

    With eta 1, 0.5, 0.1, 0.05, 0.01, 0.005, 0.001 for a difference of 0…6 bits to the stored width
    (the inverse of how fast the rounding noise of a shared scale's gradient grows), and m the mean
    over the scales of their largest gradient, each at most 1, a rate is that of the weights times

    - ``eta * (1 - m)`` as intended,
    - ``eta`` if constant,
    - the running root mean square of the scale's gradient at the highest width, over that at this
      width, if measured: at most 1,
    - 1 if none.

    Parameters
    ----------
    scaling : RateScaling
    widths : tuple of int
        Network widths, highest first.
    stored_width : int
        Bits of the stored weights.

    Notes
    -----
    Adaptive learning-rate scaling, Huang et al., arXiv 2502.01199, eq. 6, read as ``1 - m`` times
    the rate: as printed, ``rate - m``, it is negative at the gradients the paper itself shows.

    Examples
    --------
    >>> rates = ScaleRates(RateScaling.INTENT, widths=(8, 4), stored_width=8)
    >>> rates.at(4, 0.1, [torch.tensor([0.5, -0.25])])
    [0.0005]
    """

    def __init__(self, scaling: RateScaling, *, widths: tuple[int, ...], stored_width: int):
        self.scaling = scaling
        self.widths = widths
        self.stored_width = stored_width
        self._squares: dict[int, list[float]] = {}

    def at(self, width: int, rate: float, gradients: list[Tensor | None]) -> list[float]:
        """Rates of one step.

        Parameters
        ----------
        width : int
            Running width, bits.
        rate : float
            Learning rate of the weights, positive.
        gradients : list of Tensor or None
            Of every scale at this width.

        Returns
        -------
        list of float
            One for each scale.
        """
        if self.scaling is RateScaling.NONE:
            factors = [1.0] * len(gradients)
        elif self.scaling is RateScaling.MEASURED:
            factors = self._measured(width, gradients)
        else:
            factors = [self._eta(width) * self._calm(gradients)] * len(gradients)
        return [rate * factor for factor in factors]

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs."""
        return {"squares": self._squares}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self._squares = {int(width): list(values) for width, values in state["squares"].items()}

    def _eta(self, width: int) -> float:
        whole, odd = divmod(self.stored_width - width, 2)
        return 0.5 * 10.0**-whole if odd else 10.0**-whole

    def _calm(self, gradients: list[Tensor | None]) -> float:
        present = [g for g in gradients if g is not None]
        if self.scaling is RateScaling.CONSTANT or not present:
            return 1.0
        largest = torch.stack([g.abs().amax() for g in present]).clamp_(max=1.0)
        return max(1.0 - float(largest.mean()), LEAST)

    def _measured(self, width: int, gradients: list[Tensor | None]) -> list[float]:
        zero = next((g.new_zeros(()) for g in gradients if g is not None), torch.zeros(()))
        # One transfer, however many scales there are.
        norms = [zero if g is None else g.detach().square().sum() for g in gradients]
        squares = torch.stack(norms).tolist()
        before = self._squares.get(width, squares)
        running = [
            ETA_DECAY * old + (1 - ETA_DECAY) * new
            for old, new in zip(before, squares, strict=True)
        ]
        self._squares[width] = running
        top = self._squares.get(self.widths[0], running)
        return [
            min(1.0, max(LEAST, (high / low) ** 0.5)) if low > 0 else 1.0
            for high, low in zip(top, running, strict=True)
        ]


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
        self.sizes = [scale.numel() for scale in self.scales]
        self._moments: dict[int, Tensor] = {}  # (2, sum of sizes), by width
        self._steps: dict[int, int] = {}

    @property
    def gradients(self) -> list[Tensor | None]:
        """Gradients at hand; None for a scale that took no part in the last backward."""
        return [scale.grad for scale in self.scales]

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for scale in self.scales:
            scale.grad = None

    @torch.no_grad()
    def step(self, *, width: int, rates: list[float]) -> None:
        """Step with the gradients of one width.

        Parameters
        ----------
        width : int
            Network width that the gradients come from; 0 for a sum over all.
        rates : list of float
            Largest relative change of each scale, roughly.
        """
        if not self.scales:
            return
        # All scales in one vector: there are many, and all are small.
        scales = torch.cat([scale.reshape(-1) for scale in self.scales])
        slopes = scales * torch.cat(
            [
                torch.zeros_like(scale).reshape(-1)
                if scale.grad is None
                else scale.grad.reshape(-1)
                for scale in self.scales
            ]
        )
        if width not in self._moments:
            self._moments[width], self._steps[width] = torch.zeros_like(scales).repeat(2, 1), 0
        self._steps[width] += 1
        first, second = self._moments[width]
        first_decay, second_decay = self.betas
        first.lerp_(slopes, 1 - first_decay)
        second.mul_(second_decay).addcmul_(slopes, slopes, value=1 - second_decay)
        # Both bias corrections of Adam in one factor.
        count = self._steps[width]
        correction = (1 - second_decay**count) ** 0.5 / (1 - first_decay**count)
        largest = torch.repeat_interleave(torch.tensor(rates), torch.tensor(self.sizes))
        largest = largest.to(scales) * -correction
        factors = (first / second.sqrt().add_(1e-12)).mul_(largest).exp_()
        for scale, factor in zip(self.scales, factors.split(self.sizes), strict=True):
            scale.mul_(factor.view_as(scale))

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs."""
        return {"moments": self._moments, "steps": self._steps}

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there; raises ValueError if the scales were others."""
        moments = {int(width): pair for width, pair in state["moments"].items()}
        if any(pair.shape != (2, sum(self.sizes)) for pair in moments.values()):
            raise ValueError(f"Moments must be of {sum(self.sizes)} scales")
        where = self.scales[0] if self.scales else None
        self._moments = {width: pair.to(where) for width, pair in moments.items()}
        self._steps = {int(width): int(count) for width, count in state["steps"].items()}
