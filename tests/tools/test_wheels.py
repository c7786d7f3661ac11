"""What tools/wheels finds in wheels that break their promises."""

import base64
import ctypes
import hashlib
import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

import purista_fast._core
from tools.wheels.check import main, problems
from tools.wheels.demands import instructions, loading, python
from tools.wheels.elf import Extension, read
from tools.wheels.instructions import forbidden
from tools.wheels.sbom import record, without_machine

EXTENSION = Path(purista_fast._core.__file__).read_bytes()
HERE = read(EXTENSION).machine
OTHER = "aarch64" if HERE == "x86_64" else "x86_64"
BILL = {"bomFormat": "CycloneDX", "components": [{"name": name} for name in ("purista-core", "pyo3", "std")]}


def digest(data: bytes) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")


@pytest.fixture
def wheel(tmp_path: Path) -> Callable[..., Path]:
    """Makes a wheel; files given are added, or left out if they are None."""

    def make(platform: str, *, tag: str | None = None, listed: bool = True, **changes: bytes | None) -> Path:
        info = "purista_fast-0.1.0.dist-info"
        files: dict[str, bytes | None] = {
            "purista_fast/_core.abi3.so": EXTENSION,
            f"{info}/WHEEL": f"Wheel-Version: 1.0\nTag: cp311-abi3-{tag or platform}\n".encode(),
            f"{info}/sboms/core.json": json.dumps(BILL).encode(),
        }
        files |= {name.replace("INFO", info): data for name, data in changes.items()}
        kept = {name: data for name, data in files.items() if data is not None}
        lines = "".join(
            f"{name},{digest(data) if listed else 'sha256=other'},{len(data)}\n" for name, data in kept.items()
        )
        path = tmp_path / f"purista_fast-0.1.0-cp311-abi3-{platform}.whl"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in (kept | {f"{info}/RECORD": f"{lines}{info}/RECORD,,\n".encode()}).items():
                archive.writestr(name, data)
        return path

    return make


def extension(machine: str = "aarch64", **changes: object) -> Extension:
    """One that demands nothing special, but for the changes."""
    right: dict[str, object] = {
        "needed": ["libc.so.6"],
        "versions": {"libc.so.6": ["GLIBC_2.17"]},
        "undefined": {"malloc": "GLIBC_2.17", "PyLong_FromLong": ""},
        "sections": [".text", ".dynsym"],
        "alignment": 1 << 16,
        "executable_stack": False,
        "bound_now": True,
    }
    return Extension(machine, **(right | changes))  # type: ignore[arg-type]


ARMV7 = {"CPU_ARCH": 10, "FP_ARCH": 4, "ABI_VFP_ARGS": 1}


def test_a_wheel_of_another_machine_is_wrong(wheel: Callable[..., Path]) -> None:
    assert f"the extension is for {HERE}, the name says {OTHER}" in problems(wheel(f"manylinux2014_{OTHER}"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"tag": "manylinux2014_other"}, "WHEEL says cp311-abi3-manylinux2014_other"),
        ({"listed": False}, "purista_fast/_core.abi3.so is not what RECORD says"),
        ({"INFO/sboms/core.json": None}, "no bill of materials"),
        ({"INFO/sboms/core.json": b"{"}, "no bill of materials"),
        ({"INFO/sboms/core.json": json.dumps(BILL | {"serialNumber": "urn:uuid:1"}).encode()}, "a serial number"),
        ({"INFO/sboms/core.json": json.dumps(BILL | {"at": "file:///srv/x"}).encode()}, "names a place of the machine"),
        ({"purista_fast/_core.abi3.so": None}, "one extension is expected, found none"),
        ({"purista_fast/other.so": EXTENSION}, "one extension is expected, found purista_fast/_core.abi3.so, purista"),
        ({"purista_fast/_core.abi3.so": EXTENSION[:100]}, "no ELF file"),
        ({"purista_fast/_core.abi3.so": b"not at all"}, "no ELF file"),
        ({"purista_fast/_core.abi3.so": EXTENSION + b"\0/build/project/x.rs\0"}, "/build/project/x.rs"),
    ],
)
def test_what_surrounds_the_extension_is_checked(
    wheel: Callable[..., Path], arguments: dict[str, object], said: str
) -> None:
    assert any(said in problem for problem in problems(wheel(f"manylinux2014_{HERE}", **arguments)))


def test_a_wheel_above_a_mebibyte_is_too_large(wheel: Callable[..., Path]) -> None:
    noise = b"".join(hashlib.sha256(struct.pack("<I", number)).digest() for number in range(40_000))
    assert any("more than 1048576" in problem for problem in problems(wheel(f"manylinux2014_{HERE}", more=noise)))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("purista_fast.zip", "the name is not that of a wheel"),
        ("purista_fast-0.1.0-cp312-abi3-manylinux2014_x86_64.whl", "ours are cp311-abi3"),
        ("purista_fast-0.1.0-cp311-abi3-win_amd64.whl", "no wheel is made for win_amd64"),
        ("purista_fast-0.1.0-cp311-abi3-manylinux2014_x86_64.manylinux_2_17_aarch64.whl", "no wheel is made for"),
        ("purista_fast-0.1.0-cp311-abi3-manylinux2014_x86_64.whl", "not a wheel: "),
    ],
)
def test_names_are_checked(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / name).write_bytes(b"no archive")
    (problem,) = problems(tmp_path / name)
    assert said in problem


def test_the_command_fails_when_a_wheel_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "purista_fast-0.1.0-cp311-abi3-win_amd64.whl"
    path.write_bytes(b"")
    monkeypatch.setattr("sys.argv", ["check", str(path)])
    assert main() == 1
    assert "wrong" in capsys.readouterr().out


def test_an_extension_of_an_unknown_machine_is_refused() -> None:
    riscv = EXTENSION[:18] + struct.pack("<H", 243) + EXTENSION[20:]
    with pytest.raises(ValueError, match="EM_RISCV"):
        read(riscv)


def test_one_that_demands_nothing_special_is_right() -> None:
    assert [*loading(extension(), "aarch64", "glibc"), *python(extension())] == []
    armv7 = extension("arm", attributes=ARMV7)
    assert [*loading(armv7, "armv7l", "glibc"), *instructions(armv7, "armv7l")] == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"needed": ["libssl.so.3"]}, "needs libssl.so.3, which is no part of glibc"),
        ({"versions": {"libc.so.6": ["GLIBC_2.18"]}}, "needs GLIBC_2.18 of libc.so.6, more than glibc 2.17 has"),
        ({"versions": {"libc.so.6": ["GLIBC_PRIVATE"]}}, "needs GLIBC_PRIVATE"),
        ({"versions": {"libgcc_s.so.1": ["GCC_3.0"]}}, "needs GCC_3.0"),
        ({"undefined": {"__atomic_load_8": ""}}, "needs __atomic_load_8, a function of the compiler"),
        ({"undefined": {"missing": ""}}, "needs missing, which glibc 2.17 does not have"),
        ({"alignment": 4096}, "aligned to 4096 bytes: a kernel may have pages of 16384"),
        ({"executable_stack": True}, "wants an executable stack"),
        ({"bound_now": False}, "binds symbols late"),
        ({"sections": [".text", ".symtab"]}, "is not stripped: .symtab"),
        ({"sections": [".debug_info"]}, "is not stripped: .debug_info"),
    ],
)
def test_what_a_machine_may_lack_is_found(changes: dict[str, object], said: str) -> None:
    assert any(said in problem for problem in loading(extension(**changes), "aarch64", "glibc"))


def test_armv6_may_have_the_glibc_of_its_raspberry_pi_os() -> None:
    def found(version: str) -> list[str]:
        return list(loading(extension("arm", versions={"libc.so.6": [version]}), "armv6l", "glibc"))

    assert found("GLIBC_2.36") == []
    assert found("GLIBC_2.37") == ["needs GLIBC_2.37 of libc.so.6, more than glibc 2.36 has"]


def test_versions_of_glibc_are_nothing_for_musl() -> None:
    found = list(loading(extension(), "aarch64", "musl"))
    assert found == ["needs libc.so.6, which is no part of musl", "needs GLIBC_2.17 of libc.so.6, more than musl has"]


@pytest.mark.parametrize(
    ("symbols", "said"),
    [
        ({"PyType_FromMetaclass": ""}, "needs PyType_FromMetaclass, in Python's stable ABI since 3.12 only"),
        ({"_PyLong_AsByteArray": ""}, "needs _PyLong_AsByteArray, which is not in Python's stable ABI"),
        ({"malloc": ""}, "uses nothing of Python"),
    ],
)
def test_symbols_beyond_the_stable_abi_are_found(symbols: dict[str, str], said: str) -> None:
    (problem,) = python(extension(undefined=symbols))
    assert said in problem


def test_the_one_exception_is_exported_by_this_python() -> None:
    assert ctypes.pythonapi.PyObject_Vectorcall
    assert list(python(extension(undefined={"PyObject_Vectorcall": ""}))) == []


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        (ARMV7 | {"CPU_ARCH": 14}, "says architecture 14, not ARMv7"),
        (ARMV7 | {"FP_ARCH": 3}, "says floating point unit 3, not VFPv3-D16"),
        (ARMV7 | {"ADVANCED_SIMD_ARCH": 1}, "says that it needs NEON"),
        (ARMV7 | {"ABI_VFP_ARGS": 0}, "passes floating point numbers in another way"),
    ],
)
def test_attributes_of_arm_are_checked(attributes: dict[str, int], said: str) -> None:
    (problem,) = instructions(extension("arm", attributes=attributes), "armv7l")
    assert said in problem


# movw r0, #0x5f7f; vadd.i32 q0, q0, q0; vadd.f64 d0, d7, d0; vmov.f64 d0, #-1; the same of d16; udiv r0, r0, r1
MOVW, NEON, ADD, CONSTANT, HIGH, DIVIDE = 0xE3050F7F, 0xF2200840, 0xEE370B00, 0xEEBF0B00, 0xEEFF0B00, 0xE730F110
UNWINDER = 0xECD00B20  # vldmia r0, {d16-d31}
LOAD = 0xE51F0004  # ldr r0, [pc, #-4]: what comes next


@pytest.mark.parametrize(
    ("architecture", "words", "said"),
    [
        (7, [MOVW, CONSTANT, ADD], []),
        (6, [ADD], []),
        (7, [NEON], ["of NEON at 0x1000"]),
        (7, [ADD, HIGH], ["of a VFP with 32 registers at 0x1004"]),
        (7, [UNWINDER], []),
        (7, [DIVIDE], ["of the division extension at 0x1000"]),
        (6, [CONSTANT], ["of VFPv3 at 0x1000"]),
        (6, [MOVW], ["of ARMv6T2 at 0x1000"]),
        (7, [LOAD, NEON], []),
    ],
)
def test_instructions_that_a_processor_may_lack_are_found(architecture: int, words: list[int], said: list[str]) -> None:
    found = list(forbidden(architecture, [(0x1000, struct.pack(f"<{len(words)}I", *words))]))
    assert len(found) == len(said)
    assert all(end in text for end, text in zip(said, found, strict=True))


def test_a_bill_of_materials_forgets_where_and_when() -> None:
    ref = "path+file:///srv/source/rust/python#core@0.1.0"
    bill = {
        "serialNumber": "urn:uuid:1",
        "metadata": {
            "component": {
                "bom-ref": ref,
                "purl": "pkg:cargo/core@0.1.0?download_url=file://.",
                "components": [{"purl": "pkg:cargo/core@0.1.0?download_url=file://.#src/lib.rs"}],
            }
        },
        "components": [],
        "dependencies": [{"ref": ref, "dependsOn": []}],
    }
    text = without_machine(json.dumps(bill), Path("/srv/source"), "1.2.3")
    assert "file://" not in text
    assert "serialNumber" not in text
    assert json.loads(text)["dependencies"] == [
        {"ref": "purista-fast:rust/python#core@0.1.0", "dependsOn": ["rust-std@1.2.3"]}
    ]


def test_the_record_of_a_changed_wheel_has_the_new_hash() -> None:
    assert record("a,sha256=old,3\nb,sha256=kept,4\n", {"a": b"new!!"}) == f"a,{digest(b'new!!')},5\nb,sha256=kept,4\n"
