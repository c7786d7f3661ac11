"""Checks that wheels hold what their names promise: `python -m tools.wheels.check WHEEL...`.

A name promises a machine, a C library and its version, and for ours Python's stable ABI. Beyond it: nothing of the
machine that built it, no symbols for debuggers, a bill of materials, less than 1 MiB; tools/wheels/demands.py has the
rest. Prints a table, then what is wrong, and exits with 1 if anything is.
"""

import base64
import csv
import hashlib
import io
import json
import re
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

from tools.wheels.demands import instructions, loading, python
from tools.wheels.elf import read

LARGEST = 1 << 20
NAME = re.compile(r"(?P<project>\w+)-[^-]+-(?P<python>cp\d+)-(?P<abi>\w+)-(?P<platforms>[a-z0-9_.]+)\.whl")
PLATFORM = re.compile(
    r"(?P<libc>manylinux2014|manylinux_2_17|musllinux_1_2|linux)_(?P<machine>x86_64|aarch64|armv7l|armv6l)"
)
OF_A_MACHINE = re.compile(rb"(?<![\w.])/(?:home|root|Users|tmp|work|build|github)/[\w./-]+|file://[^\"\s]+")


def problems(wheel: Path) -> list[str]:
    """What is wrong with a wheel; nothing if it holds what it promises."""
    name = NAME.fullmatch(wheel.name)
    if not name:
        return ["the name is not that of a wheel"]
    ours = name["project"] == "purista_fast"
    if ours and (name["python"], name["abi"]) != ("cp311", "abi3"):
        return [f"the name says {name['python']}-{name['abi']}, ours are cp311-abi3"]
    platforms = [PLATFORM.fullmatch(platform) for platform in name["platforms"].split(".")]
    first = platforms[0]
    if not first or any(found is None or found["machine"] != first["machine"] for found in platforms):
        return [f"no wheel is made for {name['platforms']}"]
    try:
        with zipfile.ZipFile(wheel) as archive:
            files = {entry: archive.read(entry) for entry in archive.namelist()}
    except zipfile.BadZipFile as error:
        return [f"not a wheel: {error}"]
    found = list(contents(files, {f"{name['python']}-{name['abi']}-{p}" for p in name["platforms"].split(".")}))
    if ours:
        found += bill_of_materials(files)
        if wheel.stat().st_size > LARGEST:
            found.append(f"{wheel.stat().st_size} bytes: more than {LARGEST}")
    libraries = [entry for entry in files if re.search(r"\.so(\.|$)", entry)]
    if len(libraries) != 1:
        return [*found, f"one extension is expected, found {', '.join(libraries) or 'none'}"]
    try:
        extension = read(files[libraries[0]])
    except ValueError as error:
        return [*found, f"{libraries[0]}: {error}"]
    found += loading(extension, first["machine"], "musl" if first["libc"].startswith("musl") else "glibc")
    found += instructions(extension, first["machine"])
    if ours:
        found += python(extension)
    return found


def contents(files: dict[str, bytes], tags: set[str]) -> Iterator[str]:
    """What surrounds the extension: tags, hashes, traces of the machine."""
    folder = next((entry.split("/")[0] for entry in files if entry.endswith(".dist-info/WHEEL")), "")
    said = set(re.findall(r"^Tag: (.+)$", files.get(f"{folder}/WHEEL", b"").decode(), re.MULTILINE))
    if said != tags:
        yield f"WHEEL says {', '.join(sorted(said)) or 'no tag'}, the name {', '.join(sorted(tags))}"
    record = csv.reader(io.StringIO(files.get(f"{folder}/RECORD", b"").decode()))
    recorded = {line[0]: line[1] for line in record if len(line) == 3}
    for entry, data in files.items():
        digest = "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
        if not entry.endswith(("/", "/RECORD")) and recorded.get(entry) != digest:
            yield f"{entry} is not what RECORD says"
        if entry.endswith(".so") or "/sboms/" in entry:
            for path in sorted(set(OF_A_MACHINE.findall(data)))[:3]:
                yield f"{entry} names a place of the machine that built it: {path.decode(errors='replace')}"


def bill_of_materials(files: dict[str, bytes]) -> Iterator[str]:
    """What is wrong with the bill of materials (PEP 770)."""
    bills = [data for entry, data in files.items() if ".dist-info/sboms/" in entry]
    try:
        bill = json.loads(bills[0]) if bills else {}
        components = {component["name"] for component in bill.get("components", ())}
    except (ValueError, TypeError, KeyError):
        bill, components = {}, set()
    if bill.get("bomFormat") != "CycloneDX" or not {"purista-core", "pyo3", "std"} <= components:
        yield "no bill of materials (CycloneDX) that names purista-core, pyo3 and std"
    if "serialNumber" in bill:
        yield "the bill of materials has a serial number: another one with every build"


def main() -> int:
    """The command: 1 if anything is wrong."""
    wheels = [Path(name) for name in sys.argv[1:]]
    if not wheels:
        print(__doc__, file=sys.stderr)
        return 2
    wrong = 0
    for wheel in wheels:
        found = problems(wheel)
        size = wheel.stat().st_size / 1024
        print(f"{'wrong' if found else 'right'} {size:6.0f} KiB  {wheel.name}", *found, sep="\n    ", flush=True)
        wrong += bool(found)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
