"""A driver's work as a file: what a bench is to run, and where its result goes."""

import importlib
import json
import os
from pathlib import Path

from cocotb.task import bridge

from downshift.sw.device.driver import Accelerator

__all__ = ["JOB_VARIABLE", "run_job"]

JOB_VARIABLE = "DOWNSHIFT_JOB"
"""Environment variable that names the file with the job."""


async def run_job(accelerator: Accelerator) -> None:
    """Run the work that the job names, and keep what it returns."""
    job = json.loads(Path(os.environ[JOB_VARIABLE]).read_text())
    module, _, name = job["work"].partition(":")
    work = getattr(importlib.import_module(module), name)
    result = await bridge(work)(accelerator, **job["arguments"])
    Path(job["result"]).write_text(json.dumps(result))
