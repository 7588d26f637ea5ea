"""Which layers tolerate which width: what each alone does to the logits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from downshift.sw.importing.quantizer import TOP, Calibration, Quantizer
from downshift.sw.importing.real_layer import RealNetwork

__all__ = ["LayerSensitivity", "layer_sensitivities"]

TOLERATED = 0.02
"""Share of the logits' variance that a layer may add as noise and still count as tolerant."""


@dataclass(frozen=True, kw_only=True)
class LayerSensitivity:
    """What happens if one layer alone, its weights and its codes, has fewer bits."""

    layer: str
    noise: Mapping[int, float]
    """By width: change of the logits, as a share of their variance over the images."""
    agreement: Mapping[int, float]
    """By width: share of images whose largest logit stays the same."""

    @property
    def least(self) -> int:
        """Least width that it tolerates."""
        return min((w for w, noise in self.noise.items() if noise <= TOLERATED), default=TOP)


def layer_sensitivities(
    network: RealNetwork, calibration: Calibration, widths: Sequence[int]
) -> tuple[LayerSensitivity, ...]:
    """Measure every layer of a network at lower widths, the others at 8 bits.

    Parameters
    ----------
    network : RealNetwork
    calibration : Calibration
    widths : sequence of int
        To try; 8 is what they are compared with.

    Returns
    -------
    tuple of LayerSensitivity
        In order.
    """
    quantizer = Quantizer(network, calibration)
    base = quantizer.run(TOP, TOP)
    last = network.layers[-1].name
    whole = _logits(base.maps[last], base.logit_scale)
    spread = max(float(whole.var()), 1e-30)
    found = []
    for layer in network.layers:
        noise, agreement = {}, {}
        for width in widths:
            if width == TOP:
                continue
            run = quantizer.run(width, {layer.name: width}, like=base)
            logits = _logits(run.maps[last], run.logit_scale)
            noise[width] = float(np.mean((logits - whole) ** 2)) / spread
            agreement[width] = float(np.mean(logits.argmax(axis=1) == whole.argmax(axis=1)))
        found.append(LayerSensitivity(layer=layer.name, noise=noise, agreement=agreement))
    return tuple(found)


def _logits(logits: np.ndarray, scale: float) -> np.ndarray:
    return logits.reshape(len(logits), -1) * scale
