"""Lists of widths, as users give them."""

from collections.abc import Sequence

from downshift.hw.errors import DownshiftError

__all__ = ["check_widths"]


def check_widths(widths: Sequence[int], stored_width: int = 8) -> None:
    """Raise `DownshiftError` unless widths fall, from at most `stored_width` to at least 1."""
    if not widths or any(not 1 <= width <= stored_width for width in widths):
        raise DownshiftError(f"Widths must be in 1..{stored_width}, not {widths!r}")
    falling = sorted(set(widths), reverse=True)
    if list(widths) != falling:
        asked, given = (",".join(map(str, each)) for each in (falling, widths))
        raise DownshiftError(f"Widths must fall, each named once, as {asked} does, not {given}")
