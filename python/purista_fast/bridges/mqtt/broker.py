"""Where the broker is and how to get in: what the settings say, checked."""

from __future__ import annotations

import contextlib
import ipaddress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, unquote

from ...config import BridgeSettings
from ...errors import ConfigError
from ...urls import public_url, split
from .token import Token, ask_token

if TYPE_CHECKING:
    import ssl

__all__ = ("Broker",)

_PORTS = {"mqtt": 1883, "mqtts": 8883}


@dataclass(frozen=True, slots=True)
class Broker:
    """A broker's address, and the credentials for it."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None
    username: str | None = None
    _password: str | None = field(default=None, repr=False)
    _password_file: str | None = None
    _token: Token | None = field(default=None, repr=False)
    transport: str = "paho"
    """``bridge.transport``."""

    @classmethod
    def of(cls, settings: BridgeSettings, token: Token | None = None) -> Broker:
        """The broker that the settings name.

        :param token: gives the password for each connection.
        :raises ConfigError: for a URL without a host, credentials given twice, certificates that cannot be read, and
            for a connection without TLS to another machine unless ``bridge.insecure`` allows it.
        """
        shown = public_url(settings.url)
        url = split(settings.url)
        host, port = url.hostname, _port(url)
        if port is None:
            raise ConfigError(
                f"bridge.url {shown!r}: the port must be a number from 0 to 65535; special characters of a password "
                "are written as %40 (for @), %2F (for /) and so on"
            )
        if not host or url.path not in ("", "/") or url.query or url.fragment:
            raise ConfigError(f"bridge.url {shown!r}: expected {url.scheme}://host or {url.scheme}://host:port")
        username, password = _credentials(settings, url.username, url.password, token)
        tls = _context(settings) if url.scheme == "mqtts" else None
        if tls is None:
            _check_plain(settings, shown, host)
        return cls(host, port, tls, username, password, settings.password_file, token, settings.transport)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    async def secret(self, timeout: float) -> str | None:
        """The password for a new connection: a token where there is a function for it, else :meth:`password`.

        :param timeout: how long that may take, in seconds.
        :raises ConfigError: if the file cannot be read.
        :raises TokenFailed: if there is no token.
        """
        return self.password() if self._token is None else await ask_token(self._token, timeout)

    def password(self) -> str | None:
        """The password of the settings; a ``bridge.password_file`` is read each time, so that it may change.

        :raises ConfigError: if the file cannot be read.
        """
        if self._password_file is None:
            return self._password
        try:
            return Path(self._password_file).read_text(encoding="utf-8").rstrip("\r\n")
        except OSError as error:
            raise ConfigError(f"bridge.password_file {self._password_file!r}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise ConfigError(f"bridge.password_file {self._password_file!r} is not UTF-8") from None


def _port(url: SplitResult) -> int | None:
    """The port; ``None`` if it is none. The text of the error would quote what may be a part of a password."""
    with contextlib.suppress(ValueError):
        return url.port or _PORTS[url.scheme]
    return None


def _credentials(
    settings: BridgeSettings, url_username: str | None, url_password: str | None, token: Token | None
) -> tuple[str | None, str | None]:
    username, password = settings.username, settings.password
    for key, given, in_url in [("username", username, url_username), ("password", password, url_password)]:
        if given is not None and in_url is not None:
            raise ConfigError(f"bridge.{key} is given twice: in bridge.url and as bridge.{key}; keep one of them")
    username = unquote(url_username) if url_username else username
    password = unquote(url_password) if url_password else password
    if password is not None and settings.password_file is not None:
        raise ConfigError("the password is given twice: by bridge.password_file and in clear text; keep one of them")
    if token is not None and (password is not None or settings.password_file is not None):
        raise ConfigError("there is a token function and a password as well; keep one of them")
    if token is not None and username is None:
        raise ConfigError("bridge.username is missing: there is a token function without a user")
    if username is None and (password is not None or settings.password_file is not None):
        raise ConfigError("bridge.username is missing: there is a password without a user")
    return username, password


def _context(settings: BridgeSettings) -> ssl.SSLContext:
    """TLS with verification on."""
    import ssl  # OpenSSL comes only where it is used

    try:
        context = ssl.create_default_context(cafile=settings.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"bridge.ca_file {settings.ca_file!r} cannot be used: {_reason(error)}") from None
    if settings.key_file is not None and settings.cert_file is None:
        raise ConfigError("bridge.key_file needs bridge.cert_file, the certificate that the key is for")
    if settings.cert_file is not None:
        try:
            # A key with a passphrase would ask for it on the terminal.
            context.load_cert_chain(settings.cert_file, settings.key_file, password="")
        except (OSError, ssl.SSLError, ValueError) as error:
            files = f"{settings.cert_file!r} with bridge.key_file {settings.key_file!r}"
            raise ConfigError(f"bridge.cert_file {files} cannot be used: {_reason(error)}") from None
    return context


def _check_plain(settings: BridgeSettings, shown: str, host: str) -> None:
    for key in ("ca_file", "cert_file", "key_file"):
        if getattr(settings, key) is not None:
            raise ConfigError(f"bridge.{key} is given, but bridge.url {shown!r} is without TLS; use mqtts://")
    if not settings.insecure and not _is_loopback(host):
        raise ConfigError(
            f"bridge.url {shown!r}: mqtt:// sends everything, passwords included, in clear text to another machine; "
            "use mqtts://, or allow it by bridge.insecure = true"
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
