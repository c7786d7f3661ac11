"""mypy and pyright, both strict, agree with what the files beside this one say."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Check = Callable[[], dict[tuple[str, int], str]]
HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def mypy() -> dict[tuple[str, int], str]:
    """The errors that mypy finds, by file and line."""
    files = [str(HERE / "handlers.py"), str(HERE / "mistakes.py")]
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--config-file",
        str(ROOT / "pyproject.toml"),
        "--no-error-summary",
        *files,
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    found = re.findall(r"^(.+?):(\d+): error: (.*)$", done.stdout, re.MULTILINE)
    return {(Path(file).name, int(line)): text for file, line, text in found}


def pyright() -> dict[tuple[str, int], str]:
    """The errors that pyright finds, by file and line; the project's own run leaves the mistakes out."""
    command = [sys.executable, "-m", "pyright", "--project", str(HERE), "--pythonpath", sys.executable, "--outputjson"]
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
def test_types_and_mistakes(check: Check) -> None:
    mistakes = HERE / "mistakes.py"
    lines = mistakes.read_text(encoding="utf-8").splitlines()
    wrong = {("mistakes.py", number) for number, line in enumerate(lines, 1) if line.endswith("# wrong")}
    found = check()
    assert len(wrong) > 20
    assert {where: text for where, text in found.items() if where not in wrong} == {}, "right, but refused"
    assert wrong - set(found) == set(), "wrong, but accepted"
