"""The software bill of materials that maturin puts into a wheel, without the machine that made it."""

import base64
import csv
import hashlib
import io
import json
import re
import zipfile
from pathlib import Path
from typing import Any

from tools.wheels.command import run


def without_machine(text: str, source: Path, rustc_version: str) -> str:
    """A CycloneDX bill that is the same wherever it is made, and names the standard library, which cargo does not."""
    bill: dict[str, Any] = json.loads(text.replace(f"path+file://{source}/", "purista-fast:"))
    bill.pop("serialNumber", None)
    for component in [bill["metadata"]["component"], *bill["metadata"]["component"]["components"], *bill["components"]]:
        component["purl"] = re.sub(r"\?download_url=file://[^#]*", "", component["purl"])
    root = bill["metadata"]["component"]["bom-ref"]
    std = {
        "type": "library",
        "bom-ref": f"rust-std@{rustc_version}",
        "name": "std",
        "version": rustc_version,
        "description": "The standard library of Rust, linked in",
        "scope": "required",
        "licenses": [{"expression": "MIT OR Apache-2.0"}],
        "purl": f"pkg:generic/rust-std@{rustc_version}",
    }
    bill["components"].append(std)
    for dependency in bill["dependencies"]:
        if dependency["ref"] == root:
            dependency["dependsOn"].append(std["bom-ref"])
    return json.dumps(bill, indent=2) + "\n"


def settle(made: Path, wheel: Path, source: Path, rustc: Path) -> None:
    """Writes the wheel `made` to `wheel` with its bill settled; `source` is the folder that it was built from."""
    version = run(rustc, "--version", folder=source).split()[1]
    changed: dict[str, bytes] = {}
    with zipfile.ZipFile(made) as old, zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as new:
        for entry in old.infolist():
            data = old.read(entry)
            if entry.filename.endswith(".cyclonedx.json"):
                data = changed[entry.filename] = without_machine(data.decode(), source, version).encode()
            elif entry.filename.endswith(".dist-info/RECORD"):
                data = record(data.decode(), changed).encode()
            new.writestr(entry, data)
    if not changed:
        raise SystemExit(f"{made.name} has no bill of materials: was maturin built without its feature sbom?")


def record(text: str, changed: dict[str, bytes]) -> str:
    """RECORD with the hashes and sizes of what was changed. It is the last file of a wheel."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    for name, digest, size in csv.reader(io.StringIO(text)):
        if name in changed:
            data = changed[name]
            digest = "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
            size = str(len(data))
        writer.writerow([name, digest, size])
    return out.getvalue()
