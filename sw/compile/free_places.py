"""Places in a memory for what lives in it a while, each as low as it can lie."""

from collections.abc import Iterable, Mapping, Sequence

__all__ = ["lowest_places", "map_lives"]


def map_lives(
    entering: str, steps: Sequence[tuple[str, Iterable[str | None]]]
) -> dict[str, tuple[int, int]]:
    """Tell how long each map lives.

    Parameters
    ----------
    entering : str
        Name of the map that enters, before step 0.
    steps : sequence of (str, iterable of str or None)
        Map that each gives, and those that it takes.

    Returns
    -------
    dict of str to (int, int)
        Step that gives the map, and the last one that takes it; if none does, it stays.

    Examples
    --------
    >>> map_lives("x", [("a", ["x"]), ("b", ["a"]), ("c", ["b", "a"])])
    {'x': (-1, 0), 'a': (0, 2), 'b': (1, 2), 'c': (2, 3)}
    """
    given = {entering: -1} | {name: step for step, (name, _) in enumerate(steps)}
    lives = {}
    for name, first in given.items():
        takers = [step for step, (_, taken) in enumerate(steps) if name in taken]
        lives[name] = first, takers[-1] if takers else len(steps)
    return lives


def lowest_places(sizes: Mapping[str, int], lives: Mapping[str, tuple[int, int]]) -> dict[str, int]:
    """Give everything the lowest address from which it lies beside all that lives with it.

    Parameters
    ----------
    sizes : mapping of str to int
        In the order in which places are given.
    lives : mapping of str to (int, int)
        First and last step of each.

    Examples
    --------
    >>> lowest_places({"x": 4, "a": 2, "b": 3}, {"x": (-1, 0), "a": (0, 1), "b": (1, 2)})
    {'x': 0, 'a': 4, 'b': 0}
    """
    bases: dict[str, int] = {}
    for name, size in sizes.items():
        first, last = lives[name]
        base = 0
        for other in sorted(bases, key=bases.__getitem__):
            if lives[other][0] <= last and first <= lives[other][1]:
                if base + size <= bases[other]:
                    break
                base = max(base, bases[other] + sizes[other])
        bases[name] = base
    return bases
