"""The second phase: one set of weights learns at all widths."""

from typing import Any

import torch
from torch import nn

from downshift.sw.data.images import Images
from downshift.sw.quantization.switchable import scale_parameters
from downshift.sw.quantization.widths import set_widths
from downshift.sw.training.batches import Batch, as_learned
from downshift.sw.training.calibration import calibrate, recalibrate_norms
from downshift.sw.training.config import Stepping, TrainingConfig
from downshift.sw.training.distillation import Lesson
from downshift.sw.training.evaluation import accuracies
from downshift.sw.training.phase import Phase
from downshift.sw.training.processes import Processes
from downshift.sw.training.scale_optimizer import ScaleAdam, ScaleRates

__all__ = ["JointPhase"]

ALL = 0
"""In place of a width: moments of a step on the sum of all losses."""


class JointPhase(Phase):
    """A switchable network learns at all its widths.

    Every batch visits the widths from high to low; at each, the weights step with the learning
    rate and the scales with that of `ScaleRates`, or all step once on the sum of the losses.
    Activation scales are calibrated first.

    Parameters
    ----------
    model : nn.Module
        Switchable at ``config.widths``; gives logits, (n, classes).
    images : Images
    config : TrainingConfig
    processes : Processes
    calibrated : bool
        Whether activation scales are right already, from training before.

    Notes
    -----
    Multi-precision training of Huang et al., arXiv 2502.01199; there the activation scales start
    from percentiles, and Adam's moments are shared between the widths.
    """

    name = "joint"

    def __init__(
        self,
        model: nn.Module,
        images: Images,
        config: TrainingConfig,
        processes: Processes | None = None,
        *,
        calibrated: bool = False,
    ):
        super().__init__(
            model,
            images,
            config,
            processes or Processes(),
            epochs=config.quantized_epochs,
            peak=config.quantized_rate,
        )
        self.scales = ScaleAdam(scale_parameters(model))
        self.rates = ScaleRates(
            config.rate_scaling, widths=config.widths, stored_width=config.stored_width
        )
        if not calibrated:
            first = images.real(images.train.take(config.calibration_images).codes)
            calibrate(model, first, config.widths)
        self.start = [scale.detach().clone() for scale in self.scales.scales]

    def learn(self, batch: Batch, share: float) -> dict[str, float]:
        """Visit all widths."""
        config = self.config
        lesson = Lesson(
            batch.labels, config.distillation, share=share, temperature=config.temperature
        )
        logged = {}
        for width in config.widths:
            self.select(batch, width)
            loss = lesson.loss(self.forward(batch.images))
            logged[f"loss_{width}"] = self.checked(loss, batch, f"at width {width}")
            loss.backward()
            if config.stepping is Stepping.EACH:
                logged[f"scale_rate_{width}"] = self._step(width, batch.rate)
        if config.stepping is Stepping.SUM:
            logged["scale_rate"] = self._step(ALL, batch.rate)
        return logged

    def select(self, batch: Batch, width: int) -> None:
        """Run the network at `width`."""
        set_widths(self.model, width)

    def _step(self, width: int, rate: float) -> float:
        """Step with the gradients at hand, and give the mean rate of the scales."""
        self.processes.average_gradients(self.model.parameters())
        gradients = self.scales.gradients
        rates = [rate] * len(gradients) if width == ALL else self.rates.at(width, rate, gradients)
        self.optimizer.step()
        self.scales.step(width=width, rates=rates)
        self.optimizer.zero_grad()
        self.scales.zero_grad()
        return sum(rates) / len(rates)

    @torch.no_grad()
    def judged(self) -> dict[str, float]:
        """Accuracy on the validation part at every width, and how far the scales have moved."""
        images = self.images
        shares = accuracies(
            self.model, images.validation, self.config.widths, input_scale=images.input_scale
        )
        drifts = [
            (scale / start).log2().abs().mean()
            for scale, start in zip(self.scales.scales, self.start, strict=True)
        ]
        logged = {f"accuracy_{width}": share for width, share in shares.items()}
        return logged | {"scale_drift": float(torch.stack(drifts).mean())}

    def finish(self) -> None:
        """Take statistics afresh, and leave the network in evaluation mode at its highest width."""
        images, widths = as_learned(self.images, self.config), self.config.widths
        recalibrate_norms(self.model, images.train.codes, widths, input_scale=images.input_scale)
        set_widths(self.model, widths[0])
        self.model.eval()

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs."""
        own = {"scales": self.scales, "rates": self.rates}
        states = {name: part.state_dict() for name, part in own.items()}
        return super().state_dict() | states | {"start": self.start}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        super().load_state_dict(state)
        self.scales.load_state_dict(state["scales"])
        self.rates.load_state_dict(state["rates"])
        self.start = [s.to(p) for s, p in zip(state["start"], self.scales.scales, strict=True)]
