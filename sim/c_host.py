"""The host in C, against the simulated accelerator behind SPI."""

import ctypes
from pathlib import Path

import numpy as np

from downshift.sim.link_noise import damage
from downshift.sw.device.driver import Accelerator
from downshift.sw.device.spi_transport import IDLE

__all__ = ["TRANSFER", "c_host_frames"]

TRANSFER = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t
)


def c_host_frames(
    accelerator: Accelerator,
    *,
    library: str,
    inputs: str,
    classes: int,
    schedule: list[tuple[int, int]],
    rate: float = 0.0,
    seed: int = 0,
) -> dict:
    """Load an image and run frames with the host in C.

    Parameters
    ----------
    accelerator : Accelerator
        Simulated, behind SPI; its transport is used, not its driver.
    library : str
        Shared library with ``load(transfer)``, ``run(width, codes, logits, cycles)`` and
        ``scrub()``, which call the host for one model.
    inputs : str
        File: uint8 of (n, height, width, channels).
    classes : int
    schedule : list of (int, int)
        Input and width of each frame.
    rate : float
        Of the bytes that are damaged, both ways.
    seed : int
        Of the damage.

    Returns
    -------
    dict
        ``load``, ``scrub``: what they return; ``frames``, for each: ``status``, ``logits`` and
        ``cycles``.
    """
    host = ctypes.CDLL(str(Path(library).resolve()))
    x = np.load(inputs)
    rng = np.random.default_rng(seed)
    exchange = accelerator.link.transport.transfer

    @TRANSFER
    def transfer(_, out, back, count):
        content, _ = damage(ctypes.string_at(out, count), rate=rate, rng=rng)
        # Over SPI as many come back as are sent.
        arrived, _ = damage(exchange(content[:count].ljust(count, IDLE)), rate=rate, rng=rng)
        ctypes.memmove(back, arrived[:count].ljust(count, IDLE), count)
        return 0

    results = {"load": host.load(transfer), "frames": []}
    for index, width in schedule:
        logits, cycles = np.zeros(classes, np.int32), ctypes.c_uint32()
        codes = np.ascontiguousarray(x[index])
        status = host.run(
            width, codes.ctypes.data_as(ctypes.c_void_p), logits.ctypes.data_as(ctypes.c_void_p),
            ctypes.byref(cycles),
        )  # fmt: skip
        results["frames"].append(
            {"status": status, "logits": logits.tolist(), "cycles": cycles.value}
        )
    results["scrub"] = host.scrub()
    return results
