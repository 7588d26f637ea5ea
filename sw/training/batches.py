"""Batches: shuffled, perhaps moved and mirrored, with the learning rate of their step."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from downshift.sw.data.images import Images, Split
from downshift.sw.training.config import Augmentation, TrainingConfig
from downshift.sw.training.processes import Processes

__all__ = ["Batch", "Batches", "as_learned"]

REACH = 4
"""Pixels that an image is moved by at most."""
MOVED_AT_ONCE = 1024
"""Images."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Batch:
    """Images of one step."""

    step: int
    """Counted over all epochs."""
    rate: float
    """Learning rate of the weights."""
    images: Tensor
    """float32, (n, channels, height, width)."""
    labels: Tensor
    """Classes, int64, (n,); or values, float32, (n, values)."""


class Batches:
    """Shuffled batches of a split; a smaller last one is dropped.

    The order, and how images are changed, depends on seed and epoch alone: what resumes there goes
    on as it would have.

    Parameters
    ----------
    split : Split
        Where the computation happens.
    input_scale : float
        Real value of one code.
    size : int
        Images of a batch, of all processes together; each takes its share.
    epochs : int
        The learning rate falls along a cosine through all of them.
    peak : float
        Learning rate at the start.
    seed : int
    augmentation : Augmentation
    processes : Processes
    memory_format : torch.memory_format
    """

    def __init__(
        self,
        split: Split,
        *,
        input_scale: float,
        size: int,
        epochs: int,
        peak: float,
        seed: int,
        augmentation: Augmentation,
        processes: Processes,
        memory_format: torch.memory_format = torch.contiguous_format,
    ):
        self.split = split
        self.input_scale = input_scale
        self.size = min(size, len(split))
        self.peak = peak
        self.seed = seed
        self.augmentation = augmentation
        self.processes = processes
        self.memory_format = memory_format
        self.per_epoch = len(split) // self.size
        self.steps = epochs * self.per_epoch

    def epoch(self, index: int) -> Iterator[Batch]:
        """Go through the images once."""
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + index)
        order = torch.randperm(len(self.split), generator=generator)
        for number in range(self.per_epoch):
            step = index * self.per_epoch + number
            whole = order[number * self.size : (number + 1) * self.size]
            mine = self.processes.share(whole).to(self.split.labels.device)
            codes = self.split.codes[mine]
            if self.augmentation is not Augmentation.NONE:
                codes = moved(codes, generator, flip=self.augmentation is Augmentation.FLIP_CROP)
            yield Batch(
                step=step,
                rate=self.peak * 0.5 * (1 + math.cos(math.pi * step / self.steps)),
                images=codes.float()
                .mul_(self.input_scale)
                .contiguous(memory_format=self.memory_format),
                labels=self.split.labels[mine],
            )


def as_learned(images: Images, config: TrainingConfig) -> Images:
    """Images whose part to train on is moved and mirrored as while training, each once.

    Statistics of batch norms are to be taken from these: a network whose weights have only seen
    images with an edge of zeros is worse with the statistics of others.
    """
    augmentation = Augmentation(config.augmentation)
    if augmentation is Augmentation.NONE:
        return images
    generator = torch.Generator().manual_seed(config.seed)
    flip = augmentation is Augmentation.FLIP_CROP
    parts = [moved(part, generator, flip=flip) for part in images.train.codes.split(MOVED_AT_ONCE)]
    return replace(images, train=Split(codes=torch.cat(parts), labels=images.train.labels))


def moved(codes: Tensor, generator: torch.Generator, *, flip: bool) -> Tensor:
    """Move each image by up to `REACH` pixels either way, and mirror every other one on average.

    Parameters
    ----------
    codes : uint8 tensor, shape (n, channels, height, width)
        What enters at the edges is 0.
    generator : Generator
        On the CPU.
    flip : bool
        Whether to mirror.

    Returns
    -------
    uint8 tensor, shape (n, channels, height, width)
    """
    n, channels, height, width = codes.shape
    padded = torch.nn.functional.pad(codes, (REACH, REACH, REACH, REACH))

    def drawn(high: int) -> Tensor:
        return torch.randint(0, high, (n, 1), generator=generator)

    rows = drawn(2 * REACH + 1) + torch.arange(height)  # (n, height)
    columns = torch.arange(width).expand(n, width)
    if flip:
        columns = torch.where(drawn(2) == 1, columns.flip(1), columns)
    columns = drawn(2 * REACH + 1) + columns  # (n, width)
    places = (
        torch.arange(n).view(n, 1, 1, 1),
        torch.arange(channels).view(1, channels, 1, 1),
        rows.view(n, 1, height, 1),
        columns.view(n, 1, 1, width),
    )
    return padded[tuple(place.to(codes.device) for place in places)]
