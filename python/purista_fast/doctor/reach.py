"""Is there a broker, and does it let us in: address, TLS, certificates, credentials, MQTT 5."""

from __future__ import annotations

import re
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

from ..bridges.mqtt.broker import Broker
from ..config import BridgeSettings
from .finding import Finding, broken, ok, warn
from .patient import Broken, Connection, open_socket

__all__ = ("Unreachable", "check_certificates", "check_entry")

_SOON = 30
"""How many days before its end a certificate is worth a warning."""
_DAY = 86_400.0
_REFUSALS = {
    0x84: ("it does not speak MQTT 5", "use mosquitto 1.6 or later, or another broker that speaks MQTT 5"),
    0x85: ("it does not accept the client id", "allow client ids that begin with purista_doctor_ for the examination"),
    0x86: ("user name or password is wrong", "check bridge.username and bridge.password_file, or add the user at the "
           "broker: mosquitto_passwd FILE NAME"),
    0x87: ("the user may not connect", "check bridge.username and bridge.password_file, or add the user at the broker: "
           "mosquitto_passwd FILE NAME (mosquitto answers a wrong password like that, too)"),
    0x8A: ("it has banned this client", "lift the ban at the broker"),
}  # fmt: skip


class Unreachable(Exception):  # noqa: N818 - carries a finding
    """Nobody can be examined, for this reason."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.text)
        self.finding = finding


def check_entry(broker: Broker, timeout: float) -> Iterator[Finding]:
    """Connects once.

    :param timeout: in seconds.
    :raises Unreachable: if there is no connection at all.
    """
    began = time.monotonic()
    try:
        sock = open_socket(broker, timeout)
    except ssl.SSLCertVerificationError as error:
        finding = broken(
            "certificate",
            f"the certificate of {broker} is not trusted: {error.verify_message}",
            "bridge.ca_file = the certificate authority, and name the host in bridge.url as the certificate does",
            "no instance connects",
        )
        raise Unreachable(finding) from error
    except ssl.SSLError as error:
        finding = broken(
            "TLS",
            f"no TLS with {broker}: {error.reason or error}",
            "the port of a listener with certfile and keyfile, or mqtt:// for one without; a listener with "
            "require_certificate true needs bridge.cert_file and bridge.key_file",
            "no instance connects",
        )
        raise Unreachable(finding) from error
    except ConnectionResetError as error:
        # mosquitto without TLS hangs up on the first word of a handshake.
        change = "the port of a listener that speaks " + ("TLS, or mqtt://" if broker.tls else "MQTT")
        finding = broken("TLS", f"{broker} hangs up at once: {error.strerror}", change, "no instance connects")
        raise Unreachable(finding) from error
    except OSError as error:
        reason = f"no answer within {timeout:g} s" if isinstance(error, TimeoutError) else error.strerror or str(error)
        finding = broken("reachable", f"no broker at {broker}: {reason}", "bridge.url, or start the broker")
        raise Unreachable(finding) from error
    took = (time.monotonic() - began) * 1000
    with sock:
        if isinstance(sock, ssl.SSLSocket):
            yield ok("TLS", f"{broker} answers in {took:.0f} ms with {sock.version()}")
            yield _server_certificate(sock)
        else:
            yield ok("reachable", f"{broker} answers in {took:.0f} ms, without TLS")
    try:
        with Connection(broker, timeout=timeout):
            who = f"as {broker.username!r}" if broker.username else "without a user name"
            yield ok("credentials", f"the broker lets us in {who}, and speaks MQTT 5")
    except Broken as error:
        reason, change = _REFUSALS.get(error.code, (str(error), "see the log of the broker"))
        if not error.code and broker.tls is not None:
            change = (
                "with require_certificate true at the broker: bridge.cert_file and bridge.key_file; else see its log"
            )
        finding = broken("credentials", f"the broker refuses us: {reason}", change, "no instance connects")
        raise Unreachable(finding) from error
    except OSError as error:
        # With TLS 1.3 a broker refuses a certificate after the handshake.
        finding = broken(
            "credentials",
            f"the broker closes the connection: {error.strerror or error}",
            "bridge.cert_file and bridge.key_file: a certificate that the broker's cafile has signed",
            "no instance connects",
        )
        raise Unreachable(finding) from error


def check_certificates(settings: BridgeSettings) -> Iterator[Finding]:
    """The client's own certificate, if there is one."""
    if settings.cert_file is None:
        return
    days = _days_left(_end_of_file(Path(settings.cert_file)))
    yield _by_age("client certificate", f"bridge.cert_file {settings.cert_file}", days)


def _server_certificate(sock: ssl.SSLSocket) -> Finding:
    found = sock.getpeercert() or {}
    end = found.get("notAfter")
    return _by_age("certificate", "the broker's certificate", _days_left(end if isinstance(end, str) else None))


def _by_age(subject: str, what: str, days: float | None) -> Finding:
    if days is None:
        return warn(subject, f"{what} does not tell until when it is valid")
    change, cost = "renew it; mosquitto reads it again at SIGHUP", "after that nobody connects"
    if days < 0:
        return broken(subject, f"{what} has expired {-days:.0f} days ago", change, "nobody connects")
    if days < _SOON:
        return warn(subject, f"{what} expires in {days:.0f} days", change, cost)
    return ok(subject, f"{what} is valid for {days:.0f} days more")


def _days_left(end: str | None) -> float | None:
    return None if end is None else (ssl.cert_time_to_seconds(end) - time.time()) / _DAY


def _end_of_file(file: Path) -> str | None:
    """Until when the first certificate of a file is valid."""
    text = file.read_text("ascii", "replace")
    last = "-----END CERTIFICATE-----"
    start, end = text.find("-----BEGIN CERTIFICATE-----"), text.find(last)
    return None if start < 0 or end < start else _decode_end(text[start : end + len(last)])


def _decode_end(pem: str) -> str | None:
    """``notAfter`` of a certificate, which the ssl module shows of a peer's only: the second time in its validity."""
    der = ssl.PEM_cert_to_DER_cert(pem + "\n")
    # Validity is a sequence of two times, each UTCTime (0x17, 13 bytes) or GeneralizedTime (0x18, 15 bytes).
    found = re.search(rb"(?:\x17\x0d\d{12}Z|\x18\x0f\d{14}Z)(?:\x17\x0d(\d{12})Z|\x18\x0f(\d{14})Z)", der)
    if not found:
        return None
    short, long = found[1], found[2]
    text, form = (short.decode(), "%y%m%d%H%M%S") if short else (long.decode(), "%Y%m%d%H%M%S")
    return time.strftime("%b %d %H:%M:%S %Y GMT", time.strptime(text, form))
