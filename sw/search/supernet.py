"""The supernet: layers learn to run at widths of their own, whatever the others do."""

from collections.abc import Mapping

import numpy as np
from torch import nn

from downshift.sw.data.images import Images
from downshift.sw.quantization.widths import select_layers, set_widths, switchable_layers
from downshift.sw.search.choices import deciding_layers
from downshift.sw.search.sensitivity import Roulette, Threshold, sensitive_layers
from downshift.sw.training.batches import Batch
from downshift.sw.training.config import TrainingConfig
from downshift.sw.training.joint import JointPhase
from downshift.sw.training.processes import Processes

__all__ = ["SupernetPhase"]

MOST_DRAWN = 0.5
"""Share of the layers that draw a width in the last epoch; it grows evenly."""


class SupernetPhase(JointPhase):
    """A network trained at all widths goes on with a width for each layer.

    For every width of a batch, from high to low, all layers start at it; each draws another with a
    chance that grows from epoch to epoch.

    Parameters
    ----------
    model : nn.Module
        Trained at all widths.
    images : Images
    config : TrainingConfig
    processes : Processes
    sensitivities : mapping of str to float, optional
        By path of the layer; None draws evenly everywhere.
    threshold : Threshold
    average_bits : float, optional
        Mean of what is drawn; None leaves it to the roulette.

    Notes
    -----
    Hessian-aware stochastic bit-switching, Huang et al., arXiv 2502.01199. Batch norms are those of
    a layer's own width; every network that is taken from the supernet has its statistics taken
    afresh (see `downshift.sw.search.candidates`).
    """

    name = "supernet"

    def __init__(
        self,
        model: nn.Module,
        images: Images,
        config: TrainingConfig,
        processes: Processes | None = None,
        *,
        sensitivities: Mapping[str, float] | None = None,
        threshold: Threshold = Threshold.MEAN,
        average_bits: float | None = None,
    ):
        super().__init__(model, images, config, processes, calibrated=True)
        self.layers = switchable_layers(model)
        self.roots = deciding_layers(model)
        deciding = sorted(set(self.roots.values()))
        inner = {path: (sensitivities or {}).get(path, 0.0) for path in deciding}
        self.sensitive = sensitive_layers(inner, threshold)
        share = len(self.sensitive) / max(1, len(deciding))
        self.roulette = Roulette.spun(config.widths, share=share, average_bits=average_bits)
        self.chance = 0.0

    def epoch(self, index: int) -> dict[str, float]:
        """Go through one epoch, and give its row of the log."""
        self.chance = MOST_DRAWN * (index + 1) / self.epochs
        return super().epoch(index)

    def select(self, batch: Batch, width: int) -> None:
        """Run every layer at `width`, or at what it draws."""
        set_widths(self.model, width)
        # What is drawn depends on seed, step and width alone.
        rng = np.random.default_rng([self.config.seed, batch.step, width])
        drawn = {
            root: self.roulette.draw(rng, sensitive=root in self.sensitive)
            for root in sorted(set(self.roots.values()))
            if rng.random() < self.chance
        }
        widths = {path: drawn[root] for path, root in self.roots.items() if root in drawn}
        select_layers(self.layers, widths)
