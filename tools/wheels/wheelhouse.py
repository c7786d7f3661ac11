"""Wheels of the one dependency that has none for 32-bit ARM: `python -m tools.wheels.wheelhouse OUT`.

It is msgspec, in the version of requirements/dev.txt, for the Pythons of Debian 12 and 13: for glibc and musl on ARMv7,
and for glibc on ARMv6. pip finds the wheels with `--find-links OUT`, or over the index in `OUT/simple/`, which may be
served, or given as `--extra-index-url file:///…/OUT/simple/`.

The extension is compiled with zig against Debian's headers; the rest of a wheel is that of msgspec's own for aarch64.
"""

import argparse
import os
import re
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from tools.wheels.command import KIT, ROOT, epoch, run
from tools.wheels.index import write
from tools.wheels.sbom import record

PYTHONS = {"3.11": "bookworm", "3.13": "trixie"}


@dataclass(frozen=True)
class Machine:
    """What zig calls a machine, and what pip does."""

    zig: str
    cpu: str
    platforms: tuple[str, ...]


ARMV7 = "generic+v7a+vfp3-d32+thumb2-neon"
MACHINES = (
    Machine("arm-linux-gnueabihf.2.17", ARMV7, ("manylinux2014_armv7l", "manylinux_2_17_armv7l")),
    Machine("arm-linux-musleabihf", ARMV7, ("musllinux_1_2_armv7l",)),
    Machine("arm-linux-gnueabihf.2.17", "arm1176jzf_s", ("linux_armv6l",)),
)
COMPILER_FLAGS = ("-shared", "-fPIC", "-O2", "-g0", "-DNDEBUG", "-fno-sanitize=all", "-Wno-date-time")
LINKER_FLAGS = ("-s", "-Wl,-z,now", "-Wl,-z,relro", "-Wl,-z,max-page-size=65536")


def locked() -> str:
    """The lines of requirements/dev.txt that pin msgspec and the hashes of its files."""
    text = (ROOT / "requirements/dev.txt").read_text("utf-8")
    found = re.search(r"^msgspec==.*?(?=^\S)", text, re.MULTILINE | re.DOTALL)
    if not found:
        sys.exit("requirements/dev.txt does not pin msgspec: make lock")
    return found[0]


def download(work: Path, *options: str) -> Path:
    """The file of msgspec that pip chooses with these options; its hash is one of those that are locked."""
    (work / "requirements.txt").write_text(locked())
    with tempfile.TemporaryDirectory(dir=work) as folder:
        pip = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-build-isolation")
        run(*pip, "--require-hashes", "-r", "requirements.txt", "--dest", folder, *options, folder=work)
        (file,) = Path(folder).iterdir()
        return file.rename(work / file.name)


def headers(python: str) -> Path:
    """The folder of Debian's C headers of a Python for armhf; fetched once."""
    folder = KIT / f"headers-{python}"
    if not folder.exists():
        fetch = f"""
            . tools/arm/apt.sh
            mkdir -p "{folder}.new" && cd "{folder}.new"
            apt_for {PYTHONS[python]} armhf get download -qq libpython{python}-dev
            dpkg -x libpython{python}-dev_*.deb . && mv "{folder}.new" "{folder}"
        """
        run("bash", "-ec", fetch, folder=ROOT, environment=os.environ | {"KIT": str(KIT)})
    return folder / "usr/include"


def compiled(source: Path, python: str, machine: Machine) -> bytes:
    """The extension of msgspec for one Python and machine."""
    include = headers(python)
    out = source / "_core.so"
    run(
        *(sys.executable, "-m", "ziglang", "cc", "-target", machine.zig, f"-mcpu={machine.cpu}"),
        *(*COMPILER_FLAGS, f"-ffile-prefix-map={source}=.", *LINKER_FLAGS, "-o", out),
        *("-isystem", include, "-isystem", include / f"python{python}", "src/msgspec/_core.c", "-lm"),
        folder=source,
    )
    return out.read_bytes()


def assemble(template: Path, library: bytes, machine: Machine, out: Path) -> Path:
    """The wheel `template` of another machine with this library, as a wheel for this machine: its path."""
    distribution, version, python, abi, _ = template.stem.split("-")
    wheel = out / f"{distribution}-{version}-{python}-{abi}-{'.'.join(machine.platforms)}.whl"
    tags = "".join(f"Tag: {python}-{abi}-{platform}\n" for platform in machine.platforms)
    changed: dict[str, bytes] = {}
    with zipfile.ZipFile(template) as old, zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as new:
        for entry in old.infolist():
            data = old.read(entry)
            if entry.filename.endswith(".so"):
                # Without the suffix of a Python: on musl that depends on who built it.
                entry.filename = "msgspec/_core.so"
                data = changed[entry.filename] = library
            elif entry.filename.endswith(".dist-info/WHEEL"):
                kept = re.sub(r"^Tag: .*\n", "", data.decode(), flags=re.MULTILINE).rstrip("\n")
                data = changed[entry.filename] = f"{kept}\n{tags}".encode()
            elif entry.filename.endswith(".dist-info/RECORD"):
                named = re.sub(r"^msgspec/_core\.[^,]*\.so,", "msgspec/_core.so,", data.decode(), flags=re.MULTILINE)
                data = record(named, changed).encode()
            new.writestr(entry, data)
    return wheel


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, metavar="OUT")
    out: Path = parser.parse_args().out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    for old in out.glob("*.whl"):
        old.unlink()
    os.environ["SOURCE_DATE_EPOCH"] = epoch()
    with tempfile.TemporaryDirectory(prefix="wheelhouse-") as folder:
        work = Path(folder)
        archive = download(work, "--no-binary", "msgspec")
        with tarfile.open(archive) as sources:
            sources.extractall(work, filter="data")
        for python in PYTHONS:
            platforms = ("--platform", "manylinux_2_28_aarch64", "--platform", "manylinux2014_aarch64")
            interpreter = (
                "--python-version",
                python,
                "--implementation",
                "cp",
                "--abi",
                f"cp{python.replace('.', '')}",
            )
            template = download(work, "--only-binary=:all:", *platforms, *interpreter)
            for machine in MACHINES:
                library = compiled(work / archive.name.removesuffix(".tar.gz"), python, machine)
                print(assemble(template, library, machine, out).name, flush=True)
    write(out)


if __name__ == "__main__":
    main()
