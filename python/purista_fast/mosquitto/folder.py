"""Puts the files into a folder: all or none, nothing overwritten unasked, nothing secret readable by others."""

from __future__ import annotations

import grp
import os
import pwd
import shutil
from collections.abc import Mapping
from pathlib import Path

from ..errors import ConfigError

__all__ = ("SECRETS", "make_data_folder", "write", "write_secret")

SECRETS = "secrets"
"""The folder for generated passwords, one file for each user, as ``bridge.password_file`` wants it."""


def write(
    folder: Path, files: Mapping[str, str], secrets: Mapping[str, str], *, user: str | None, force: bool
) -> list[Path]:
    """Writes the files, and returns their paths.

    They get mode 0640 and the group of the broker's account where that can be set, else 0600.

    :param files: texts by name.
    :param secrets: passwords in clear text by user; mode 0600, for whoever runs this.
    :param user: the account that the broker runs as.
    :param force: whether files that are there may be replaced.
    :raises ConfigError: if something is there already, or the folder cannot be written.
    """
    wanted = [folder / name for name in files] + [folder / SECRETS / name for name in secrets]
    there = [path for path in wanted if path.exists()]
    if there and not force:
        names = ", ".join(str(path) for path in there)
        raise ConfigError(f"{names}: is there already; --force replaces it, --out DIR writes elsewhere")
    group = _group(user)
    try:
        folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        _give(folder, group, 0o750)
        for name, text in files.items():
            _write(folder / name, text, group)
        if secrets:
            (folder / SECRETS).mkdir(mode=0o700, exist_ok=True)
        for name, password in secrets.items():
            _write(folder / SECRETS / name, password + "\n", None)
    except OSError as error:
        raise ConfigError(f"{error.filename or folder} cannot be written: {error.strerror}") from None
    return wanted


def write_secret(path: Path, text: str, *, user: str | None, force: bool) -> None:
    """Writes one file with mode 0600; where root writes it, it belongs to the broker's account.

    :raises ConfigError: if it is there already, or cannot be written.
    """
    if path.exists() and not force:
        raise ConfigError(f"{path}: is there already; --force replaces it")
    try:
        _write(path, text, None)
        if user is not None and os.geteuid() == 0 and _account(user) is not None:
            shutil.chown(path, user)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from None


def make_data_folder(folder: Path, user: str | None) -> None:
    """Makes the folder of the broker's database, unless it is there.

    :raises ConfigError: if that fails.
    """
    if folder.exists():
        return
    try:
        folder.mkdir(mode=0o700, parents=True)
        if user is not None and os.geteuid() == 0 and _account(user) is not None:
            shutil.chown(folder, user)
    except OSError as error:
        raise ConfigError(f"{folder} cannot be made: {error.strerror}") from None


def _write(path: Path, text: str, group: int | None) -> None:
    """A new file in place of an old one, which is never seen half written or with another mode."""
    made = path.with_name(f".{path.name}.new")
    made.unlink(missing_ok=True)
    with open(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    _give(made, group, 0o640)
    made.replace(path)


def _give(path: Path, group: int | None, mode: int) -> None:
    if group is not None:
        os.chown(path, -1, group)
        path.chmod(mode)


def _group(user: str | None) -> int | None:
    """The group of the broker's account, if files can be given to it."""
    account = None if user is None else _account(user)
    if account is None:
        return None
    return account.pw_gid if os.geteuid() == 0 or account.pw_gid in os.getgroups() else None


def _account(user: str) -> pwd.struct_passwd | None:
    try:
        account = pwd.getpwnam(user)
        grp.getgrgid(account.pw_gid)
    except KeyError:
        return None
    return account
