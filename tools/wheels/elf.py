"""What an extension says of itself in its ELF file."""

import io
from collections.abc import Iterator
from dataclasses import dataclass, field

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile

MACHINES = {"EM_X86_64": "x86_64", "EM_AARCH64": "aarch64", "EM_ARM": "arm"}
EXECUTABLE_SEGMENT, EXECUTABLE_SECTION, BIND_NOW = 1, 4, 1


@dataclass
class Extension:
    """One shared library."""

    machine: str
    needed: list[str] = field(default_factory=list)  # libraries
    versions: dict[str, list[str]] = field(default_factory=dict)  # library: versions of its symbols
    undefined: dict[str, str] = field(default_factory=dict)  # strong symbol: its version, or nothing
    attributes: dict[str, int | str] = field(default_factory=dict)  # ARM's build attributes
    sections: list[str] = field(default_factory=list)
    code: list[tuple[int, bytes]] = field(default_factory=list)  # address and bytes of executable sections
    alignment: int = 0  # the least of all segments that are loaded, in bytes
    executable_stack: bool = True  # what a kernel assumes of a file that does not say
    bound_now: bool = False


def read(data: bytes) -> Extension:
    """Reads a shared library. Raises `ValueError` if it is none, or of a machine that has no wheel."""
    try:
        elf = ELFFile(io.BytesIO(data))
        if elf["e_machine"] not in MACHINES:
            raise ValueError(f"of a machine that has no wheel, {elf['e_machine']}")
        extension = Extension(MACHINES[elf["e_machine"]])
        _segments(elf, extension)
        _sections(elf, extension)
        extension.undefined = dict(_undefined(elf))
    except ELFError as error:
        raise ValueError(f"no ELF file: {error}") from error
    return extension


def _segments(elf: ELFFile, extension: Extension) -> None:
    for segment in elf.iter_segments():
        if segment["p_type"] == "PT_GNU_STACK":
            extension.executable_stack = bool(segment["p_flags"] & EXECUTABLE_SEGMENT)
        elif segment["p_type"] == "PT_DYNAMIC":
            extension.needed = [tag.needed for tag in segment.iter_tags("DT_NEEDED")]
            extension.bound_now = any(tag["d_val"] & BIND_NOW for tag in segment.iter_tags("DT_FLAGS_1"))
    extension.alignment = min((segment["p_align"] for segment in elf.iter_segments("PT_LOAD")), default=0)


def _sections(elf: ELFFile, extension: Extension) -> None:
    for section in elf.iter_sections():
        extension.sections.append(section.name)
        if section["sh_type"] == "SHT_GNU_verneed":
            for library, versions in section.iter_versions():
                extension.versions.setdefault(library.name, []).extend(version.name for version in versions)
        elif section["sh_type"] == "SHT_ARM_ATTRIBUTES":
            for subsection in section.iter_subsections():
                for scope in subsection.iter_subsubsections("TAG_FILE"):
                    extension.attributes |= {a.tag.removeprefix("TAG_"): a.value for a in scope.iter_attributes()}
        elif section["sh_type"] == "SHT_PROGBITS" and section["sh_flags"] & EXECUTABLE_SECTION:
            extension.code.append((section["sh_addr"], section.data()))


def _undefined(elf: ELFFile) -> Iterator[tuple[str, str]]:
    symbols = elf.get_section_by_name(".dynsym")
    versions = elf.get_section_by_name(".gnu.version")
    needs = elf.get_section_by_name(".gnu.version_r")
    names = {v["vna_other"]: v.name for _, library in needs.iter_versions() for v in library} if needs else {}
    for index, symbol in enumerate(symbols.iter_symbols() if symbols else ()):
        if symbol.name and symbol["st_shndx"] == "SHN_UNDEF" and symbol["st_info"]["bind"] == "STB_GLOBAL":
            yield symbol.name, names.get(versions.get_symbol(index)["ndx"], "") if versions else ""
