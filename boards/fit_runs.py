"""What accelerators of many sizes took, as packed: `read_runs`."""

import json
from pathlib import Path
from typing import Any

__all__ = ["RUNS", "described", "read_runs"]

RUNS = Path(__file__).with_name("fit_runs.json")


def read_runs() -> dict[str, list[dict[str, Any]]]:
    """Return by family: ``style``, fields of its configuration, ``features``, cells by resource."""
    return json.loads(RUNS.read_text()) if RUNS.exists() else {}


def described(runs: dict[str, list[dict[str, Any]]]) -> str:
    """Write runs as JSON, each in a line of its own."""
    families = (
        f"{json.dumps(family)}: [\n" + ",\n".join(map(json.dumps, entries)) + "\n]"
        for family, entries in sorted(runs.items())
    )
    return "{\n" + ",\n".join(families) + "\n}\n"
