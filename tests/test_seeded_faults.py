import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_no_seeded_fault_survives():
    program = Path(__file__).with_name("seeded_faults")
    command = [sys.executable, str(program), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    verdicts = json.loads(done.stdout)
    assert verdicts
    assert [verdict for verdict in verdicts if not verdict["killed"]] == []
