"""What networks can be made for."""

from downshift.hw.errors import DownshiftError

__all__ = ["check_images"]


def check_images(input_shape: tuple[int, int, int], classes: int, *, at_least: int = 1) -> None:
    """Raise `DownshiftError` unless images have so many pixels a side, and there are classes."""
    height, width, channels = input_shape
    if min(height, width) < at_least or channels < 1:
        raise DownshiftError(
            f"Images must have at least {at_least} x {at_least} pixels and 1 channel, "
            f"not {tuple(input_shape)!r}"
        )
    if classes < 2:
        raise DownshiftError(f"Classes must be at least 2, not {classes!r}")
