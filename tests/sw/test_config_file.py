import json

import pytest

from downshift.hw.config import AcceleratorConfig, DspConfig
from downshift.hw.errors import DownshiftError
from downshift.hw.table_config import TableConfig
from downshift.sw.compile.config_file import config_text, read_config


@pytest.mark.parametrize(
    "config",
    [AcceleratorConfig(rows=16, pipelined=False), DspConfig(rows=4), TableConfig(segments=3)],
)
def test_configurations_come_back(tmp_path, config):
    (tmp_path / "c.json").write_text(config_text(config))
    assert read_config(tmp_path / "c.json") == config


def test_what_is_not_said_has_its_default(tmp_path):
    (tmp_path / "c.json").write_text('{"style": "brick", "rows": 4}')
    assert read_config(tmp_path / "c.json") == AcceleratorConfig(rows=4)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('{"rows": 4}', "it has no style"),
        ('{"style": "round"}', "style must be one of brick, dsp, table, not 'round'"),
        ('{"style": ["brick"]}', "unhashable type"),
        ('{"style": "brick", "rows": 5}', "rows must be a power of two, not 5"),
        ('{"style": "brick", "rows": "x"}', "rows must be an integer, not 'x'"),
        ('{"style": "brick", "columns": 4}', "unexpected keyword argument 'columns'"),
        ("[]", "it must be {…} with a style"),
        ("{", "Expecting property name"),
        ("[" * 60_000, "recursion"),
        (json.dumps({"style": "x" * 100_000}), "Unterminated string"),
        ("\x00\xff", ""),
    ],
)
def test_what_is_none_is_refused(tmp_path, content, reason):
    (tmp_path / "c.json").write_text(content)
    with pytest.raises(DownshiftError, match=r"c\.json is no configuration of an accel") as caught:
        read_config(tmp_path / "c.json")
    assert reason in str(caught.value).split("accelerator: ")[1]


def test_a_file_that_is_missing_is_named(tmp_path):
    with pytest.raises(DownshiftError, match=r"^Cannot read .*c\.json: No such file or directory$"):
        read_config(tmp_path / "c.json")
