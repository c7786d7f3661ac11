"""The whole story of the example: devices, a cloud, and a link that is cut."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.patience import patient

STORY = Path(__file__).parents[2] / "examples" / "fleet" / "story.py"


@pytest.mark.timeout(patient(240))
def test_in_the_end_the_counts_agree() -> None:
    done = subprocess.run([sys.executable, str(STORY), "12"], capture_output=True, text=True, timeout=patient(200))
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert lines[-1] == "the counts agree"
    assert "the cloud has set a limit on gateway: memory at most 0.5" in lines
    assert any("link CUT" in line for line in lines)
    assert any(line.startswith("gateway") and line.endswith("memory") for line in lines), "its alarm came"
