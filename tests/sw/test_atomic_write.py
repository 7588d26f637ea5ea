import re

import pytest

from downshift.hw.errors import DownshiftError
from downshift.sw.atomic_write import (
    atomic_folder,
    atomic_path,
    check_writable,
    write_atomically,
)


def names(folder):
    return sorted(file.name for file in folder.iterdir())


def test_a_file_appears_with_its_folder(tmp_path):
    write_atomically(tmp_path / "deep" / "a.bin", b"\0\1")
    write_atomically(tmp_path / "deep" / "b.txt", "é")
    assert names(tmp_path / "deep") == ["a.bin", "b.txt"]
    assert (tmp_path / "deep" / "b.txt").read_bytes() == "é".encode()


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path):
    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(KeyError), atomic_path(tmp_path / "a.txt") as temporary:
        temporary.write_text("half")
        raise KeyError
    assert names(tmp_path) == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "old"


def test_a_folder_fills_at_the_end(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "kept").write_text("kept")
    with atomic_folder(tmp_path / "out") as temporary:
        (temporary / "new").write_text("new")
        assert names(tmp_path / "out") == ["kept"]
    assert names(tmp_path) == ["out"]
    assert names(tmp_path / "out") == ["kept", "new"]


def test_an_error_leaves_no_folder(tmp_path):
    with pytest.raises(KeyError), atomic_folder(tmp_path / "out"):
        raise KeyError
    assert names(tmp_path) == []


@pytest.mark.parametrize("writer", [lambda path: write_atomically(path, b""), atomic_folder])
def test_a_path_through_a_file_is_refused(tmp_path, writer):
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / "a.txt"
    message = re.escape(f"Cannot write {path}: {path.parent} is a file")
    with pytest.raises(DownshiftError, match=f"^{message}$"):
        with writer(path) or pytest.fail("written"):
            pass


def test_a_folder_in_the_place_of_a_file_is_refused(tmp_path):
    for writer in (lambda path: write_atomically(path, b""), check_writable):
        with pytest.raises(DownshiftError, match=r"^Cannot write .*: it is a folder$"):
            writer(tmp_path)


def test_a_folder_in_the_place_of_one_of_several_files_leaves_all(tmp_path):
    (tmp_path / "out" / "b").mkdir(parents=True)
    with (
        pytest.raises(DownshiftError, match=r"^Cannot write .*: b in it is a folder$"),
        atomic_folder(tmp_path / "out") as folder,
    ):
        (folder / "a").write_text("")
        (folder / "b").write_text("")
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["b"]


def test_looking_whether_a_path_can_be_written_changes_nothing(tmp_path):
    (tmp_path / "a").write_text("kept")
    check_writable(tmp_path / "a")
    assert (tmp_path / "a").read_text() == "kept"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_file_in_the_place_of_a_folder_is_refused(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(DownshiftError, match=r"^Cannot write .*: it is a file$"):
        with atomic_folder(tmp_path / "out"):
            pass
