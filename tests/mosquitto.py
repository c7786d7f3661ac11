"""A real mosquitto for tests: started on a free port of this machine, stopped at the end."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.patience import patient

__all__ = ("Certificates", "Mosquitto", "free_port", "make_certificates", "mosquitto")

_PATIENCE = patient(10.0)
_CONNECT = bytes.fromhex("101800044d5154540502003c00000b") + b"probe-ready"
"""A CONNECT of MQTT 5 with a clean start."""


class Certificates:
    """A certificate authority, and a certificate of it for this machine and for a client."""

    def __init__(self, folder: Path) -> None:
        self.ca = folder / "ca.pem"
        self.server, self.server_key = folder / "server.pem", folder / "server.key"
        self.client, self.client_key = folder / "client.pem", folder / "client.key"


def make_certificates(folder: Path) -> Certificates:
    """New certificates, made by openssl."""
    made = Certificates(folder)

    def openssl(*arguments: str | Path) -> None:
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, cwd=folder)

    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    ca_key = folder / "ca.key"
    openssl("req", "-x509", *new, "-keyout", ca_key, "-out", made.ca, "-days", "2", "-subj", "/CN=test authority")
    for name, certificate, key in [
        ("localhost", made.server, made.server_key),
        ("client", made.client, made.client_key),
    ]:
        request, extensions = folder / f"{name}.csr", folder / f"{name}.cnf"
        extensions.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        openssl("req", *new, "-keyout", key, "-out", request, "-subj", f"/CN={name}")
        openssl(
            *("x509", "-req", "-in", request, "-CA", made.ca, "-CAkey", ca_key, "-CAcreateserial"),
            *("-days", "2", "-extfile", extensions, "-out", certificate),
        )
    return made


class Mosquitto:
    """One broker process. It keeps its sessions over a :meth:`restart`.

    :param lines: more lines of its configuration, such as ``max_inflight_messages 1``.
    :param users: names and passwords; without them everybody may connect.
    :param asks_for_certificates: whether a client needs a certificate of the authority in ``tls``.
    :param persistence: whether it keeps its sessions on disk.
    :param log: the kinds of lines that it logs.
    """

    command: Sequence[str] = ()
    """What it is started with: in another network namespace, say."""
    environment: Mapping[str, str] = {}
    """Variables of its environment beside those of this process."""
    host = "127.0.0.1"
    """The address that it listens on."""

    def __init__(
        self,
        folder: Path,
        *,
        tls: Certificates | None = None,
        lines: Iterable[str] = (),
        users: Mapping[str, str] | None = None,
        asks_for_certificates: bool = False,
        persistence: bool = True,
        log: Iterable[str] = ("all",),
    ) -> None:
        self.port = free_port()
        self.tls = tls
        self._folder = folder
        self._lines = list(lines)
        self._users = users
        self._asks_for_certificates = asks_for_certificates
        self._persistence = persistence
        self._log = list(log)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """What ``bridge.url`` is to be."""
        return f"{'mqtts' if self.tls else 'mqtt'}://{self.host}:{self.port}"

    @property
    def bridge(self) -> dict[str, str]:
        """The settings of ``[bridge]`` that lead here."""
        return {"url": self.url, **({"ca_file": str(self.tls.ca)} if self.tls else {})}

    @property
    def log(self) -> str:
        """What it has logged."""
        return (self._folder / "mosquitto.log").read_text()

    def start(self) -> None:
        """Starts it and waits until it accepts a CONNECT."""
        self._write_configuration()
        self._process = subprocess.Popen(
            [*self.command, _program("mosquitto"), "-c", str(self._folder / "mosquitto.conf")],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **self.environment},
        )
        end = time.monotonic() + _PATIENCE
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"mosquitto did not start:\n{self.log}")
            time.sleep(0.01)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Ends it."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(_PATIENCE)
            self._process = None

    def add(self, line: str) -> None:
        """One more line of its configuration, from the next start on."""
        self._lines.append(line)

    def restart(self) -> None:
        """Ends it and starts it again on the same port, with its sessions."""
        self.stop()
        self.start()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Keeps it from answering, its connections open."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def _write_configuration(self) -> None:
        lines = [
            # Started as root it would become a user that cannot read the folders of tests.
            f"user {pwd.getpwuid(os.getuid()).pw_name}",
            f"log_dest file {self._folder / 'mosquitto.log'}",
            *(f"log_type {kind}" for kind in self._log),
            f"persistence {'true' if self._persistence else 'false'}",
            f"persistence_location {self._folder}/",
            "set_tcp_nodelay true",
            f"allow_anonymous {'false' if self._users else 'true'}",
        ]
        if self._users:
            passwords = self._folder / "passwords"
            passwords.touch(0o600)
            for name, password in self._users.items():
                command = [_program("mosquitto_passwd"), "-b", str(passwords), name, password]
                subprocess.run(command, check=True, capture_output=True)
            lines.append(f"password_file {passwords}")
        lines += self._lines
        lines.append(f"listener {self.port} {self.host}")
        if self.tls:
            lines += [
                f"cafile {self.tls.ca}",
                f"certfile {self.tls.server}",
                f"keyfile {self.tls.server_key}",
                *(["require_certificate true"] if self._asks_for_certificates else []),
            ]
        (self._folder / "mosquitto.conf").write_text("\n".join(lines) + "\n")

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=patient(1)) as plain:
                if self.tls is None:
                    return _is_connack(plain)
                context = ssl.create_default_context(cafile=self.tls.ca)
                if self._asks_for_certificates:
                    context.load_cert_chain(self.tls.client, self.tls.client_key)
                with context.wrap_socket(plain, server_hostname="localhost") as sock:
                    return _is_connack(sock)
        except OSError:
            return False


@contextmanager
def mosquitto(
    folder: Path,
    *,
    tls: Certificates | None = None,
    lines: Iterable[str] = (),
    users: Mapping[str, str] | None = None,
    asks_for_certificates: bool = False,
) -> Iterator[Mosquitto]:
    """A broker that runs within the block."""
    broker = Mosquitto(folder, tls=tls, lines=lines, users=users, asks_for_certificates=asks_for_certificates)
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _is_connack(sock: socket.socket) -> bool:
    sock.sendall(_CONNECT)
    return sock.recv(1)[:1] == b"\x20"


def _program(name: str) -> str:
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if found is None:
        raise RuntimeError(f"{name} is not installed; the tests need it: apt install mosquitto")
    return found
