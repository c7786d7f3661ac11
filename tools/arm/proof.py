"""One emulated system, and what is proven in it."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tools.arm.systems import DIST, HERE, KIT, REPOSITORY, SUITES

__all__ = ("COMPILERS", "Proof", "StepError")

COMPILERS = ["cc", "gcc", "clang", "tcc", "rustc", "cargo"]
_LEFT = [":!python", ":!rust"]
"""What is not copied: nothing but the wheel may bring the package."""
_TOOLS = "cronsim mqtt5 pytest pytest-timeout hypothesis trio"
_PATIENCE = float(os.environ.get("TESTS_PATIENCE", "12"))
_INSTALL = "venv/bin/pip install --quiet --no-index --find-links dist --find-links dist/wheelhouse --find-links wheels"
_PYTEST = "venv/bin/python -m pytest -p no:cacheprovider -p tools.arm.observer -o faulthandler_timeout=3600 --verbose"


class StepError(Exception):
    """A step went wrong after which nothing more can be proven."""


class Proof:
    """What was found in one system: it is complete after :meth:`run`.

    :param name: of the root.
    :param suites: of tests that belong to it.
    """

    def __init__(self, name: str, suites: list[str]) -> None:
        self.name = name
        self.suites = suites
        self.errors: list[str] = []
        self.notes: dict[str, str] = {}
        """What was printed: ``emulator``, ``system``, ``demo`` and ``bench``."""
        self.results: dict[str, dict[str, Any]] = {}
        """What ``observer.py`` wrote of each suite."""
        self._work = KIT / "roots" / name / "work"
        self._state = KIT / "logs" / f"{name}.json"

    @property
    def faults(self) -> list[str]:
        """What went wrong."""
        bad = {name: found for name, found in self.results.items() if found["exit"] or not found["counts"]["passed"]}
        return [*self.errors, *(f"{name}: pytest ended with {found['exit']}" for name, found in bad.items())]

    def run(self, only: list[str], changed: Callable[[], None]) -> None:
        """All steps; the output goes to a file in ``logs`` of the kit, one line for each step to standard output.

        :param only: run these suites anew and keep the rest of the last proof, if it was of the same wheels.
        :param changed: called after each step.
        """
        begin = time.monotonic()
        self._state.parent.mkdir(exist_ok=True)
        wheels = hashlib.sha256(b"".join(path.read_bytes() for path in _wheels())).hexdigest()
        goes_on = bool(only) and self._restore(wheels)
        with self._state.with_suffix(".log").open("a" if goes_on else "w", encoding="utf-8", buffering=1) as self._log:
            try:
                self._lay_out(goes_on)
                if not goes_on:
                    self._install()
                for suite in only or self.suites:
                    self._test(suite)
                    self._save(wheels)
                    changed()
                if not only:
                    self.notes["bench"] = self._command("venv/bin/purista-fast bench --quick")
                    self._save(wheels)
            except StepError as error:
                self.errors.append(str(error))
                self._say(str(error))
        self._say(f"{'FAILED' if self.faults else 'passed'} after {(time.monotonic() - begin) / 60:.0f} min")

    def _restore(self, wheels: str) -> bool:
        if not self._state.exists():
            return False
        state = json.loads(self._state.read_text("utf-8"))
        if state["wheels"] != wheels:
            return False
        self.notes, self.results = state["notes"], state["results"]
        return True

    def _save(self, wheels: str) -> None:
        state = {"wheels": wheels, "notes": self.notes, "results": self.results}
        self._state.write_text(json.dumps(state, indent=1) + "\n", "utf-8")

    def _lay_out(self, goes_on: bool) -> None:
        """The tests and the wheels, without the source of the package; what is installed stays if it ``goes_on``."""
        for path in self._work.iterdir():
            if path.is_dir() and not (goes_on and path.name == "venv"):
                shutil.rmtree(path)
        listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", ".", *_LEFT]
        tracked = subprocess.run(listing, cwd=REPOSITORY, check=True, capture_output=True, text=True).stdout
        files = [REPOSITORY / name for name in tracked.split("\0") if name]
        for file in [*files, *_wheels()]:
            if file.is_file():  # one that is removed is still listed
                target = self._work / file.relative_to(REPOSITORY)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file, target)
        qemu = KIT / "qemu" / f"qemu-{'aarch64' if self.name.endswith('arm64') else 'arm'}-static"
        version = subprocess.run([qemu, "--version"], check=True, capture_output=True, text=True).stdout
        self.notes["emulator"] = version.splitlines()[0].removeprefix("qemu-")
        locked = (REPOSITORY / "requirements" / "dev.txt").read_text("utf-8")
        pins = re.findall(r"^([a-z0-9-]+==\S+) ", locked, re.MULTILINE)
        (self._work / "constraints.txt").write_text("\n".join(pins) + "\n", "utf-8")

    def _install(self) -> None:
        """pip fetches wheels and nothing else, and installs them without a network, where no compiler is."""
        found = self._command(f"for name in {' '.join(COMPILERS)}; do command -v $name || :; done").strip()
        if found:
            raise StepError(f"there is a compiler in the root: {found}")
        self._command("python3 -m venv venv")
        self._command(
            "venv/bin/pip download --quiet --dest wheels --only-binary=:all: --constraint constraints.txt "
            f"--find-links dist --find-links dist/wheelhouse purista-fast {_TOOLS}",
            network=True,
        )
        self._command(f"{_INSTALL} purista-fast")
        self.notes["demo"] = self._command("venv/bin/purista-fast demo --seconds 5")
        self._say("installed without a network, demo ran")
        self._command(f"{_INSTALL} {_TOOLS}")
        self.notes["system"] = self._command(f"venv/bin/python tools/arm/versions.py {_TOOLS}")

    def _test(self, suite: str) -> None:
        begin = time.monotonic()
        result = self._work / "result.json"
        result.unlink(missing_ok=True)
        self._command(f"{_PYTEST} {' '.join(SUITES[suite])}", check=False)
        if not result.exists():
            raise StepError(f"{suite}: pytest ended without a result")
        found = self.results[suite] = json.loads(result.read_text("utf-8"))
        counts = found["counts"]
        words = ", ".join(f"{number} {kind}" for kind, number in counts.items())
        self._say(f"{suite}: {words} ({time.monotonic() - begin:.0f} s)")
        for failure in found["failures"]:
            self._say(f"  failed: {failure}")

    def _command(self, command: str, *, network: bool = False, check: bool = True) -> str:
        """Runs a command of the shell in the system; its output.

        :raises StepError: if it fails and ``check`` is set.
        """
        environment = {
            **{name: text for name, text in os.environ.items() if name not in ("PIP_FIND_LINKS", "VIRTUAL_ENV")},
            "ARM_KIT": str(KIT),
            "ARM_ROOT_NAME": self.name,
            "DIR": "/work",
            "PYTEST_TIMEOUT": str(60 * _PATIENCE),
            "TESTS_PATIENCE": str(_PATIENCE),
            "NET": "host" if network else "",
        }
        self._log.write(f"$ {command}\n")
        words = [
            "setpriv",
            "--pdeathsig",
            "KILL",
            "nice",
            "-n",
            "19",
            str(HERE / "run.sh"),
            self.name,
            "sh",
            "-ec",
            command,
        ]
        output: list[str] = []
        with subprocess.Popen(
            words,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                self._log.write(line)
                output.append(line)
        if check and process.returncode:
            raise StepError(f"exit code {process.returncode} of: {command}\n{''.join(output[-20:])}")
        return "".join(output)

    def _say(self, text: str) -> None:
        print(f"{self.name}: {text}", flush=True)


def _wheels() -> list[Path]:
    return sorted([*DIST.glob("*.whl"), *DIST.glob("wheelhouse/*.whl")])
