from pathlib import Path

import pytest

from downshift.sw.result_cache import ResultCache, cache_folder, digest


@pytest.fixture
def cache(tmp_path):
    return ResultCache(folder=tmp_path / "cache")


def test_what_is_kept_is_found(cache):
    assert cache.get("kind", "key") is None
    cache.put("kind", "key", b"one")
    cache.put("kind", "key", b"two")
    assert cache.get("kind", "key") == b"two"
    assert cache.get("kind", "other") is None
    assert cache.get("other", "key") is None
    assert [path.name for path in (cache.folder / "kind").iterdir()] == ["key"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(path.read_bytes() + b"x"),
        lambda path: path.write_bytes(bytes(len(path.read_bytes()))),
        lambda path: path.rename(path.with_name("other")),
        lambda path: path.chmod(0o666),
        lambda path: (path.unlink(), path.mkdir()),
        lambda path: (path.unlink(), path.symlink_to(path)),
    ],
)
def test_what_is_damaged_is_missing(cache, damage):
    cache.put("kind", "key", b"value")
    damage(cache.folder / "kind" / "key")
    assert cache.get("kind", "key") is None
    assert cache.get("kind", "other") is None


def test_where_nothing_can_be_written_nothing_is_kept(tmp_path):
    (tmp_path / "file").write_text("")
    cache = ResultCache(folder=tmp_path / "file")
    cache.put("kind", "key", b"value")
    assert cache.get("kind", "key") is None


@pytest.mark.parametrize(
    ("value", "folder"),
    [
        ("/x/y", Path("/x/y/downshift")),
        ("x/y", Path("/home/me/.cache/downshift")),
        ("", Path("/home/me/.cache/downshift")),
        (None, Path("/home/me/.cache/downshift")),
    ],
)
def test_folder(monkeypatch, value, folder):
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    if value is not None:
        monkeypatch.setenv("XDG_CACHE_HOME", value)
    assert cache_folder() == folder


def test_digests_tell_parts_apart():
    parts = [("ab", "c"), ("a", "bc"), ("abc",), ("ab", "c", ""), ("c", "ab")]
    assert len({digest(*each) for each in parts}) == len(parts)
    assert digest("a") == digest(b"a")
