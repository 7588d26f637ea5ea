"""Policies as files: JSON."""

import json
from pathlib import Path

from downshift.hw.errors import DownshiftError
from downshift.sw.policy.policies import Budget, Cascade, Deadline, Fixed, Policy
from downshift.sw.small_file import read_small

__all__ = ["policy_text", "read_policy"]


def policy_text(policy: Policy) -> str:
    """Write a policy as `read_policy` reads it; not what it keeps in mind."""
    match policy:
        case Fixed():
            fields = {"policy": "fixed", "width": policy.width}
        case Cascade():
            steps = [{"width": width, "margin": least} for width, least in policy.steps]
            fields = {"policy": "cascade", "steps": steps}
        case Deadline():
            fields = {
                "policy": "deadline",
                "cycles": policy.cycles,
                "clock_hz": policy.clock_hz,
                "seconds_besides": policy.seconds_besides,
            }
        case Budget():
            fields = {
                "policy": "budget",
                "cycles": policy.cycles,
                "mean": policy.mean,
                "window": policy.window,
            }
        case _:
            raise DownshiftError(f"{type(policy).__name__} has no form as a file")
    return json.dumps(fields, indent=2) + "\n"


def read_policy(path: Path) -> Policy:
    """Read a policy.

    Raises
    ------
    DownshiftError
        If the file cannot be read, or says something else.
    """
    content = read_small(path)
    try:
        return _policy(json.loads(content))
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        reason = f"it has no {error}" if isinstance(error, KeyError) else error
        raise DownshiftError(f"{path} is no policy: {reason}") from error
    except DownshiftError as error:
        raise DownshiftError(f"{path} is no policy: {error}") from error


def _policy(fields: dict) -> Policy:
    if not isinstance(fields, dict):
        raise ValueError("it must be {…} with a policy")
    match fields["policy"]:
        case "fixed":
            return Fixed(_width(fields["width"]))
        case "cascade":
            return Cascade(
                tuple((_width(step["width"]), _whole(step["margin"])) for step in fields["steps"])
            )
        case "deadline":
            return Deadline(
                _cycles(fields["cycles"]),
                clock_hz=_number(fields["clock_hz"]),
                seconds_besides=_number(fields["seconds_besides"]),
            )
        case "budget":
            return Budget(
                _cycles(fields["cycles"]),
                mean=_number(fields["mean"]),
                window=_whole(fields["window"]),
            )
        case other:
            raise ValueError(f"policy must be fixed, cascade, deadline or budget, not {other!r}")


def _cycles(value: dict) -> dict[int, int]:
    if not value:
        raise ValueError("it has no cycles")
    return {_width(int(width)): _whole(cycles) for width, cycles in value.items()}


def _width(value: int) -> int:
    if not 1 <= _whole(value) <= 8:
        raise ValueError(f"widths must be in 1..8, not {value!r}")
    return value


def _whole(value: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"numbers must be whole and not negative, not {value!r}")
    return value


def _number(value: float) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < 1e18:
        raise ValueError(f"numbers must be finite and not negative, not {value!r}")
    return value
