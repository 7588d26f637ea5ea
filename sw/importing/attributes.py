"""Attributes of ONNX nodes, checked: a file may hold anything."""

from downshift.sw.importing.onnx_file import Node
from downshift.sw.importing.values import Refused

__all__ = ["integer", "integers", "number", "text"]

LIMIT = 1 << 16


def integer(node: Node, name: str, default: int) -> int:
    """An attribute that is an integer."""
    value = node.attributes.get(name, default)
    if type(value) is not int or abs(value) > LIMIT:
        raise Refused(f"attribute {name} must be an integer within ±{LIMIT}, not {value!r:.60}")
    return value


def integers(node: Node, name: str, default: tuple[int, ...], least: int = 0) -> tuple[int, ...]:
    """An attribute that is as many integers, `least` or more, as `default` has."""
    value = node.attributes.get(name, default)
    value = tuple(value) if isinstance(value, list | tuple) else value
    if not isinstance(value, tuple) or not all(
        type(each) is int and least <= each <= LIMIT for each in value
    ):
        raise Refused(f"attribute {name} must be integers in {least}..{LIMIT}, not {value!r:.60}")
    if len(value) != len(default):
        wanted = f"{len(default)} number{'s' * (len(default) > 1)}"
        raise Refused(f"attribute {name} must have {wanted}, not {len(value)}")
    return value


def number(node: Node, name: str, default: float) -> float:
    """An attribute that is a number."""
    value = node.attributes.get(name, default)
    if not isinstance(value, int | float) or not abs(value) < 1e30:
        raise Refused(f"attribute {name} must be a finite number, not {value!r:.60}")
    return float(value)


def text(node: Node, name: str, default: str) -> str:
    """An attribute that is a text."""
    value = node.attributes.get(name, default)
    if not isinstance(value, str):
        raise Refused(f"attribute {name} must be a text, not {value!r:.60}")
    return value
