"""The text of a bridge of mosquitto's that does what ``[uplink]`` says, each line with its reason and its price."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from textwrap import wrap

import msgspec

from .. import __version__
from ..bridges.mqtt.broker import Broker
from ..config import Settings
from ..errors import ConfigError
from ..uplink.settings import UplinkSettings
from ..urls import scheme
from .acl import check_name
from .routes import Route

__all__ = (
    "INBOUND",
    "Link",
    "Release",
    "find_release",
    "instances_of",
    "link_of",
    "read_release",
    "render",
    "shown",
    "warnings",
)

Release = tuple[int, int, int]
INBOUND: Release = (2, 1, 0)
"""The first release whose bridges keep their session at the other broker while the link is down."""
_FIRST: Release = (2, 0, 0)
_PATIENCE = 10.0
_WIDTH = 110
_RELEASE = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?")
_FAULTS: tuple[tuple[Release, Release, str], ...] = (
    (
        (2, 0, 0),
        (2, 0, 13),
        "counts wrongly what is under way (mosquitto issues 2301 and 2362): a bridge can stall until the broker is "
        "started again",
    ),
    (
        (2, 0, 15),
        (2, 0, 16),
        "can take a bridge that it has saved for expired at its start (mosquitto issue 2634), and runs without it",
    ),
    ((2, 0, 16), (2, 0, 17), "does not apply max_inflight_messages (mosquitto issue 2876): a burst can end the link"),
)


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be written."""

    uplink: UplinkSettings
    device: str
    """How this broker is known at the other one: the id of its session there."""
    local_prefix: str
    host: str
    port: int
    has_tls: bool
    username: str | None
    password: str | None
    release: Release | None
    """The mosquitto that it is for; ``None`` if nobody knows."""
    routes: tuple[Route, ...] = ()

    def __repr__(self) -> str:
        return f"Link(device={self.device!r}, host={self.host!r}, port={self.port}, …)"


def read_release(text: str) -> Release:
    """A version of mosquitto.

    >>> read_release("2.0.11"), read_release("2.1")
    ((2, 0, 11), (2, 1, 0))

    :raises ConfigError: if it is none, or one without bridges of MQTT 5.
    """
    found = _RELEASE.fullmatch(text.strip())
    if found is None:
        raise ConfigError(f"{text!r} is no version of mosquitto, such as 2.0.11")
    release = (int(found[1]), int(found[2]), int(found[3] or 0))
    if release < _FIRST:
        raise ConfigError(f"mosquitto {text} has no bridges with MQTT 5, which keep all of a message: 2.0 is the first")
    return release


def find_release() -> Release | None:
    """The version of the mosquitto of this machine, by its help text; ``None`` if there is none.

    :raises ConfigError: if it is too old.
    """
    import os

    program = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if program is None:
        return None
    try:
        done = subprocess.run(  # noqa: S603 - a program that was looked for
            [program, "-h"], stdin=subprocess.DEVNULL, capture_output=True, timeout=_PATIENCE, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(rb"mosquitto version (\d+\.\d+(?:\.\d+)?)", done.stdout)
    return read_release(found[1].decode()) if found else None


def instances_of(settings: Settings, uplink: UplinkSettings) -> tuple[str, list[str]]:
    """The device's id, and the instances whose messages go out.

    :raises ConfigError: if nobody has said who they are.
    """
    device = uplink.instance_id or settings.bridge.instance_id
    if device is None:
        raise ConfigError(
            f"{settings.source}: bridge.instance_id is not set: rules and topics go by it, and a broker cannot look "
            "into the state directory; set it, or uplink.instance_id and uplink.instances"
        )
    if uplink.instances:
        return device, list(dict.fromkeys(uplink.instances))
    own = settings.bridge.instance_id
    if own is None:
        raise ConfigError(
            f"{settings.source}: uplink.instances: name those whose messages go up, or bridge.instance_id"
        )
    workers = settings.app.workers or 0
    return device, [f"{own}_{number}" for number in range(1, workers + 1)] if workers else [own]


def link_of(settings: Settings, device: str, release: Release | None, routes: Iterable[Route]) -> Link:
    """The plan for ``[uplink]``.

    :raises ConfigError: for an address or credentials that cannot be used, or that mosquitto cannot read.
    """
    uplink = settings.uplink
    assert uplink is not None, "asked only where there is one"
    if scheme(settings.bridge.url) == "memory":
        raise ConfigError(
            f"{settings.source}: bridge.url is memory://, so there is no broker on this device that could have a "
            "bridge: the application has its uplink itself"
        )
    try:
        broker = Broker.of(uplink)
        password = broker.password()
    except ConfigError as error:
        raise ConfigError(str(error).replace("bridge.", "uplink.")) from None
    username = broker.username
    if username is not None:
        check_name(username, "uplink.username")
    if password is not None and (not password.isprintable() or password != password.strip() or not password):
        raise ConfigError(
            "uplink.password: a mosquitto.conf cannot hold it: it is empty, or has a blank at an end, or a character "
            "that cannot be printed"
        )
    for file in (uplink.ca_file, uplink.cert_file, uplink.key_file):
        if file is not None and not file.isprintable():
            raise ConfigError(f"{file!r} cannot be written in a mosquitto.conf")
    return Link(
        uplink=uplink,
        device=device,
        local_prefix=settings.bridge.prefix,
        host=broker.host,
        port=broker.port,
        has_tls=broker.tls is not None,
        username=username,
        password=password,
        release=release,
        routes=tuple(routes),
    )


def warnings(link: Link) -> Iterator[str]:
    """What a bridge does otherwise than an uplink of the application."""
    uplink = link.uplink
    kept = [name for name, each in uplink.event.items() if each.priority or each.ttl is not None]
    if kept:
        yield (
            f"a broker's bridge knows no priority and no ttl for single events: uplink.event of {', '.join(kept)} has "
            "no effect; events go in order, and expire after bridge.message_expiry of the application"
        )
    if link.release is not None:
        for first, fixed, what in _FAULTS:
            if first <= link.release < fixed:
                yield f"mosquitto {shown(link.release)} {what}; {shown(fixed)} does not"
    if _is_inbound(link) and (link.release is None or link.release < INBOUND):
        yield "what is published at the other broker while the link is down never comes here: mosquitto 2.1 keeps it"
    if link.password is not None:
        yield "the password stands in the file in clear text, for mosquitto reads it nowhere else: keep its mode 0600"


def render(link: Link) -> str:
    """The text of the file, to be included in the ``mosquitto.conf`` of the device."""
    about = f"A bridge of mosquitto for purista-fast {__version__}: {link.device} to {link.host}."
    lines = [
        f"# {about}",
        "# Made by `purista-fast mosquitto bridge`. Put it into a folder that mosquitto.conf names by include_dir,",
        "# at its end; a bridge is read at the start of the broker only.",
    ]
    for comment, options in (*_queue(link), *_connection(link), *_session(link), *_security(link)):
        lines += ["", *(f"# {part}" for part in wrap(comment, _WIDTH)), *options]
    last = ""
    for route in link.routes:
        if route.why != last:
            lines += ["", f"# {route.why}"]
            last = route.why
        lines.append(f"topic {route.pattern} {route.direction} 1 {link.local_prefix}/ {link.uplink.prefix}/")
    return "\n".join(lines) + "\n"


def _queue(link: Link) -> Iterator[tuple[str, list[str]]]:
    outbox = link.uplink.outbox
    yield (
        "How much waits for the link: uplink.outbox.max_messages and max_bytes. It holds for each session of this "
        "broker, instead of what was said before. What comes beyond is dropped silently. Persistence has to be on, or "
        "a restart loses what waits.",
        [
            f"max_queued_messages {outbox.max_messages}",
            f"max_queued_bytes {outbox.max_bytes}",
            "queue_qos0_messages false",
        ],
    )


def _connection(link: Link) -> Iterator[tuple[str, list[str]]]:
    yield "The other broker: uplink.url.", [f"connection {link.device}", f"address {link.host}:{link.port}"]
    yield (
        "MQTT 5, which keeps content type, correlation, user properties and expiry of a message.",
        ["bridge_protocol_version mqttv50"],
    )
    yield (
        "Larger packets are not sent, instead of ending the link: uplink.max_packet_size.",
        [f"bridge_max_packet_size {link.uplink.max_packet_size}"],
    )
    yield (
        "A dead link is noticed by that, in seconds; a new one is tried after 1 s at first, up to 60 s, at random, so "
        "that thousands of devices do not come back in one moment.",
        [f"keepalive_interval {link.uplink.keep_alive}", "restart_timeout 1 60"],
    )
    yield (
        "The other broker is told that this is a bridge, and returns nothing to it. One that does not know what "
        "that is refuses once, and is asked without.",
        ["try_private true"],
    )
    yield (
        "No retained messages about the link, and no attempts to unsubscribe, which access rules may forbid.",
        [
            "notifications false",
            "bridge_attempt_unsubscribe false",
        ],
    )


def _session(link: Link) -> Iterator[tuple[str, list[str]]]:
    lines = [
        f"remote_clientid {link.device}",
        f"local_clientid bridge.{link.device}",
        "cleansession false",
        "local_cleansession false",
    ]
    comment = "What waits on either side outlives the link."
    if link.release is not None and link.release >= INBOUND:
        lines.append(f"bridge_session_expiry_interval {int(link.uplink.session_expiry)}")
        lines.append(f"bridge_receive_maximum {link.uplink.receive_maximum}")
        comment += " For how long at the other one: uplink.session_expiry."
    else:
        comment = "What waits here outlives the link; mosquitto 2.0 ends its session at the other broker with it."
    yield comment, lines


def _security(link: Link) -> Iterator[tuple[str, list[str]]]:
    uplink = link.uplink
    if link.has_tls:
        if uplink.ca_file is not None:
            lines = [f"bridge_cafile {Path(uplink.ca_file).absolute()}"]
        elif link.release is not None and link.release >= INBOUND:
            lines = ["bridge_tls_use_os_certs true"]
        else:
            lines = ["bridge_capath /etc/ssl/certs"]
        for option, file in (("bridge_certfile", uplink.cert_file), ("bridge_keyfile", uplink.key_file)):
            if file is not None:
                lines.append(f"{option} {Path(file).absolute()}")
        yield "With encryption. Certificate and host name of the other broker are verified.", lines
    if link.username is not None:
        lines = [f"remote_username {link.username}"]
        if link.password is not None:
            lines.append(f"remote_password {link.password}")
        yield "Who this is at the other broker. Its access rules go by that.", lines


def _is_inbound(link: Link) -> bool:
    return bool(link.uplink.listen or link.uplink.commands)


def shown(release: Release) -> str:
    """A version for people."""
    return ".".join(map(str, release))
