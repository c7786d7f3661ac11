"""Passwords for mosquitto: hashed by its own ``mosquitto_passwd``, never on a command line, in a log or an error."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..errors import ConfigError

__all__ = ("find_program", "from_file", "generate", "hashed", "others")

_PATIENCE = 60.0


def find_program() -> str:
    """Where ``mosquitto_passwd`` is.

    :raises ConfigError: if it is missing, with how to get it.
    """
    found = shutil.which("mosquitto_passwd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if found is None:
        raise ConfigError(
            "mosquitto_passwd is missing, and only it makes password files that every mosquitto reads: install it (apt "
            "install mosquitto), or leave out --passwords and make the file where the broker runs: mosquitto_passwd "
            "passwords NAME"
        )
    return found


def generate(names: Sequence[str], kept: Path) -> dict[str, str]:
    """A random password for each name: the one that was made before, if it is kept, or a new one.

    :param kept: the folder with a file for each name.
    :raises ConfigError: if a kept one cannot be read.
    """
    made: dict[str, str] = {}
    for name in names:
        file = kept / name
        try:
            made[name] = file.read_text("utf-8").strip() if file.exists() else secrets.token_urlsafe(24)
        except OSError as error:
            raise ConfigError(f"{file}: the password that was made before cannot be read: {error.strerror}") from None
    return made


def from_file(file: Path, names: Sequence[str]) -> dict[str, str]:
    """Passwords from a file with ``name:password`` in each line.

    :raises ConfigError: if it cannot be read, or one of the names is missing. The lines themselves are not shown.
    """
    try:
        lines = file.read_text("utf-8").splitlines()
    except OSError as error:
        raise ConfigError(f"{file}: the passwords cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{file}: the passwords are not UTF-8") from None
    found: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, colon, password = line.partition(":")
        if not colon or not password:
            raise ConfigError(f"{file}:{number}: expected name:password")
        found[name] = password
    missing = [name for name in names if name not in found]
    if missing:
        raise ConfigError(f"{file} has no password for {', '.join(missing)}; expected a line name:password for each")
    return {name: found[name] for name in names}


def others(file: Path, names: Sequence[str]) -> str:
    """The lines of a password file that are about other users: whoever was added by hand stays.

    :raises ConfigError: if it is there and cannot be read.
    """
    try:
        lines = file.read_text("utf-8").splitlines()
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}") from None
    return "".join(f"{line}\n" for line in lines if line and line.partition(":")[0] not in names)


def hashed(passwords: Mapping[str, str], folder: Path) -> str:
    """The text of a password file.

    :param folder: where the file may be while it is made, with mode 0600.
    :raises ConfigError: if ``mosquitto_passwd`` is missing or fails.
    """
    program = find_program()
    file = folder / f".passwords-{secrets.token_hex(8)}"
    try:
        with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as out:
            out.writelines(f"{name}:{password}\n" for name, password in passwords.items())
        # -U hashes a whole file in place: the passwords stand in no command line, which others could see.
        done = subprocess.run(  # noqa: S603 - a program that was looked for, and a name of ours
            [program, "-U", str(file)], stdin=subprocess.DEVNULL, capture_output=True, timeout=_PATIENCE, check=False
        )
        text = file.read_text("utf-8")
        if done.returncode or any(f":{password}\n" in text for password in passwords.values()):
            raise ConfigError(f"{program} -U failed (exit code {done.returncode}); no password file was made")
        return text
    finally:
        file.unlink(missing_ok=True)
