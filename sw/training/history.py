"""The log of a run: one row an epoch, as a table for people and for TensorBoard."""

import csv
import io
from pathlib import Path

from downshift.sw.atomic_write import write_atomically

__all__ = ["History"]


class History:
    """Rows of a run so far, kept in ``log.csv`` and, for TensorBoard, in ``events``.

    Parameters
    ----------
    folder : Path or None
        Where both lie; None keeps rows in memory only.
    rows : list of dict
        Rows from before, of a run that resumes.

    Attributes
    ----------
    rows : list of dict of str to number or str
        In order; ``phase`` and ``epoch`` first.
    """

    def __init__(self, folder: Path | None, rows: list[dict] | None = None):
        self.folder = folder
        self.rows = list(rows or [])
        self._events = None

    def add(self, row: dict) -> None:
        """Add a row, and write it out."""
        self.rows.append(row)
        if self.folder is None:
            return
        text = io.StringIO()
        columns = list(dict.fromkeys(name for row in self.rows for name in row))
        table = csv.DictWriter(text, columns, lineterminator="\n")
        table.writeheader()
        table.writerows(self.rows)
        write_atomically(self.folder / "log.csv", text.getvalue().encode())
        if self._events is None:
            # A second to import, and only runs with a folder need it.
            from tensorboardX import SummaryWriter

            self._events = SummaryWriter(str(self.folder / "events"))
        for name, value in row.items():
            if name not in ("phase", "epoch"):
                self._events.add_scalar(f"{row['phase']}/{name}", value, row["epoch"])
        self._events.flush()

    def close(self) -> None:
        """Close what is open."""
        if self._events is not None:
            self._events.close()
