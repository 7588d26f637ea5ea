"""The link over a serial port."""

from downshift.hw.errors import DownshiftError

__all__ = ["SerialTransport"]


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
        If the port cannot be opened.
    """

    def __init__(self, port: str, *, baud: int = 1_000_000, timeout: float = 2.0):
        import serial

        try:
            self._serial = serial.serial_for_url(port, baudrate=baud, timeout=timeout)
        except (serial.SerialException, ValueError) as error:
            raise DownshiftError(f"Cannot open serial port {port}: {error}") from None

    def write(self, content: bytes) -> None:
        """Send all of `content`."""
        self._serial.write(content)

    def read(self) -> bytes:
        """Return what has arrived, waiting for at least a byte; empty if none comes."""
        first = self._serial.read(1)
        return first + self._serial.read(self._serial.in_waiting)
