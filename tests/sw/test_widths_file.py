import pytest

from downshift.hw.errors import DownshiftError
from downshift.sw.search.widths_file import load_widths, save_widths


def test_widths_files_come_back(tmp_path):
    assignments = {8: 8, 5: {"a.conv": 8, "b": 2}}
    save_widths(tmp_path / "w.json", assignments)
    assert load_widths(tmp_path / "w.json") == assignments


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            None,
            r"^Cannot read .*w.json: No such file or directory; make one by `down",
        ),
        ("{", r"w.json is no widths file; make one"),
        ("[" * 100_000, r"w.json is no widths file; make one"),
        ("[]", r"w.json is no widths file; make one"),
        ('{"format": "downshift-widths", "version": 9}', r"has version 9, this program reads 1; "),
        ('{"format": "downshift-widths", "version": 1}', r"holds no assignments; make one"),
        (
            '{"format": "downshift-widths", "version": 1, "assignments": {"9": 8}}',
            r"a width must be 1 to 8 bits, not '9'$",
        ),
        (
            '{"format": "downshift-widths", "version": 1, "assignments": {"5": {"a": true}}}',
            r"width 5 must mean 1 to 8 bits, or so many for each layer by its path$",
        ),
    ],
)
def test_other_files_are_refused(content, message, tmp_path):
    if content is not None:
        (tmp_path / "w.json").write_text(content)
    with pytest.raises(DownshiftError, match=message):
        load_widths(tmp_path / "w.json")
