"""Values that no description of a file should have, and where to put them."""

from hypothesis import strategies as st


def places(value, path=()):
    """Paths of every value within a plan."""
    yield path
    keys = range(len(value)) if isinstance(value, list) else value
    for key in keys if isinstance(value, dict | list) else ():
        yield from places(value[key], (*path, key))


ABSURD = st.sampled_from(
    [0, -1, 1, 3, 7, 2**31, 2**64, 10**30, 10**400, 1.5, 1e308, float("inf"), float("nan"), None,
     True, "", "8", "x" * 99, [], [[]], {}, {"a": 1}, [1, 1, 1], [10**9, 10**9, 10**9], ["a"] * 3]
)  # fmt: skip


def replaced(value, path, other):
    """Put `other` at a path of a value; return the value."""
    inner = value
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = other
    return value
