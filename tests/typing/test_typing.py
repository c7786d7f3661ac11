"""mypy and pyright, both strict, agree with what the files beside this one say."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def mypy(*files: Path) -> dict[tuple[str, int], str]:
    """The errors that mypy finds, by file and line."""
    command = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), "--no-error-summary"]
    done = subprocess.run([*command, *map(str, files)], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    found = re.findall(r"^(.+?):(\d+): error: (.*)$", done.stdout, re.MULTILINE)
    return {(Path(file).name, int(line)): text for file, line, text in found}


def pyright(*files: Path) -> dict[tuple[str, int], str]:
    """The errors that pyright finds, by file and line."""
    command = [sys.executable, "-m", "pyright", "--outputjson", *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    found = json.loads(done.stdout)["generalDiagnostics"]
    return {
        (Path(one["file"]).name, one["range"]["start"]["line"] + 1): one["message"]
        for one in found
        if one["severity"] == "error"
    }


@pytest.mark.timeout(180)
@pytest.mark.parametrize("check", [mypy, pyright], ids=["mypy", "pyright"])
def test_types_and_mistakes(check: object) -> None:
    assert callable(check)
    mistakes = HERE / "mistakes.py"
    lines = mistakes.read_text(encoding="utf-8").splitlines()
    wrong = {("mistakes.py", number) for number, line in enumerate(lines, 1) if line.endswith("# wrong")}
    found = check(HERE / "handlers.py", mistakes)
    assert len(wrong) > 20
    assert {where: text for where, text in found.items() if where not in wrong} == {}, "right, but refused"
    assert wrong - set(found) == set(), "wrong, but accepted"
