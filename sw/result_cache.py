"""What took long to find out, kept under a digest of everything that it depends on."""

import contextlib
import hashlib
import importlib.metadata
import os
import stat
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from downshift.hw.errors import DownshiftError
from downshift.sw.atomic_write import write_atomically

__all__ = ["ResultCache", "cache_folder", "digest", "source_digest", "version"]

DIGEST_BYTES = hashlib.sha256().digest_size


def cache_folder() -> Path:
    """Return ``$XDG_CACHE_HOME/downshift``, or ``~/.cache/downshift``; nothing is created."""
    chosen = Path(os.environ.get("XDG_CACHE_HOME", ""))
    # The XDG base directory specification: a path that is not absolute is to be ignored.
    return (chosen if chosen.is_absolute() else Path.home() / ".cache") / "downshift"


def digest(*parts: str | bytes) -> str:
    """Digest texts and bytes; other parts, or the same cut elsewhere, give another one.

    Examples
    --------
    >>> digest("ab", "c") == digest("a", "bc")
    False
    """
    whole = hashlib.sha256()
    for part in parts:
        content = part.encode() if isinstance(part, str) else part
        whole.update(len(content).to_bytes(8, "little") + content)
    return whole.hexdigest()


def source_digest(*modules: str) -> str:
    """Digest Python modules by their full names; of a package, all modules right in it."""
    parts: list[str | bytes] = []
    for module in modules:
        specification = find_spec(module)
        assert specification is not None and specification.origin is not None
        path = Path(specification.origin)
        paths = sorted(path.parent.glob("*.py")) if path.name == "__init__.py" else [path]
        for path in paths:
            parts += [module, path.name, path.read_bytes()]
    return digest(*parts)


def version(distribution: str) -> str:
    """Version of an installed distribution; empty if there is none."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""


@dataclass(frozen=True, kw_only=True)
class ResultCache:
    """Results by kind and key, each in a file of its own, which may be deleted at any time.

    A file that is damaged, stands in another's place, cannot be read, or that others own or may
    write counts as missing. Where nothing can be written, nothing is kept.

    Parameters
    ----------
    folder : Path
        Created with the first result.
    """

    folder: Path

    def get(self, kind: str, key: str) -> bytes | None:
        """Return what `put` was given, or None."""
        try:
            with self._path(kind, key).open("rb") as file:
                status = os.fstat(file.fileno())
                content = file.read()
        except OSError:
            return None
        if status.st_uid != os.geteuid() or status.st_mode & stat.S_IWOTH:
            return None
        seal, body = content[:DIGEST_BYTES], content[DIGEST_BYTES:]
        return body if seal == self._seal(kind, key, body) else None

    def put(self, kind: str, key: str, body: bytes) -> None:
        """Keep a result in place of the one before."""
        with contextlib.suppress(DownshiftError):
            write_atomically(self._path(kind, key), self._seal(kind, key, body) + body)

    def _path(self, kind: str, key: str) -> Path:
        return self.folder / kind / key

    @staticmethod
    def _seal(kind: str, key: str, body: bytes) -> bytes:
        return bytes.fromhex(digest(kind, key, body))
