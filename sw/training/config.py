"""What a training run depends on, all of it."""

import dataclasses
import json
import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from downshift.hw.errors import DownshiftError
from downshift.sw.networks import NETWORKS
from downshift.sw.quantization.width_list import check_widths
from downshift.sw.training.scale_optimizer import RateScaling

__all__ = ["Augmentation", "Distillation", "Stepping", "Task", "TrainingConfig"]


class Task(StrEnum):
    """What is learned."""

    CLASSIFY = "classify"
    RECONSTRUCT = "reconstruct"
    """To give the image again."""


class Stepping(StrEnum):
    """When weights and scales step."""

    EACH = "each"
    """After every width of a batch, from high to low."""
    SUM = "sum"
    """Once a batch, on the sum of the losses at all widths."""


class Distillation(StrEnum):
    """Which width teaches which."""

    NONE = "none"
    STAR = "star"
    """The highest teaches all others."""
    CHAIN = "chain"
    """Each teaches the next lower one."""


class Augmentation(StrEnum):
    """What happens to images before they are learned from."""

    NONE = "none"
    CROP = "crop"
    """Moved by up to 4 pixels."""
    FLIP_CROP = "flip-crop"
    """Moved by up to 4 pixels, and every other one mirrored."""


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Everything that a training run depends on; equal configurations give equal networks.

    Raises
    ------
    DownshiftError
        If a value cannot work.
    """

    network: str = "small"
    """One of `downshift.sw.networks.NETWORKS`."""
    task: Task | None = None
    """What is learned; None: what the network is for."""
    widths: tuple[int, ...] = (8, 6, 4, 2)
    """Network widths in bits, 1…8, highest first: the order in which a batch visits them."""
    stored_width: int = 8
    """Bits of the stored weights."""
    per_channel: bool = True
    """One weight scale per output channel, or one per layer."""
    pin_ends: bool = True
    """Whether the first and the last layer have 8 bits at every width."""
    corrected_scales: bool = False
    """Whether weight scales have a learned factor for every width, beside what all share."""
    centred_weights: bool = False
    """Whether weights of 2 bits are the middles of their steps; accelerators run them as 3 bits."""
    transitional_norms: bool = False
    """Whether batch norms are those of a layer's width and of the one before it; for supernets."""
    paper_gradients: bool = False
    """Whether weight scales get the gradient of the paper's released code; for reproduction."""
    seed: int = 0
    """Of initial weights and batch order."""
    batch_size: int = 64
    """Images; of all processes together."""
    float_epochs: int = 30
    """Passes in FP32; the digits are learned after 20. With 0, weights stay as they are given."""
    float_rate: float = 5e-3
    """Peak learning rate of AdamW in FP32; falls to zero along a cosine."""
    quantized_epochs: int = 20
    """Passes at all widths; each costs as much as one in FP32 times the number of widths."""
    quantized_rate: float = 2e-3
    """Peak learning rate of AdamW on the weights at all widths; falls along a cosine."""
    weight_decay: float = 1e-3
    """Of convolution and linear weights; none on batch norms, biases and scales."""
    stepping: Stepping = Stepping.EACH
    """When weights and scales step."""
    rate_scaling: RateScaling = RateScaling.INTENT
    """How the scales' learning rate follows the width."""
    distillation: Distillation = Distillation.STAR
    """Which width teaches which."""
    teacher_share: float = 0.7
    """Share of the teacher in the loss at the end, 0…1; it grows evenly from the first epoch."""
    temperature: float = 1.0
    """Of teacher and pupil, in the teacher's share."""
    augmentation: Augmentation = Augmentation.NONE
    """What happens to images before they are learned from."""
    calibration_images: int = 256
    """Images that set the initial activation scales."""
    patience: int | None = None
    """Epochs at all widths without a better mean validation accuracy, after which training ends;
    None trains through."""
    autocast: bool = False
    """Whether convolutions compute in bfloat16; faster where the hardware does."""
    channels_last: bool = False
    """Whether maps lie channels last in memory; faster on GPUs."""
    compiled: bool = False
    """Whether torch compiles the network; pays on a GPU, and needs a C++ compiler on a CPU."""
    threads: int | None = 1
    """Of torch, while training; None leaves them. One is fastest on networks this small, and sums
    in the same order on every machine."""

    def __post_init__(self):
        if self.network not in NETWORKS:
            raise DownshiftError(
                f"There is no network {self.network!r}; choose one of {', '.join(NETWORKS)}"
            )
        if self.reconstructs and self.augmentation is not Augmentation.NONE:
            raise DownshiftError(
                f"Images that are to be given again must stay as they are: augmentation none, not "
                f"{self.augmentation!s}"
            )
        check_widths(self.widths, self.stored_width)
        for name in COUNTS:
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise DownshiftError(f"{name} must be positive, not {getattr(self, name)!r}")
        if self.float_epochs < 0:
            raise DownshiftError(f"float_epochs must not be negative, not {self.float_epochs!r}")
        for name in ("float_rate", "quantized_rate", "temperature"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise DownshiftError(f"{name} must be positive, not {getattr(self, name)!r}")
        for name in ("weight_decay", "teacher_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise DownshiftError(f"{name} must be in 0..1, not {getattr(self, name)!r}")

    @property
    def reconstructs(self) -> bool:
        """Whether images are to be given again, rather than put into classes."""
        if self.task is None:
            return self.network == "autoencoder"
        return self.task is Task.RECONSTRUCT

    def to_json(self) -> str:
        """Write all fields down."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> "TrainingConfig":
        """Rebuild it from what `dataclasses.asdict` or `to_json` made of it.

        Raises TypeError or ValueError for fields that are no configuration's.
        """
        kinds = {
            "task": _task,
            "widths": tuple,
            "stepping": Stepping,
            "rate_scaling": RateScaling,
            "distillation": Distillation,
            "augmentation": Augmentation,
        }
        return cls(**{name: kinds.get(name, _same)(value) for name, value in fields.items()})


COUNTS = (
    "batch_size", "quantized_epochs", "calibration_images", "patience", "threads",
)  # fmt: skip


def _task(value: Any) -> Task | None:
    return None if value is None else Task(value)


def _same(value: Any) -> Any:
    return value
