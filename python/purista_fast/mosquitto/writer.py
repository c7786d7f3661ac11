"""The text of a ``mosquitto.conf`` that keeps the promises, each line with its reason and its price."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil
from pathlib import Path
from textwrap import wrap

import msgspec

from .. import __version__
from ..config import BridgeSettings
from ..errors import ConfigError

__all__ = ("ACL_FILE", "CONFIG_FILE", "PASSWORD_FILE", "Plan", "Tls", "check", "render")

CONFIG_FILE, ACL_FILE, PASSWORD_FILE = "mosquitto.conf", "acl", "passwords"
_WIDTH = 110
_INFLIGHT = 1000
"""What a publisher of ours has under way at most."""


class Tls(msgspec.Struct, frozen=True, kw_only=True):
    """The encrypted listener."""

    port: int = 8883
    address: str = ""
    """Empty for all addresses of the machine."""
    ca_file: Path | None = None
    cert_file: Path
    key_file: Path
    mutual: bool = False
    """Whether clients need a certificate, whose common name is their user name."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be written."""

    folder: Path
    """Where the files will be when the broker runs, absolute."""
    data: Path
    """Where the broker keeps its database, absolute."""
    user: str | None = None
    """The account that the broker runs as, if it is started by root."""
    port: int = 1883
    """The plain listener on loopback; 0 for none."""
    tls: Tls | None = None
    anonymous: bool = False
    save_every: int = 10
    """In seconds."""
    save_on_changes: bool = False
    queue_messages: int = 100_000
    """How many messages may wait for one session."""
    queue_bytes: int = 256 * 1024 * 1024
    """How many bytes may wait for one session."""
    about: str = ""
    """For which applications, for the comment at the top."""


def check(plan: Plan) -> None:
    """Refuses what cannot work, or is open to everybody.

    :raises ConfigError: with what to do instead.
    """
    if not plan.port and plan.tls is None:
        raise ConfigError("without --port and without --tls the broker would listen nowhere: give one of them")
    if plan.anonymous and plan.tls is not None:
        raise ConfigError(
            "--anonymous holds for every listener of the broker, so it is for loopback alone: leave out --tls, or give "
            "the clients passwords or certificates"
        )
    if plan.tls is not None and plan.tls.mutual and plan.tls.ca_file is None:
        raise ConfigError("--mtls needs --cafile, the authority whose certificates clients are to show")
    for path in (plan.folder, plan.data):
        if not str(path).isprintable():
            raise ConfigError(f"{str(path)!r} cannot be written in a mosquitto.conf")


def render(plan: Plan, bridge: BridgeSettings) -> str:
    """The text of the file.

    :raises ConfigError: for a plan that cannot work.
    """
    check(plan)
    lines = [
        f"# mosquitto for purista-fast {__version__}{f': {plan.about}' if plan.about else ''}.",
        "# Made by `purista-fast mosquitto config`, for mosquitto 2.0 and later.",
        "# `purista-fast doctor --broker-config` with this file checks it, and the broker that runs with it.",
    ]
    for comment, options in _parts(plan, bridge):
        lines += ["", *(f"# {line}" for line in wrap(comment, _WIDTH)), *options]
    return "\n".join(lines) + "\n"


def _parts(plan: Plan, bridge: BridgeSettings) -> Iterator[tuple[str, list[str]]]:
    if plan.user:
        yield (
            "The account that the broker becomes when root starts it. It must be able to read the files named here.",
            [f"user {plan.user}"],
        )
    yield from _saving(plan)
    yield from _limits(plan, bridge)
    yield from _links(bridge)
    yield from _access(plan)
    yield from _listeners(plan)


def _saving(plan: Plan) -> Iterator[tuple[str, list[str]]]:
    yield (
        "Sessions, and the events that wait in them, are kept over a restart. Without it every restart loses them all.",
        ["persistence true", f"persistence_location {plan.data}/"],
    )
    if plan.save_on_changes:
        yield (
            "The whole database is written after each change, which is the most that mosquitto can do. A power cut "
            "loses what came in the last moment before it. The price: each message costs a write of everything that "
            "waits, with an fsync; with thousands waiting the broker does little else, and flash memory wears out.",
            ["autosave_interval 1", "autosave_on_changes true"],
        )
    else:
        yield (
            "mosquitto acknowledges a message before it has saved it: a kill -9 loses what was confirmed in the "
            f"{plan.save_every + 1} s before, a power cut perhaps twice as much, a stop nothing. Events with "
            'durability "disk" survive that, as they stay on the disk of the sender for [outbox] hold, which must be '
            "longer. "
            f"mosquitto's default is 30 minutes. The price: every {plan.save_every} s the whole database is written, "
            "whether anything has changed or not.",
            [f"autosave_interval {plan.save_every}", "autosave_on_changes false"],
        )


def _limits(plan: Plan, bridge: BridgeSettings) -> Iterator[tuple[str, list[str]]]:
    yield (
        "How much may wait for one session that is away or slow. What comes beyond is confirmed to the publisher "
        "(0x00) and dropped; mosquitto can do no other. So this must hold the longest absence: messages a second "
        'times seconds. The default is 1000 messages. 0 ("no limit") drops messages in some releases of mosquitto 2.0. '
        "The price: up to so many bytes of memory for each absent session, and as much to save. Dropped messages are "
        "counted in $SYS/broker/publish/messages/dropped, which the doctor reads.",
        [f"max_queued_messages {plan.queue_messages}", f"max_queued_bytes {plan.queue_bytes}"],
    )
    yield (
        "How many messages are under way to a client, and from it, without acknowledgement; the default of 20 makes a "
        "sender wait for the network. A client's own receive maximum (bridge.receive_maximum) is respected.",
        [f"max_inflight_messages {_INFLIGHT}"],
    )
    yield (
        "The largest packet: bridge.max_packet_size. The broker tells it to each client, so that a sender refuses a "
        "larger one itself, before it costs the connection. It stands for message_size_limit, which mosquitto calls "
        "outdated, as well. The price: one client can make the broker hold so much memory.",
        [f"max_packet_size {bridge.max_packet_size}"],
    )
    days = ceil(bridge.session_expiry / 86_400) + 1
    yield (
        f"Sessions of clients that are away for longer are removed, with what waits for them. Longer than "
        f"bridge.session_expiry ({bridge.session_expiry:.0f} s), because mosquitto cuts that to this without telling.",
        [f"persistent_client_expiration {days}d"],
    )
    yield (
        "Retained messages: the outbox keeps its marker as one, to see what the broker has saved.",
        ["retain_available true"],
    )


def _links(bridge: BridgeSettings) -> Iterator[tuple[str, list[str]]]:
    yield (
        "Without it an answer waits for TCP's delayed acknowledgements: 44 ms. The price: a few more packets.",
        ["set_tcp_nodelay true"],
    )
    yield (
        "A client that vanished is noticed after 1.5 times that at the latest, in seconds. Above bridge.keep_alive, as "
        "mosquitto before 2.0.22 drops clients whose own is equal.",
        [f"max_keepalive {max(60, 2 * bridge.keep_alive)}"],
    )


def _access(plan: Plan) -> Iterator[tuple[str, list[str]]]:
    if plan.anonymous:
        yield (
            "Asked for by --anonymous: every program on this machine may do everything below the prefix.",
            ["allow_anonymous true", f"acl_file {plan.folder / ACL_FILE}"],
        )
        return
    yield (
        "Nobody without a name. Who may do what is in the access rules: an instance sends as itself only. "
        "(mosquitto 2.1 prefers plugins to acl_file and password_file, and takes these until 3.0.)",
        ["allow_anonymous false", f"acl_file {plan.folder / ACL_FILE}"],
    )
    if plan.port or (plan.tls and not plan.tls.mutual):
        yield (
            "Hashed passwords. Add one by: mosquitto_passwd FILE NAME; then reload the broker with SIGHUP.",
            [f"password_file {plan.folder / PASSWORD_FILE}"],
        )


def _listeners(plan: Plan) -> Iterator[tuple[str, list[str]]]:
    if plan.port:
        yield (
            "Without encryption, so for this machine only.",
            [f"listener {plan.port} 127.0.0.1"],
        )
    tls = plan.tls
    if tls is None:
        return
    lines = [f"listener {tls.port} {tls.address}".rstrip()]
    if tls.ca_file is not None:
        lines.append(f"cafile {tls.ca_file}")
    lines += [f"certfile {tls.cert_file}", f"keyfile {tls.key_file}", "tls_version tlsv1.2"]
    comment = (
        "With encryption, for the network. The broker reads the certificate again at SIGHUP: do that after renewals."
    )
    if tls.mutual:
        lines += ["require_certificate true", "use_identity_as_username true"]
        comment += (
            " Clients show a certificate; its common name is their user name, so it must be their bridge.instance_id."
        )
    yield comment, lines
