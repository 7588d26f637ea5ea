"""The configuration of an accelerator as a file: JSON with its style and fields."""

import json
from dataclasses import asdict
from pathlib import Path

from downshift.hw.config import AcceleratorConfig
from downshift.hw.errors import DownshiftError
from downshift.hw.table_config import TableConfig
from downshift.sw.compile.image import STYLE_NAMES, STYLES

__all__ = ["CONFIG", "config_text", "read_config"]

CONFIG = "config.json"
MOST_BYTES = 1 << 16


def config_text(config: AcceleratorConfig | TableConfig) -> str:
    """Write a configuration as `read_config` reads it."""
    return json.dumps({"style": STYLE_NAMES[type(config)], **asdict(config)}, indent=2) + "\n"


def read_config(path: Path) -> AcceleratorConfig | TableConfig:
    """Read the configuration of an accelerator.

    Parameters
    ----------
    path : Path
        JSON with ``style`` and any fields of it; the others have their defaults.

    Raises
    ------
    DownshiftError
        If the file cannot be read, or says something else.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise DownshiftError(f"Cannot read {path}: {error.strerror or error}") from error
    try:
        fields = json.loads(content)
        style = fields.pop("style")
        if style not in STYLES:
            raise ValueError(f"style must be {' or '.join(STYLES)}, not {style!r}")
        return STYLES[style][0](**fields)
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        reason = "it has no style" if isinstance(error, KeyError) else error
        raise DownshiftError(f"{path} is no configuration of an accelerator: {reason}") from error
