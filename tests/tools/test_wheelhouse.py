"""The wheelhouse: wheels put together from those of another machine, and their index."""

import base64
import hashlib
import zipfile
from pathlib import Path

from tools.wheels.check import contents
from tools.wheels.index import write
from tools.wheels.wheelhouse import MACHINES, assemble, locked


def template(folder: Path) -> Path:
    """A wheel of msgspec for aarch64, with an extension that is none."""
    files = {
        "msgspec/__init__.py": b"",
        "msgspec/_core.cpython-311-aarch64-linux-gnu.so": b"for aarch64",
        "msgspec-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nTag: cp311-cp311-manylinux_2_28_aarch64\n",
    }
    lines = ""
    path = folder / "msgspec-1.0-cp311-cp311-manylinux_2_28_aarch64.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
            lines += f"{name},sha256={digest},{len(data)}\n"
        archive.writestr("msgspec-1.0.dist-info/RECORD", lines + "msgspec-1.0.dist-info/RECORD,,\n")
    return path


def test_a_wheel_is_put_together_for_another_machine(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    wheel = assemble(template(tmp_path), b"for armv7l", MACHINES[0], tmp_path / "out")
    assert wheel.name == "msgspec-1.0-cp311-cp311-manylinux2014_armv7l.manylinux_2_17_armv7l.whl"
    with zipfile.ZipFile(wheel) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    assert files["msgspec/_core.so"] == b"for armv7l"
    assert not [name for name in files if "aarch64" in name]
    tags = {"cp311-cp311-manylinux2014_armv7l", "cp311-cp311-manylinux_2_17_armv7l"}
    assert list(contents(files, tags)) == []


def test_the_index_links_to_every_wheel_with_its_hash(tmp_path: Path) -> None:
    for name in ("Some_Thing-1.0-py3-none-any.whl", "msgspec-1.0-py3-none-any.whl"):
        (tmp_path / name).write_bytes(name.encode())
    write(tmp_path)
    assert '<a href="some-thing/">some-thing</a>' in (tmp_path / "simple/index.html").read_text()
    page = (tmp_path / "simple/some-thing/index.html").read_text()
    digest = hashlib.sha256(b"Some_Thing-1.0-py3-none-any.whl").hexdigest()
    assert f'href="../../Some_Thing-1.0-py3-none-any.whl#sha256={digest}"' in page
    assert "msgspec" not in page


def test_the_version_of_msgspec_is_the_locked_one() -> None:
    lines = locked().splitlines()
    assert lines[0].startswith("msgspec==")
    assert all(line.strip().startswith("--hash=sha256:") for line in lines[1:])
