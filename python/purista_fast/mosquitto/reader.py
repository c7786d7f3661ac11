"""Reads a ``mosquitto.conf``, with what it includes, as far as promises depend on it."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from pathlib import Path

import msgspec

from ..errors import ConfigError

__all__ = ("Configuration", "Listener", "Option", "duration", "read")

_DEEPEST = 8
"""How far files may include each other."""
_SECURITY = frozenset(("allow_anonymous", "password_file", "acl_file", "psk_file"))
"""What belongs to a listener where ``per_listener_settings`` is true."""
_OF_LISTENER = frozenset(
    ("cafile", "capath", "certfile", "keyfile", "require_certificate", "use_identity_as_username", "max_qos")
) | {"socket_domain", "protocol", "bind_interface"}
_UNITS = {"s": 1, "h": 3600, "d": 86_400, "w": 7 * 86_400, "m": 30 * 86_400, "y": 365 * 86_400}


class Option(msgspec.Struct, frozen=True):
    """A line."""

    name: str
    value: str
    file: Path
    line: int

    @property
    def place(self) -> str:
        """File and line, for people."""
        return f"{self.file}:{self.line}"

    @property
    def is_true(self) -> bool:
        """Whether it says true."""
        return self.value.lower() in ("true", "1")


class Listener(msgspec.Struct, frozen=True):
    """A port that the broker listens on."""

    port: int
    address: str
    """Empty for all."""
    options: dict[str, Option]

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it."""
        if self.port == 0 or self.address == "localhost":
            return True  # a socket of the file system, or a name of this machine
        try:
            return ipaddress.ip_address(self.address).is_loopback
        except ValueError:
            return False

    @property
    def has_tls(self) -> bool:
        """Whether it is encrypted."""
        return "certfile" in self.options or "psk_hint" in self.options

    def __str__(self) -> str:
        return f"listener {self.port} {self.address}".rstrip()


class Configuration(msgspec.Struct, frozen=True):
    """A whole configuration."""

    file: Path
    options: dict[str, Option]
    """Those that hold for all, by name; the last one of a name counts."""
    listeners: list[Listener]
    """Without one, mosquitto 2 listens on loopback only, and lets everybody in."""
    lines: list[Option]
    """All of them, in order."""

    def text(self, name: str, default: str = "") -> str:
        """The value of an option."""
        found = self.options.get(name)
        return found.value if found else default

    def flag(self, name: str, *, default: bool = False) -> bool:
        """The value of an option that is true or false."""
        found = self.options.get(name)
        return found.is_true if found else default

    def number(self, name: str, default: int) -> int:
        """The value of an option that is a number.

        :raises ConfigError: if it is none.
        """
        found = self.options.get(name)
        if found is None:
            return default
        try:
            return int(found.value)
        except ValueError:
            raise ConfigError(f"{found.place}: {name} must be a number, not {found.value!r}") from None

    def place(self, name: str) -> str:
        """Where an option stands; the file if it is not there."""
        found = self.options.get(name)
        return found.place if found else str(self.file)

    def of(self, listener: Listener, name: str) -> Option | None:
        """An option of security for a listener: its own, or that of all."""
        return listener.options.get(name) if self.flag("per_listener_settings") else self.options.get(name)


def read(file: Path) -> Configuration:
    """Reads a configuration.

    :raises ConfigError: if a file cannot be read, or a line of one that counts here is wrong.
    """
    lines = list(_lines(file, 0))
    per_listener = any(option.name == "per_listener_settings" and option.is_true for option in lines)
    options: dict[str, Option] = {}
    listeners: list[Listener] = []
    for option in lines:
        if option.name in ("listener", "port"):
            port, _, address = option.value.partition(" ")
            try:
                listeners.append(Listener(int(port), address.strip(), {}))
            except ValueError:
                raise ConfigError(f"{option.place}: {option.name} must have a port, not {option.value!r}") from None
        elif listeners and (option.name in _OF_LISTENER or (per_listener and option.name in _SECURITY)):
            listeners[-1].options[option.name] = option
        else:
            options[option.name] = option
    if "bind_address" in options:
        # It is for the listener that `port` made, wherever it stands.
        address = options["bind_address"].value
        ports = {option.value for option in lines if option.name == "port"}
        listeners = [
            Listener(each.port, address, each.options) if str(each.port) in ports and not each.address else each
            for each in listeners
        ]
    return Configuration(file, options, listeners, lines)


def duration(option: Option) -> float:
    """The seconds of ``persistent_client_expiration``: a number with h, d, w, m or y (from 2.1 on also s).

    :raises ConfigError: for anything else.
    """
    number, unit = option.value[:-1], option.value[-1:]
    if unit not in _UNITS or not number.isdecimal():
        raise ConfigError(f"{option.place}: {option.name} must be a number with h, d, w, m or y, not {option.value!r}")
    return int(number) * _UNITS[unit]


def _lines(file: Path, depth: int) -> Iterator[Option]:
    if depth > _DEEPEST:
        raise ConfigError(f"{file}: files include each other more than {_DEEPEST} deep")
    try:
        text = file.read_text("utf-8")
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{file} is not UTF-8") from None
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("#"):
            continue
        name, _, value = line.strip().partition(" ")
        if not name:
            continue
        option = Option(name, value.strip(), file, number)
        if name == "include_dir":
            folder = Path(option.value)
            if not folder.is_dir():
                raise ConfigError(f"{option.place}: include_dir {option.value!r} is no folder")
            for included in sorted(folder.glob("*.conf")):
                yield from _lines(included, depth + 1)
        else:
            yield option
