"""The configuration of an accelerator as a file: JSON with its style and fields."""

import json
from dataclasses import asdict
from pathlib import Path

from downshift.hw.config import AcceleratorConfig
from downshift.hw.errors import DownshiftError
from downshift.hw.table_config import TableConfig
from downshift.sw.compile.image import STYLE_NAMES, STYLES
from downshift.sw.small_file import read_small

__all__ = ["CONFIG", "config_text", "read_config"]

CONFIG = "config.json"


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
    content = read_small(path)
    try:
        fields = json.loads(content)
        if not isinstance(fields, dict):
            raise ValueError("it must be {…} with a style")
        style = fields.pop("style")
        if style not in STYLES:
            raise ValueError(f"style must be one of {', '.join(STYLES)}, not {style!r}")
        return STYLES[style][0](**fields)
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        reason = "it has no style" if isinstance(error, KeyError) else error
        raise DownshiftError(f"{path} is no configuration of an accelerator: {reason}") from error
