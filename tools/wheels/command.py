"""How the tools run other commands."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
KIT = Path(os.environ.get("ARM_KIT") or ROOT / ".arm").resolve()


def run(*command: object, folder: Path, environment: dict[str, str] | None = None) -> str:
    """Runs a command in a folder: what it says. If it fails, that is shown and the program ends."""
    words = [str(word) for word in command]
    done = subprocess.run(  # noqa: S603 - no word comes from outside
        words, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode:
        sys.exit(f"{done.stdout}\n{' '.join(words)}: failed ({done.returncode})")
    return done.stdout


def epoch() -> str:
    """The time that goes into files, in seconds since 1970: `SOURCE_DATE_EPOCH`, or that of the commit."""
    if given := os.environ.get("SOURCE_DATE_EPOCH"):
        return given
    if not (ROOT / ".git").exists():
        sys.exit(f"{ROOT} is no git clone: set SOURCE_DATE_EPOCH, the time that the files shall have")
    return run("git", "log", "-1", "--format=%ct", folder=ROOT).strip()
