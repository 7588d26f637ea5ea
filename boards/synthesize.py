"""Run a Yosys script in this process: ``python -m downshift.boards.synthesize SCRIPT``.

A process of its own, because Yosys writes to the terminal and keeps global state.
"""

import sys

__all__ = ["synthesize"]


def synthesize(script: str) -> None:
    """Run the Yosys commands in the file `script`; Yosys ends the process on an error."""
    from pyosys import libyosys  # pyright: ignore[reportAttributeAccessIssue]

    design = libyosys.Design()
    libyosys.run_pass(f"script {script}", design)


if __name__ == "__main__":
    synthesize(*sys.argv[1:])
