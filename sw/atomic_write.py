"""Files that appear whole or not at all."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from downshift.hw.errors import DownshiftError

__all__ = ["atomic_folder", "atomic_path", "check_writable", "make_folder", "write_atomically"]


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Give a temporary name in the folder of `path`, and rename it to `path` at the end.

    When the body raises, the temporary file is removed and whatever stood at `path` stays.

    Parameters
    ----------
    path : path
        The file to write; its folder is created if it is missing.

    Yields
    ------
    Path
        The temporary name; the body must write a file there.

    Raises
    ------
    DownshiftError
        If `path` cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> with atomic_path(Path(folder.name) / "a.txt") as temporary:
    ...     _ = temporary.write_text("whole")
    >>> [(file.name, file.read_text()) for file in Path(folder.name).iterdir()]
    [('a.txt', 'whole')]
    >>> folder.cleanup()
    """
    path = Path(path)
    with _explained(path):
        if path.is_dir():
            raise IsADirectoryError(None, "it is a folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        os.close(handle)
    temporary = Path(name)
    try:
        with _explained(path):
            yield temporary
            temporary.chmod(0o666 & ~_umask())
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_atomically(path: Path | str, data: bytes | str) -> None:
    """Write `data` (text as UTF-8) to `path`, whole or not at all; see `atomic_path`."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data.encode() if isinstance(data, str) else data)


def check_writable(path: Path | str) -> None:
    """Raise `DownshiftError` if a file could not be written to `path`; what stands there stays."""
    path = Path(path)
    with _explained(path):
        if path.is_dir():
            raise IsADirectoryError(None, "it is a folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass


def make_folder(path: Path | str) -> None:
    """Make a folder and those above it, or raise `DownshiftError`."""
    with _explained(Path(path)):
        Path(path).mkdir(parents=True, exist_ok=True)


@contextmanager
def atomic_folder(path: Path | str) -> Iterator[Path]:
    """Give a temporary folder beside `path`, whose files move into `path` when the body ends.

    Files already in `path` are replaced by those of the same name; others stay. When the body
    raises, the temporary folder is removed and `path` is as it was.

    Parameters
    ----------
    path : path
        The folder to fill; created if it is missing.

    Raises
    ------
    DownshiftError
        If `path` cannot be written.
    """
    path = Path(path)
    with _explained(path):
        if path.exists() and not path.is_dir():
            raise NotADirectoryError(None, "it is a file")
        path.absolute().parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(
            tempfile.mkdtemp(prefix=f".{path.absolute().name}.", dir=path.absolute().parent)
        )
    try:
        with _explained(path):
            yield temporary
            path.mkdir(exist_ok=True)
            for file in temporary.iterdir():
                if (path / file.name).is_dir():
                    raise IsADirectoryError(None, f"{file.name} in it is a folder")
            for file in sorted(temporary.iterdir()):
                file.replace(path / file.name)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn a refusal of the operating system into one sentence that names `path`."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        for above in path.parents:
            if above.exists() and not above.is_dir():
                reason = f"{above} is a file"
        raise DownshiftError(f"Cannot write {path}: {reason}") from error


def _umask() -> int:
    """The file mode bits that this process withholds."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
