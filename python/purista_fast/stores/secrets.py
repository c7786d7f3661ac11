"""What an application is trusted with: ``ctx.secrets``."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from anyio import to_thread

from ..errors import ConfigError, StatusCode, UnhandledError

if TYPE_CHECKING:
    from ..kept_settings import SecretsSettings

__all__ = ("Secret", "Secrets", "secret_variable")

PREFIX = "PURISTA_SECRET_"
"""What the environment's variables with secrets begin with."""
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}")
_LARGEST = 65536
"""How many bytes a secret may have."""


class Secret:
    """A text that shows itself to nobody who does not ask: not in a log, an error, a message.

    >>> secret = Secret("hush")
    >>> print(secret, f"{secret:>10}", [secret])
    … … [Secret(…)]
    >>> secret.reveal()
    'hush'
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(…)"

    def __str__(self) -> str:
        return "…"

    def __format__(self, _spec: str) -> str:
        return "…"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not to be pickled or copied elsewhere")


class Secrets:
    """Secrets by name, read anew at each ``get``, so that one that was exchanged is seen: ``ctx.secrets``.

    Looked for in this order: a file of systemd's (``$CREDENTIALS_DIRECTORY``, as ``LoadCredential=`` makes it), a file
    in ``secrets.directory``, the environment (``PURISTA_SECRET_BROKER_PASSWORD`` for ``broker-password``). One line
    break at the end of a file is no part of the secret.

    >>> import anyio
    >>> from purista_fast import testing
    >>> ctx = testing.context(secrets={"broker-password": "hush"})
    >>> anyio.run(ctx.secrets.get, "broker-password")
    Secret(…)
    """

    __slots__ = ("_environ", "_settings", "_source")

    def __init__(self, settings: SecretsSettings, source: str, environ: Mapping[str, str] = os.environ) -> None:
        self._settings = settings
        self._source = source
        self._environ = environ
        for key in ("allow_set", "allow_remove"):
            if getattr(settings, key) and settings.directory is None:
                raise ConfigError(f"{source}: secrets.{key} needs secrets.directory, the folder to change")

    def __repr__(self) -> str:
        return "<secrets>"

    async def get(self, name: str) -> Secret | None:
        """The secret of a name; ``None`` if there is none.

        :raises ValueError: if the name is none: letters, digits, ``_``, ``-`` and ``.`` are allowed.
        :raises UnhandledError: 503 if its file cannot be read, is no text, or has more than 64 KiB.
        """
        _check_name(name)
        for folder in (self._environ.get("CREDENTIALS_DIRECTORY"), self._settings.directory):
            if folder:
                found = await to_thread.run_sync(_read, Path(folder) / name)
                if found is not None:
                    return Secret(found)
        text = self._environ.get(secret_variable(name))
        return None if text is None else Secret(text)

    async def set(self, name: str, value: str | Secret) -> None:
        """Writes a secret into ``secrets.directory``, as a file of mode 0600; it is on disk when this returns.

        :raises ConfigError: unless ``secrets.allow_set`` allows it.
        :raises ValueError: if the name is none, or the secret has more than 64 KiB.
        :raises UnhandledError: 503 if it cannot be written.
        """
        folder = self._folder("allow_set", name)
        text = value.reveal() if isinstance(value, Secret) else value
        data = text.encode()
        if len(data) > _LARGEST:
            raise ValueError(f"secret {name!r} has {len(data)} bytes; {_LARGEST} are allowed")
        # One is taken off when it is read.
        await to_thread.run_sync(_write, folder, name, data + b"\n")

    async def remove(self, name: str) -> bool:
        """Removes a file of ``secrets.directory``; whether there was one.

        :raises ConfigError: unless ``secrets.allow_remove`` allows it.
        :raises ValueError: if the name is none.
        :raises UnhandledError: 503 if it cannot be removed.
        """
        return await to_thread.run_sync(_unlink, self._folder("allow_remove", name) / name)

    def _folder(self, key: str, name: str) -> Path:
        _check_name(name)
        if not getattr(self._settings, key):
            raise ConfigError(f"{self._source}: secrets.{key} is false, so {name!r} cannot be changed")
        assert self._settings.directory is not None, "seen to when this was made"
        return Path(self._settings.directory)


def secret_variable(name: str) -> str:
    """The environment's variable for a secret.

    >>> secret_variable("broker-password")
    'PURISTA_SECRET_BROKER_PASSWORD'
    """
    return PREFIX + re.sub(r"\W", "_", name).upper()


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(
            f"the name of a secret is made of letters, digits, _, - and ., and begins with none of the last two; "
            f"{name!r} is not"
        )


def _read(file: Path) -> str | None:
    try:
        with file.open("rb") as source:
            data = source.read(_LARGEST + 2)
        if len(data.removesuffix(b"\n")) > _LARGEST:
            raise _unusable(file, f"it has more than {_LARGEST} bytes")
        return data.decode().removesuffix("\n")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unusable(file, error.strerror) from error
    except UnicodeDecodeError:
        # What it says of the file would quote it.
        raise _unusable(file, "it is no text (UTF-8)") from None


def _write(folder: Path, name: str, data: bytes) -> None:
    new = folder / f".new-{name}-{os.urandom(6).hex()}"
    try:
        handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with open(handle, "wb") as out:
                out.write(data)
                out.flush()
                os.fsync(out.fileno())
            new.replace(folder / name)
        except BaseException:
            with contextlib.suppress(OSError):
                new.unlink()
            raise
        _sync(folder)
    except OSError as error:
        raise _unusable(folder / name, error.strerror) from error


def _unlink(file: Path) -> bool:
    try:
        file.unlink()
        _sync(file.parent)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise _unusable(file, error.strerror) from error
    return True


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _unusable(file: Path, why: str | None) -> UnhandledError:
    return UnhandledError(StatusCode.SERVICE_UNAVAILABLE, f"the secret in {file} cannot be used: {why}")
