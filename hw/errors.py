"""The one exception that a user's mistake raises."""

__all__ = ["DownshiftError"]


class DownshiftError(Exception):
    """A mistake in what was given, said in one sentence that names it and what to do.

    The command line prints the sentence on standard error and exits with `exit_status`.

    Parameters
    ----------
    message : str
        One sentence, without a final line break.
    exit_status : int
        1 for an input or environment that cannot work; 2 for a command line that cannot be meant;
        130 after Ctrl-C.
    """

    def __init__(self, message: str, *, exit_status: int = 1):
        super().__init__(message)
        self.exit_status = exit_status
