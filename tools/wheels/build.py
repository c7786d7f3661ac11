"""Builds the source distribution and, from it alone, the wheels: `python -m tools.wheels.build OUT [TARGET...]`.

A TARGET is a part of a triple or a platform's name (`armv7`, `musllinux`); none means all. The compilers come from the
kit (tools/arm/kit.sh, `ARM_KIT`). Nothing of the machine goes into a file: paths are mapped away, and the time is that
of the commit (`SOURCE_DATE_EPOCH`), so a build in another folder gives the same bytes; `--reproduce` does that and
compares.
"""

import argparse
import hashlib
import os
import sys
import tarfile
import tempfile
from pathlib import Path

from tools.wheels.command import KIT, ROOT, epoch, run
from tools.wheels.sbom import settle
from tools.wheels.targets import TARGETS, Target


def environment(work: Path, flags: str = "") -> dict[str, str]:
    """That of maturin and cargo: the kit's tools, and a compiler that forgets where everything was."""
    cargo = Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo")
    sources = KIT / "rust/usr/lib/rustlib/src/rust"
    forgotten = {work: ".", sources: "/rust", sources.resolve(): "/rust", cargo: "/cargo"}
    forgotten |= dict.fromkeys((cargo / "registry/src").glob("*"), "/crates")
    # In a wrapper and not in RUSTFLAGS, which are part of the hashes in the names of symbols.
    wrapper = work / "rustc"
    remaps = " ".join(f"'--remap-path-prefix={path}={name}'" for path, name in forgotten.items())
    wrapper.write_text(f'#!/bin/sh\nexec "{KIT}/rust/bin/rustc" "$@" {remaps}\n')
    wrapper.chmod(0o755)
    foreign = ("RUST", "CARGO_", "PYO3_", "MATURIN_")
    return {name: value for name, value in os.environ.items() if not name.startswith(foreign)} | {
        "CARGO_HOME": str(cargo),
        "CARGO_TARGET_DIR": str(work / "target"),
        "PATH": f"{KIT}/venv/bin:{os.environ['PATH']}",
        "RUSTC": str(wrapper),
        "RUSTFLAGS": flags,
    }


def sdist(out: Path, work: Path) -> Path:
    """The source distribution, into `out`, and unpacked in `work`: the folder."""
    run("maturin", "sdist", "--out", out, folder=ROOT, environment=environment(work))
    (made,) = out.glob("purista_fast-*.tar.gz")
    print(made.name, flush=True)
    with tarfile.open(made) as archive:
        archive.extractall(work, filter="data")
    return work / made.name.removesuffix(".tar.gz")


def wheel(target: Target, out: Path, work: Path, source: Path) -> None:
    """The wheel of one target, from the unpacked source distribution."""
    with tempfile.TemporaryDirectory(dir=work) as folder:
        options = ["--release", "--locked", "--strip", "--zig", "--compatibility", target.compatibility]
        run(
            *("maturin", "build", *options, "--target", target.triple, "--out", folder),
            folder=source,
            environment=environment(work, target.rustflags),
        )
        (made,) = Path(folder).glob("*.whl")
        settle(made, out / made.name, source, KIT / "rust/bin/rustc")
    print(made.name, flush=True)


def build(out: Path, work: Path, targets: list[Target]) -> dict[str, str]:
    """The source distribution and the wheels, into `out`: their names with their SHA-256."""
    for old in [*out.glob("purista_fast-*.whl"), *out.glob("purista_fast-*.tar.gz")]:
        old.unlink()
    source = sdist(out, work)
    for target in targets:
        wheel(target, out, work, source)
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(out.glob("purista_fast-*"))}


def reproduce(first: dict[str, str], targets: list[Target]) -> None:
    """Builds once more, in another folder, and ends the program if a file is not the same."""
    with tempfile.TemporaryDirectory(prefix="once-more-") as work, tempfile.TemporaryDirectory() as out:
        second = build(Path(out), Path(work), targets)
    different = [name for name in first if first[name] != second.get(name)]
    for name, digest in first.items():
        print(f"{'different' if name in different else 'the same'}  {digest}  {name}")
    if different:
        sys.exit(f"two builds in two folders are different: {', '.join(different)}")


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("targets", nargs="*", metavar="TARGET")
    parser.add_argument("--reproduce", action="store_true", help="build once more in another folder and compare")
    arguments = parser.parse_intermixed_args()
    words: list[str] = arguments.targets or [""]
    targets = [target for target in TARGETS if any(word in f"{target.triple} {target.platform}" for word in words)]
    if not targets:
        parser.error(f"no target {' '.join(words)}; there are {', '.join(target.triple for target in TARGETS)}")
    out: Path = arguments.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    os.environ["SOURCE_DATE_EPOCH"] = epoch()  # once: a commit while it builds must not give files of two times
    with tempfile.TemporaryDirectory(prefix="wheels-") as work:
        made = build(out, Path(work), targets)
    if arguments.reproduce:
        reproduce(made, targets)


if __name__ == "__main__":
    main()
