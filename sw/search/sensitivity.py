"""Which layers are sensitive, and how a supernet draws their widths."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from downshift.hw.errors import DownshiftError

__all__ = ["Roulette", "Threshold", "sensitive_layers"]

LEAST_VARIATION = 0.1
"""Below this coefficient of variation the sensitivities are all alike."""


class Threshold(StrEnum):
    """From which sensitivity on a layer is sensitive."""

    MEAN = "mean"
    TOP_MEAN = "top-mean"
    """Mean of the largest."""
    QUANTILE = "quantile"


def sensitive_layers(
    sensitivities: Mapping[str, float],
    threshold: Threshold = Threshold.MEAN,
    *,
    top: int = 10,
    quantile: float = 0.75,
) -> set[str]:
    """Find the layers that need their bits.

    Parameters
    ----------
    sensitivities : mapping of str to float
        By path, not negative.
    threshold : Threshold
    top : int
        Layers that `Threshold.TOP_MEAN` takes the mean of.
    quantile : float
        Of `Threshold.QUANTILE`, 0…1.

    Returns
    -------
    set of str
        Paths; empty if the sensitivities hardly differ, as nothing is then known of the layers.

    Notes
    -----
    Hessian-aware stochastic bit-switching, Huang et al., arXiv 2502.01199, takes the mean.

    Examples
    --------
    >>> sorted(sensitive_layers({"a": 5.0, "b": 1.0, "c": 3.0}))
    ['a', 'c']
    >>> sensitive_layers({"a": 1.0, "b": 1.01})
    set()
    """
    values = np.array(list(sensitivities.values()))
    if not values.size or not values.mean() > 0 or values.std() < LEAST_VARIATION * values.mean():
        return set()
    limit = {
        Threshold.MEAN: values.mean(),
        Threshold.TOP_MEAN: np.sort(values)[-top:].mean(),
        Threshold.QUANTILE: np.quantile(values, quantile),
    }[threshold]
    return {path for path, value in sensitivities.items() if value >= limit}


@dataclass(frozen=True, kw_only=True)
class Roulette:
    """Chances of each width, for sensitive layers and for the others.

    Sensitive ones draw in proportion to the bits, others evenly; both are tilted alike, so that the
    mean over all layers is what is wanted.

    Attributes
    ----------
    widths : tuple of int
        Highest first.
    chances : mapping of bool to array
        By whether a layer is sensitive; float64, (len(widths),), summing to 1.
    """

    widths: tuple[int, ...]
    chances: Mapping[bool, np.ndarray]

    @classmethod
    def spun(
        cls, widths: Sequence[int], *, share: float, average_bits: float | None = None
    ) -> "Roulette":
        """Make a roulette.

        Parameters
        ----------
        widths : sequence of int
        share : float
            Of the layers that are sensitive, 0…1.
        average_bits : float, optional
            Mean over all layers that draws are tilted to; None leaves them.

        Raises
        ------
        DownshiftError
            If no tilt gives that mean.

        Examples
        --------
        >>> Roulette.spun((8, 6, 4, 2), share=0.25).mean(share=0.25)
        5.25
        >>> round(Roulette.spun((8, 4, 2), share=0.5, average_bits=3.0).mean(share=0.5), 6)
        3.0
        """
        widths = tuple(widths)
        if average_bits is None:
            return cls._tilted(widths, 0.0)
        if not min(widths) < average_bits < max(widths):
            raise DownshiftError(
                f"Average bits must be between {min(widths)} and {max(widths)}, not "
                f"{average_bits!r}"
            )
        # The mean falls as the tilt grows: halve the interval that holds the root.
        low, high = -100.0, 100.0
        for _ in range(200):
            middle = (low + high) / 2
            if cls._tilted(widths, middle).mean(share=share) > average_bits:
                low = middle
            else:
                high = middle
        return cls._tilted(widths, (low + high) / 2)

    @classmethod
    def _tilted(cls, widths: tuple[int, ...], tilt: float) -> "Roulette":
        bits = np.array(widths, dtype=float)
        chances = {}
        for sensitive, weights in ((True, bits), (False, np.ones(len(bits)))):
            powers = np.log(weights) - tilt * bits
            tilted = np.exp(powers - powers.max())
            chances[sensitive] = tilted / tilted.sum()
        return cls(widths=widths, chances=chances)

    def mean(self, *, share: float) -> float:
        """Average bits of a network with a share of sensitive layers."""
        means = {sensitive: float(p @ self.widths) for sensitive, p in self.chances.items()}
        return share * means[True] + (1 - share) * means[False]

    def draw(self, rng: np.random.Generator, *, sensitive: bool) -> int:
        """Draw the width of a layer."""
        return int(rng.choice(self.widths, p=self.chances[sensitive]))
