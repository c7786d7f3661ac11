"""Fails if a file names the machine that made it: a package registry of its own, or a path of its disk."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HOME_PATH = re.compile(r"(?<![\w./~$}-])/(?:home|root|Users)/[\w.-]+")
LOCK_LINE = re.compile(r"[a-z0-9-]+==\S+ \\|    --hash=sha256:[0-9a-f]{64}(?: \\)?|#.*|")
CRATES = "registry+https://github.com/rust-lang/crates.io-index"


def files() -> list[Path]:
    """What is in the repository, or would be with the next commit."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")  # noqa: S603 - fixed words
    return sorted({ROOT / name for name in names if name and (ROOT / name).is_file()})


def problems(path: Path) -> Iterator[tuple[int, str]]:
    """Line and fault of everything that is wrong with a file."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except UnicodeDecodeError:
        return
    here = re.compile(rf"(?<![\w./-]){re.escape(str(ROOT))}(?![\w-])")
    for number, line in enumerate(lines, 1):
        for pattern in (HOME_PATH, here):
            if found := pattern.search(line):
                yield number, f"a path of this machine: {found[0]}"
        if path.parent.name == "requirements" and path.suffix == ".txt" and not LOCK_LINE.fullmatch(line):
            yield number, f"more than a version and its hashes: {line.strip()}"
        if path.name == "Cargo.lock" and line.startswith("source = ") and line != f'source = "{CRATES}"':
            yield number, f"a source that is not crates.io: {line}"
        if path.name in ("pyproject.toml", "Cargo.toml", "Makefile", "run") and re.search(
            r"--(extra-)?index-url[ =]|--trusted-host[ =]|--find-links[ =]|\[registries|\[source\.", line
        ):
            yield number, f"a registry of its own: {line.strip()}"


def main() -> int:
    """The exit code: 1 if anything was found."""
    found = [f"{path.relative_to(ROOT)}:{number}: {what}" for path in files() for number, what in problems(path)]
    print(*found, sep="\n", end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
