"""The workflows and the Dockerfile: what others must be able to rely on, read from the files."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda file: file.name)
def test_actions_are_pinned_and_nothing_is_granted_that_is_not_needed(workflow: Path) -> None:
    text = workflow.read_text("utf-8")
    for used in re.findall(r"uses: (.+)", text):
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+|\./\.github/workflows/\w+\.yml", used), used
    assert "\npermissions:\n  contents: read\n" in text
    assert text.count("actions/checkout@") == text.count("persist-credentials: false")
    assert text.count("runs-on:") == text.count("timeout-minutes:")
    assert "secrets." not in text


def test_workflows_run_targets_that_exist() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    wanted = {
        target
        for workflow in WORKFLOWS
        for line in re.findall(r"- run: .*\bmake ([a-z ]+)", workflow.read_text("utf-8"))
        for target in line.split()
    }
    assert wanted >= {"test", "lint", "wheels"}
    for target in wanted:
        assert f".PHONY: {target}\n" in makefile, target


def test_the_image_runs_as_nobody_in_particular() -> None:
    stages = (ROOT / "Dockerfile").read_text("utf-8").split("\nFROM ")
    assert len(stages) == 3, "one builds, one runs"
    last = stages[-1]
    assert "\nUSER 10001\n" in last
    assert 'ENTRYPOINT ["purista-fast"]' in last
    assert not re.search(r"gcc|libc6-dev|python3-pip|python3-venv", last)
