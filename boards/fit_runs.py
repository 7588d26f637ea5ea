"""What accelerators of many sizes took, as packed: `read_runs`."""

import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from downshift.hw.config import AcceleratorConfig
from downshift.sw.compile.image import STYLES

__all__ = ["RUNS", "described", "read_runs", "run_config"]

RUNS = Path(__file__).with_name("fit_runs.json")


def read_runs() -> dict[str, list[dict[str, Any]]]:
    """Return by family: ``style``, fields of its configuration, ``features``, cells by resource."""
    return json.loads(RUNS.read_text()) if RUNS.exists() else {}


def run_config(run: Mapping[str, Any]) -> AcceleratorConfig:
    """Return the configuration of an accelerator that was packed."""
    style, _ = STYLES[run["style"]]
    return style(**{field.name: run[field.name] for field in fields(style)})


def described(runs: dict[str, list[dict[str, Any]]]) -> str:
    """Write runs as JSON, each in a line of its own."""
    families = (
        f"{json.dumps(family)}: [\n" + ",\n".join(map(json.dumps, entries)) + "\n]"
        for family, entries in sorted(runs.items())
    )
    return "{\n" + ",\n".join(families) + "\n}\n"
