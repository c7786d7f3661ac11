"""Proves the wheels of ``dist`` on emulated ARM systems: ``make test-arm``, or ``python -m tools.arm.test [ROOT...]``.

In each system no compiler is found; pip fetches wheels and nothing else; purista-fast is installed without a network
and its demo runs; then the tests, and the short benchmark. ``docs/arm/ROOT.txt`` is the report. ``SUITES=unit,outbox``
in the environment runs these tests once more and keeps the rest of the last proof.
"""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from tools.arm import report
from tools.arm.proof import Proof
from tools.arm.systems import DIST, HERE, KIT, REPOSITORY, SYSTEMS, suites_of


def main(names: list[str]) -> int:
    """Proves these systems, all without names; the exit code."""
    names = names or list(SYSTEMS)
    if unknown := [name for name in names if name not in SYSTEMS]:
        print(f"there is no {', '.join(unknown)}; there are {', '.join(SYSTEMS)}", file=sys.stderr)
        return 2
    for missing in (DIST / "*.whl", KIT / "qemu" / "qemu-*"):
        if not list(missing.parent.glob(missing.name)):
            print(f"there is no {missing}: `make wheels` makes them", file=sys.stderr)
            return 2
    subprocess.run([HERE / "roots.sh", *names], check=True, env={**os.environ, "ARM_KIT": str(KIT)})
    with ThreadPoolExecutor(max_workers=int(os.environ.get("JOBS", "2"))) as pool:
        proven = list(pool.map(_is_proven, names))
    report.write_table()
    return 0 if all(proven) else 1


def _is_proven(name: str) -> bool:
    folder = REPOSITORY / "docs" / "arm"
    folder.mkdir(exist_ok=True)
    proof = Proof(name, suites_of(name))

    def write() -> None:
        (folder / f"{name}.txt").write_text(report.text(proof), "utf-8")

    only = [suite for suite in os.environ.get("SUITES", "").split(",") if suite in proof.suites]
    proof.run(only, write)
    if set(proof.results) == set(proof.suites):
        proof.errors += [f"cannot.toml names what is no test: {gone}" for gone in report.names_without_test(proof)]
    write()
    return not proof.faults


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
