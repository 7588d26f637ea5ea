"""How the axes of a tensor lie on a map: layouts as data, so that turning them costs nothing."""

import math
from collections.abc import Mapping, Sequence

__all__ = ["Axes", "bare", "is_layout", "reshaped", "transposed"]

Axes = tuple[tuple[str, ...], ...]
"""Of each axis of a tensor, the axes of the map that it runs through, the slowest first.

"n" are images, "h", "w", "c" rows, columns, channels of the map. An axis of size 1 runs through
none of them; only "n", which comes first, is always there.
"""


def bare(layout: str, sizes: Mapping[str, int]) -> Axes:
    """The axes of a tensor of one map axis each.

    Examples
    --------
    >>> bare("nchw", {"h": 5, "w": 5, "c": 1})
    (('n',), (), ('h',), ('w',))
    """
    return tuple((each,) if each == "n" or sizes[each] > 1 else () for each in layout)


def is_layout(axes: Axes, layout: str, sizes: Mapping[str, int]) -> bool:
    """Whether the axes of a tensor are those of `layout`."""
    return axes == bare(layout, sizes)


def transposed(axes: Axes, order: Sequence[int]) -> Axes | None:
    """Axes in another order; None if the images would not stay first."""
    if sorted(order) != list(range(len(axes))) or order[0] != 0:
        return None
    return tuple(axes[each] for each in order)


def reshaped(axes: Axes, shape: Sequence[int], sizes: Mapping[str, int]) -> Axes | None:
    """Axes of the same tensor with another shape.

    Parameters
    ----------
    axes : Axes
    shape : sequence of int
        Sizes for one image; at most one is -1, which takes what is left; 0 keeps a size.
    sizes : mapping of str to int
        Of the axes of the map.

    Returns
    -------
    Axes or None
        None if it does not fit, or tears an axis of the map apart.

    Examples
    --------
    >>> sizes = {"h": 4, "w": 6, "c": 8}
    >>> reshaped(bare("nchw", sizes), (-1, 192), sizes)
    (('n',), ('c', 'h', 'w'))
    >>> reshaped((("n",), ("c", "h", "w")), (1, 8, 24), sizes)
    (('n',), ('c',), ('h', 'w'))
    >>> reshaped((("n",), ("c", "h", "w")), (1, 16, 12), sizes) is None
    True
    """
    sizes = {**sizes, "n": 1}

    def size(labels: Sequence[str]) -> int:
        return math.prod(sizes[each] for each in labels)

    wanted = [
        size(axes[i]) if given == 0 and i < len(axes) else given for i, given in enumerate(shape)
    ]
    total = size([label for axis in axes for label in axis])
    if wanted.count(-1) == 1:
        rest = -math.prod(wanted)
        wanted = [total // rest if each == -1 and rest > 0 else each for each in wanted]
    if not wanted or min(wanted) < 1 or math.prod(wanted) != total:
        return None
    left = [label for axis in axes for label in axis if label != "n"]
    result: list[tuple[str, ...]] = []
    for goal in wanted:
        taken: list[str] = []
        while size(taken) < goal and left:
            taken.append(left.pop(0))
        if size(taken) != goal:
            return None
        result.append(tuple(taken))
    # The images: of size 1 here, whatever they are.
    return (("n", *result[0]), *result[1:])
