"""The README's example runs as it stands there."""

import re
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"


def test_example(tmp_path, monkeypatch, capsys):
    example, _ = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "README.md", "exec"), {})
    printed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in printed] == ["8", "4", "2"]
    cycles = [int(line.split()[1]) for line in printed]
    assert cycles == sorted(cycles, reverse=True)
    assert {path.name for path in tmp_path.iterdir()} == {"mine.safetensors", "mine.img"}
