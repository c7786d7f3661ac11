"""Prints what runs here, one line each: for the report. It runs in the emulated system."""

import os
import platform
import sqlite3
import ssl
import subprocess
import sys
from importlib import metadata

PACKAGES = ["anyio", "click", "msgspec", "paho-mqtt", *sys.argv[1:]]


def main() -> None:
    """Prints."""
    wheel = metadata.distribution("purista-fast").read_text("WHEEL") or ""
    tags = [line.removeprefix("Tag: ") for line in wheel.splitlines() if line.startswith("Tag: ")]
    libc = " ".join(platform.libc_ver()).strip() or "musl"
    broker = subprocess.run(["mosquitto", "-h"], capture_output=True, text=True).stdout.splitlines()[0]
    bits = 64 if sys.maxsize > 2**32 else 32
    rows = {
        "processor": f"{os.environ['QEMU_CPU']}, {platform.machine()}, {bits} bit, {sys.byteorder} endian",
        "python": f"{platform.python_version()}, {libc}, SQLite {sqlite3.sqlite_version}, {ssl.OPENSSL_VERSION}",
        "wheel": f"purista-fast {metadata.version('purista-fast')}, {', '.join(tags)}",
        "packages": ", ".join(f"{name} {metadata.version(name)}" for name in PACKAGES),
        "broker": f"{broker}, of the host and not emulated",
    }
    for name, text in rows.items():
        print(f"{name:<12} {text}")


if __name__ == "__main__":
    main()
