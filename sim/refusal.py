"""What an accelerator refused: `refusal`, `refused`."""

from collections.abc import Callable

from downshift.hw.errors import DownshiftError
from downshift.hw.protocol import LinkError
from downshift.sw.device.driver import AcceleratorError

__all__ = ["refusal", "refused"]


def refusal(action: Callable[[], object]) -> tuple[str, str]:
    """Do something, and tell how it ended.

    Returns
    -------
    (str, str)
        Name of the accelerator's error, NONE without one, and its sentence; for any other error the
        sentence twice.
    """
    try:
        action()
    except AcceleratorError as error:
        return error.error.name, str(error)
    except DownshiftError as error:
        return str(error), str(error)
    return LinkError.NONE.name, ""


def refused(action: Callable[[], object]) -> str:
    """Do something, and tell the error alone, as `refusal` does."""
    return refusal(action)[0]
