"""One phase of training: a network, what moves it, and what an epoch of it is."""

import math
from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from downshift.hw.errors import DownshiftError
from downshift.sw.data.images import Images
from downshift.sw.training.batches import Batch, Batches
from downshift.sw.training.config import Augmentation, TrainingConfig
from downshift.sw.training.evaluation import first_without_numbers
from downshift.sw.training.processes import Processes
from downshift.sw.training.weight_optimizer import set_rate, weight_optimizer

__all__ = ["Phase"]


class Phase(ABC):
    """Epochs that a network goes through.

    Parameters
    ----------
    model : nn.Module
        Where the computation happens; gives logits, (n, classes).
    images : Images
        Their `train` and `validation` parts at the same place.
    config : TrainingConfig
    processes : Processes
    epochs : int
    peak : float
        Learning rate at the start.
    """

    name: str
    """In the log."""

    def __init__(
        self,
        model: nn.Module,
        images: Images,
        config: TrainingConfig,
        processes: Processes,
        *,
        epochs: int,
        peak: float,
    ):
        self.model = model
        self.images = images
        self.config = config
        self.processes = processes
        self.epochs = epochs
        self.memory_format = (
            torch.channels_last if config.channels_last else torch.contiguous_format
        )
        self.batches = Batches(
            images.train,
            input_scale=images.input_scale,
            size=config.batch_size,
            epochs=epochs,
            peak=peak,
            seed=config.seed,
            augmentation=Augmentation(config.augmentation),
            processes=processes,
            memory_format=self.memory_format,
        )
        self.optimizer = weight_optimizer(model, weight_decay=config.weight_decay)
        # One network, compiled or not: what is learned is the same parameters.
        self.run = torch.compile(model) if config.compiled else model

    @abstractmethod
    def learn(self, batch: Batch, share: float) -> dict[str, float]:
        """Learn from one batch, and give what of it is logged; `share` is that of the teacher."""

    @abstractmethod
    def judged(self) -> dict[str, float]:
        """Accuracy on the validation part, by name in the log."""

    def epoch(self, index: int) -> dict[str, float]:
        """Go through one epoch, and give its row of the log."""
        # What the network itself draws (dropout) depends on seed and epoch alone, too.
        torch.manual_seed(self.config.seed * 1_000_003 + index)
        self.model.train()
        share = self.config.teacher_share * (index + 1) / self.epochs
        row, sums, count = {}, {}, 0
        before = self._weights()
        for batch in self.batches.epoch(index):
            set_rate(self.optimizer, batch.rate)
            for name, value in self.learn(batch, share).items():
                sums[name] = sums.get(name, 0.0) + value
            row["rate"] = batch.rate
            count += 1
        self.processes.average_statistics(self.model)
        row |= {name: value / count for name, value in sums.items()}
        moved, size = self._moved(before)
        row["update_ratio"] = moved / size / count if size else 0.0
        return row | self.judged()

    def forward(self, images: Tensor) -> Tensor:
        """Logits of a batch, with the precision that was configured."""
        if not self.config.autocast:
            return self.run(images)
        with torch.autocast(images.device.type, torch.bfloat16):
            return self.run(images)

    def checked(self, loss: Tensor, batch: Batch, where: str) -> float:
        """Value of a loss; raises `DownshiftError` if it is none, naming step and module."""
        value = loss.item()
        if not math.isfinite(value):
            module = first_without_numbers(self.model, batch.images)
            at = f"; the first module without numbers is {module}" if module else ""
            raise DownshiftError(
                f"Loss became {value} at step {batch.step} {where}{at}: lower the learning rate"
            )
        return value

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs."""
        return {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there; raises KeyError or RuntimeError if the network was another."""
        # In place: loading the usual way makes Brevitas build quantizers anew, and the optimizers
        # would go on with the old ones.
        with torch.no_grad():
            for name, tensor in self.model.state_dict().items():
                tensor.copy_(state["model"][name])
        self.optimizer.load_state_dict(state["optimizer"])

    def _weights(self) -> list[Tensor]:
        return [p.detach().clone() for p in self.model.parameters() if p.ndim > 1]

    def _moved(self, before: list[Tensor]) -> tuple[float, float]:
        """How far the weights are from where they were, and how large they are."""
        now = [p.detach() for p in self.model.parameters() if p.ndim > 1]
        change = torch.stack([(a - b).norm() for a, b in zip(now, before, strict=True)]).norm()
        return float(change), float(torch.stack([a.norm() for a in now]).norm())
