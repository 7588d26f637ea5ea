"""Self-distillation: what one width gives is what another learns from."""

import torch.nn.functional as F
from torch import Tensor

from downshift.sw.data.targets import loss
from downshift.sw.training.config import Distillation

__all__ = ["Lesson"]


class Lesson:
    """The losses of one batch, width after width from the highest.

    Parameters
    ----------
    targets : tensor, shape (n,) or (n, values)
        Classes, or values.
    distillation : Distillation
        Which width teaches which.
    share : float
        Of the teacher in the loss, 0…1.
    temperature : float
        Of teacher and pupil, in the teacher's share.

    Notes
    -----
    Hinton et al., *Distilling the Knowledge in a Neural Network*, arXiv 1503.02531; at a
    temperature of 1 it is the soft target of Huang et al., arXiv 2502.01199.

    Examples
    --------
    >>> import torch
    >>> lesson = Lesson(torch.tensor([0]), Distillation.STAR, share=0.5, temperature=1.0)
    >>> [round(lesson.loss(torch.tensor([[z, 0.0]])).item(), 3) for z in (2.0, 0.0)]
    [0.127, 0.693]
    """

    def __init__(
        self, targets: Tensor, distillation: Distillation, *, share: float, temperature: float
    ):
        self.targets = targets
        self.distillation = distillation
        self.share = share
        self.temperature = temperature
        self._teacher: Tensor | None = None

    def loss(self, outputs: Tensor) -> Tensor:
        """Loss of the next width, from its outputs, (n, classes or values)."""
        teacher, outputs = self._teacher, outputs.float()
        if self.distillation is Distillation.CHAIN or (
            self.distillation is Distillation.STAR and teacher is None
        ):
            self._teacher = outputs.detach()
        hard = loss(outputs, self.targets)
        if teacher is None:
            return hard
        return (1 - self.share) * hard + self.share * self._soft(outputs, teacher)

    def _soft(self, outputs: Tensor, teacher: Tensor) -> Tensor:
        if self.targets.is_floating_point():
            return loss(outputs, teacher)
        shares = (teacher / self.temperature).softmax(dim=1)
        # The square keeps the soft part's gradients as large as the hard part's.
        return F.cross_entropy(outputs / self.temperature, shares) * self.temperature**2
