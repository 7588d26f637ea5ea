"""The experiments of `accuracy.py`: data sets, networks, and what is changed."""

from dataclasses import dataclass, field
from itertools import product
from typing import Any

import torch

from downshift.sw.quantization.double_rounding import DoubleRounding
from downshift.sw.training.config import Augmentation, Distillation, Stepping, TrainingConfig
from downshift.sw.training.scale_optimizer import RateScaling

__all__ = ["MIXED_BITS", "ROUNDINGS", "SUITES", "Experiment", "Suite"]

SEEDS = (0, 1, 2)


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One way to train."""

    name: str
    changes: dict[str, Any] = field(default_factory=dict)
    """Of the configuration."""
    rounding: str = "double"
    """Or "floor", or "floor + half": how running weights come from the stored ones."""
    separate: bool = False
    """A network for each width, stored in so many bits, instead of one for all."""
    supernet: bool | None = None
    """Whether as many epochs follow as a supernet by the Hessian's traces, or as before; a network
    of mixed widths is judged as well. None leaves out both."""


@dataclass(frozen=True, kw_only=True)
class Suite:
    """A data set, and what is tried on it."""

    dataset: str
    config: TrainingConfig
    experiments: tuple[Experiment, ...]
    seeds: tuple[int, ...] = SEEDS


class Floor(DoubleRounding):
    """Running weights by an arithmetic shift, as cheap hardware would have them: a baseline."""

    offset = 0.0

    def forward(self, weight):
        """Straight through, like its parent; the scale's gradient by autograd."""
        step = self.scale * 2.0 ** (self.stored_width - self.width)
        top = 1 << (self.width - 1)
        stored = self.codes(weight).float()
        codes = torch.floor(stored / 2.0 ** (self.stored_width - self.width))
        offset = self.offset if self.width < self.stored_width else 0.0
        ramp = (weight / step).clamp(-top, top - 1)
        g = (weight.numel() // step.numel() * max(top - 1, 1)) ** -0.5
        slow = step * g + (step - step * g).detach()
        values = (ramp + (codes + offset - ramp).detach()) * slow
        return values, step.detach(), self._zero_point, torch.tensor(float(self.width))


class FloorHalf(Floor):
    """The same, with half a step added: what a bias could absorb."""

    offset = 0.5


ROUNDINGS = {"floor": Floor, "floor + half": FloorHalf}

PARTS = (
    Experiment(name="joint"),
    Experiment(name="separate", separate=True),
    Experiment(name="no ALRS", changes={"rate_scaling": RateScaling.NONE}),
    Experiment(name="floor", rounding="floor"),
    Experiment(name="floor + half", rounding="floor + half"),
    Experiment(name="constant ALRS", changes={"rate_scaling": RateScaling.CONSTANT}),
    Experiment(name="measured ALRS", changes={"rate_scaling": RateScaling.MEASURED}),
    Experiment(name="one step on the sum", changes={"stepping": Stepping.SUM}),
    Experiment(name="distilled, star", changes={"distillation": Distillation.STAR}),
    Experiment(name="distilled, chain", changes={"distillation": Distillation.CHAIN}),
    Experiment(name="scales per tensor", changes={"per_channel": False}),
    Experiment(name="scales corrected by width", changes={"corrected_scales": True}),
    Experiment(name="centred at 2 bits", changes={"centred_weights": True}),
)
"""What is changed, one at a time."""
FEW = tuple(
    part for part in PARTS if part.name in ("joint", "separate", "no ALRS", "distilled, star")
)
"""Where there is time for no more."""
THREE = Experiment(name="3 bits as well", changes={"widths": (8, 6, 4, 3, 2)})
"""What centred weights of 2 bits compete with: accelerators run both at 3 bits."""
GRID = tuple(
    Experiment(
        name=" / ".join(
            (rounding, scaling, stepping, distillation, "HASB" if supernet else "none")
        ),
        changes={
            "rate_scaling": scaling,
            "stepping": stepping,
            "distillation": distillation,
        },
        rounding=rounding,
        supernet=supernet,
    )
    for rounding, scaling, stepping, distillation, supernet in product(
        ("double", *ROUNDINGS),
        (RateScaling.INTENT, RateScaling.NONE),
        Stepping,
        Distillation,
        (False, True),
    )
)
"""Everything with everything."""
MIXED_BITS = 3
"""Average that networks of mixed widths are to keep to."""
SUITES = (
    Suite(
        dataset="digits",
        config=TrainingConfig(quantized_epochs=10),
        experiments=PARTS,
    ),
    Suite(
        dataset="digits",
        config=TrainingConfig(network="resnet8", float_epochs=10, quantized_epochs=2),
        experiments=GRID,
    ),
    Suite(
        dataset="digits",
        config=TrainingConfig(network="autoencoder", quantized_epochs=20),
        experiments=tuple(part for part in PARTS if part.rounding == "double"),
    ),
    *(
        Suite(
            dataset=name,
            config=TrainingConfig(
                network="lenet", batch_size=128, float_epochs=6, quantized_epochs=4
            ),
            experiments=(*PARTS, THREE),
        )
        for name in ("mnist", "fashion_mnist")
    ),
    Suite(
        dataset="keywords",
        config=TrainingConfig(
            network="ds-cnn", batch_size=128, float_epochs=10, quantized_epochs=4
        ),
        experiments=FEW,
    ),
    Suite(
        dataset="cifar10",
        config=TrainingConfig(
            network="resnet8", batch_size=128, float_epochs=120, quantized_epochs=2,
            augmentation=Augmentation.FLIP_CROP,
        ),
        experiments=FEW,
        seeds=(0,),
    ),
)  # fmt: skip
