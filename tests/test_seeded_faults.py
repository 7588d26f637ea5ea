import json
import runpy
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


def test_faults_name_places_and_tests_that_are_there():
    root = Path(__file__).parent.parent
    table = runpy.run_path(str(Path(__file__).parent / "seeded_faults" / "fault_table.py"))
    faults = [fault for faults in table["SUBSTITUTIONS"].values() for fault in faults]
    assert faults
    for file, old, _, *tests in faults:
        assert old in (root / file).read_text(), (file, old)
        for test in tests:
            path, _, name = test.partition("::")
            assert f"def {name}" in (root / path).read_text(), test
