"""What an extension may demand of the machine, the C library and the Python that load it."""

import re
from collections.abc import Iterator

from abi3info import DATAS, FUNCTIONS
from abi3info.models import PyVersion, Symbol

from tools.wheels.elf import Extension
from tools.wheels.instructions import forbidden

OLDEST_PYTHON = PyVersion(3, 11)
# In the stable ABI from 3.12 on, but a public function of 3.11 with the same signature, exported by every 3.11 there
# is; and 3.11 gets no more than security fixes. What the limited API of 3.11 has instead makes a tuple for each call
# (docs/performance.md).
BEYOND_THE_ABI = {"PyObject_Vectorcall"}
# The newest glibc whose symbols may be used. manylinux2014 says 2.17; no manylinux is for ARMv6, where zig links
# against a newer one, and the first Raspberry Pi OS with Python 3.11 has 2.36.
GLIBC = {"x86_64": (2, 17), "aarch64": (2, 17), "armv7l": (2, 17), "armv6l": (2, 36)}
LIBRARIES = {
    "glibc": re.compile(r"lib(c|m|dl|pthread|rt)\.so\.\d|ld-linux(-x86-64|-aarch64|-armhf)?\.so\.\d"),
    "musl": re.compile(r"libc\.so|libc\.musl-\w+\.so\.1"),
}
OF_THE_COMPILER = ("__atomic_", "__sync_", "__aeabi_")
# Bytes. A Raspberry Pi 5 has pages of 16 KiB, for programs of 32 bits too.
PAGES = {"x86_64": 1 << 12, "aarch64": 1 << 14, "armv7l": 1 << 14, "armv6l": 1 << 14}
# What the build attributes say: the architecture, and the floating point unit.
ARM = {
    "armv7l": (7, {10: "ARMv7"}, {4: "VFPv3-D16"}),
    "armv6l": (6, {6: "ARMv6", 7: "ARMv6KZ", 9: "ARMv6K"}, {2: "VFPv2"}),
}


def loading(extension: Extension, machine: str, libc: str) -> Iterator[str]:
    """What keeps it from loading, or makes it less safe: `machine` as in the name of a wheel, `libc` glibc or musl."""
    if extension.machine != ("arm" if machine.startswith("arm") else machine):
        yield f"the extension is for {extension.machine}, the name says {machine}"
    yield from needs(extension, libc, GLIBC[machine])
    if extension.alignment < PAGES[machine]:
        yield f"its segments are aligned to {extension.alignment} bytes: a kernel may have pages of {PAGES[machine]}"
    if extension.executable_stack:
        yield "wants an executable stack"
    if not extension.bound_now:
        yield "binds symbols late: its table of functions stays writable"
    if left := [section for section in extension.sections if section == ".symtab" or section.startswith(".debug")]:
        yield f"is not stripped: {', '.join(left)}"


def needs(extension: Extension, libc: str, glibc: tuple[int, int]) -> Iterator[str]:
    """Libraries and symbols that the C library, musl or this version of glibc, does not have."""
    name = "musl" if libc == "musl" else f"glibc {glibc[0]}.{glibc[1]}"
    for library in extension.needed:
        if not LIBRARIES[libc].fullmatch(library):
            yield f"needs {library}, which is no part of {libc}"
    for library, versions in extension.versions.items():
        for version in versions:
            number = re.fullmatch(r"GLIBC_(\d+)\.(\d+)(\.\d+)?", version)
            if libc == "musl" or not number or (int(number[1]), int(number[2])) > glibc:
                yield f"needs {version} of {library}, more than {name} has"
    for symbol, version in extension.undefined.items():
        if symbol.startswith(OF_THE_COMPILER):
            yield f"needs {symbol}, a function of the compiler that no C library has"
        elif libc == "glibc" and not version and not re.match("_?Py", symbol):
            yield f"needs {symbol}, which {name} does not have"


def python(extension: Extension) -> Iterator[str]:
    """Symbols of Python that are not in the stable ABI of the oldest Python."""
    used = {symbol for symbol in extension.undefined if re.match("_?Py", symbol)}
    if not used:
        yield "uses nothing of Python: no extension"
    for symbol in sorted(used - BEYOND_THE_ABI):
        known = FUNCTIONS.get(Symbol(symbol)) or DATAS.get(Symbol(symbol))
        if known is None:
            yield f"needs {symbol}, which is not in Python's stable ABI"
        elif known.added > OLDEST_PYTHON:
            yield f"needs {symbol}, in Python's stable ABI since {known.added} only"


def instructions(extension: Extension, machine: str) -> Iterator[str]:
    """For 32-bit ARM: what goes beyond the least processor that the name promises."""
    if machine not in ARM or extension.machine != "arm":
        return
    architecture, architectures, units = ARM[machine]
    said = extension.attributes
    if said.get("CPU_ARCH") not in architectures:
        yield f"says architecture {said.get('CPU_ARCH')}, not {' or '.join(architectures.values())}"
    if said.get("FP_ARCH") not in units:
        yield f"says floating point unit {said.get('FP_ARCH')}, not {' or '.join(units.values())}"
    if said.get("ADVANCED_SIMD_ARCH"):
        yield "says that it needs NEON"
    if said.get("ABI_VFP_ARGS") != 1:
        yield "passes floating point numbers in another way than armhf"
    found = list(forbidden(architecture, extension.code))
    yield from found[:5]
    if len(found) > 5:
        yield f"and {len(found) - 5} more such instructions"
