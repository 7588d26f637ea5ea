"""The link over a serial port."""

import os

from downshift.hw.errors import DownshiftError

__all__ = ["SerialTransport"]

MOST_DRAINED = 1 << 16
"""Bytes: more than can be on their way."""
QUIET_SECONDS = 0.02
"""More than a USB adapter keeps bytes back."""


class SerialTransport:
    """Carry bytes over a serial port; a `downshift.sw.device.driver.Transport`.

    Parameters
    ----------
    port : str
        Device, such as ``/dev/ttyUSB0``, or any URL that pyserial understands.
    baud : int
        Bits a second.
    timeout : float
        Seconds that `read` waits for the first byte.

    Raises
    ------
    DownshiftError
        If the port cannot be opened; later, if it is lost.
    """

    def __init__(self, port: str, *, baud: int = 1_000_000, timeout: float = 2.0):
        import serial

        self.port = port
        self._failures = serial.SerialException, OSError
        try:
            self._serial = serial.serial_for_url(
                port, do_not_open=True, baudrate=baud, timeout=timeout
            )
            if "://" not in port:
                self._serial.exclusive = True
            self._serial.open()
        except (*self._failures, ValueError) as error:
            raise DownshiftError(
                f"Cannot open serial port {port}: {_reason(error)}; is the board plugged in, and "
                "no other program at its port?"
            ) from None
        self._serial.reset_input_buffer()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self) -> None:
        """Give the port back."""
        self._serial.close()

    def write(self, content: bytes) -> None:
        """Send all of `content`."""
        try:
            self._serial.write(content)
        except self._failures as error:
            raise self._lost(error) from None

    def read(self) -> bytes:
        """Return what has arrived, waiting for at least a byte; empty if none comes."""
        try:
            first = self._serial.read(1)
            return first + self._serial.read(self._serial.in_waiting)
        except self._failures as error:
            raise self._lost(error) from None

    def drain(self) -> None:
        """Forget what arrives until nothing comes for `QUIET_SECONDS`, or it does not end."""
        waited, self._serial.timeout = self._serial.timeout, QUIET_SECONDS
        drained = 0
        try:
            while (arrived := self.read()) and drained < MOST_DRAINED:
                drained += len(arrived)
        finally:
            self._serial.timeout = waited

    def _lost(self, error: Exception) -> DownshiftError:
        return DownshiftError(
            f"Serial port {self.port} was lost: {_reason(error)}; plug the board in again"
        )


def _reason(error: Exception) -> str:
    """What went wrong, without the path and the number that are in it twice."""
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    return str(error)
