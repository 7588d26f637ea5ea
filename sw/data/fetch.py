"""Files of public data sets: found in a folder, or fetched once, and checked either way."""

import gzip
import hashlib
import io
import os
import tarfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from downshift.hw.errors import DownshiftError
from downshift.sw.atomic_write import write_atomically
from downshift.sw.result_cache import cache_folder

__all__ = ["Progress", "PublicFile", "data_folder"]

Progress = Callable[[str, float | None, float | None], None]
"""Called with a file's name, bytes so far, and bytes in all."""
CHUNK = 1 << 20
LARGEST = 1 << 28
"""Bytes that a file may have, and what is in it: beyond it a server or a file is not in order."""
SECONDS = 30
"""Without a byte for so long, a connection is given up."""


def data_folder(chosen: Path | None) -> Path:
    """Folder of data sets: the chosen one, else ``$DOWNSHIFT_DATA``, else one in the cache."""
    if chosen is not None:
        return Path(chosen)
    named = os.environ.get("DOWNSHIFT_DATA", "")
    return Path(named) if named else cache_folder() / "data"


@dataclass(frozen=True, kw_only=True)
class PublicFile:
    """A compressed file with an address of its own."""

    name: str
    """In the folder of data sets, with the subfolder it lies in; ends in ``.tar.gz`` or ``.gz``."""
    url: str
    digests: Mapping[str, str]
    """SHA-256 of what is wanted of its content, by name in the archive; by any name in a ``.gz``.

    Of the content, since servers compress anew.
    """

    def read(self, folder: Path, progress: Progress | None = None) -> dict[str, bytes]:
        """Read what is in the file, after fetching it if it is not there.

        Parameters
        ----------
        folder : Path
            Of data sets.
        progress : callable, optional

        Returns
        -------
        dict of str to bytes
            By the names of `digests`.

        Raises
        ------
        DownshiftError
            If it is neither there nor to be had (says where it would have to lie), or is another
            one than it was.
        """
        path = folder / self.name
        try:
            return self._checked(path.read_bytes(), f"{path} is damaged or another file; delete it")
        except FileNotFoundError:
            pass
        except OSError as error:
            raise DownshiftError(f"Cannot read {path}: {error.strerror or error}") from None
        content = self._fetched(path, progress)
        members = self._checked(content, f"{self.url} is not what it was; put {path.name} there")
        write_atomically(path, content)
        return members

    def _fetched(self, path: Path, progress: Progress | None) -> bytes:
        content = bytearray()
        try:
            with urlopen(self.url, timeout=SECONDS) as response:
                total = response.length
                while (part := response.read(CHUNK)) and len(content) < LARGEST:
                    content += part
                    if progress is not None:
                        progress(path.name, len(content), total)
        except (OSError, ValueError) as error:
            reason = error.reason if isinstance(error, URLError) else error
            raise DownshiftError(
                f"There is no file {path}, and {self.url} cannot be fetched ({reason}); put it "
                "there, or name the folder that has it by --data or DOWNSHIFT_DATA"
            ) from None
        return bytes(content)

    def _checked(self, content: bytes, otherwise: str) -> dict[str, bytes]:
        """Unpack, and compare with the digests."""
        unpack = _untarred if self.name.endswith(".tar.gz") else _unzipped
        try:
            members = unpack(content, tuple(self.digests))
        except (EOFError, KeyError, OSError, tarfile.TarError, zlib.error):
            raise DownshiftError(otherwise) from None
        for name, expected in self.digests.items():
            if hashlib.sha256(members[name]).hexdigest() != expected:
                raise DownshiftError(otherwise)
        return members


def _unzipped(content: bytes, names: tuple[str, ...]) -> dict[str, bytes]:
    with gzip.open(io.BytesIO(content)) as file:
        return {names[0]: file.read(LARGEST)}


def _untarred(content: bytes, names: tuple[str, ...]) -> dict[str, bytes]:
    members = {}
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
        for name in names:
            file = archive.extractfile(name)
            if file is None:
                raise KeyError(name)
            members[name] = file.read(LARGEST)
    return members
