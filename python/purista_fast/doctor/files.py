"""What a ``mosquitto.conf`` promises, before any broker runs with it."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

from ..config import BridgeSettings
from ..mosquitto.reader import Configuration, Listener, Option, duration
from .finding import Finding, broken, ok, warn

__all__ = ("check_configuration",)

_QUEUE_DEFAULT = 1000
_SAVE_DEFAULT = 1800
_SMALL_QUEUE = 1024 * 1024


def check_configuration(found: Configuration, bridge: BridgeSettings, hold: float) -> Iterator[Finding]:
    """Compares a configuration with the settings of the bridge.

    :param hold: ``outbox.hold``, in seconds.
    """
    yield from _saving(found, hold)
    yield from _queue(found)
    yield from _sizes(found, bridge)
    yield from _expiry(found, bridge)
    yield from _links(found, bridge)
    yield from _listeners(found)
    yield from _secrets(found)


def _saving(found: Configuration, hold: float) -> Iterator[Finding]:
    if not (found.flag("persistence") or found.flag("retained_persistence")):
        yield broken(
            "persistence",
            f"{found.place('persistence')}: nothing is saved",
            "persistence true",
            "each restart of the broker loses all sessions, and the events that wait in them",
        )
        return
    if "persistence_location" not in found.options:
        yield warn(
            "persistence",
            f"{found.file}: no persistence_location, so the database is wherever the broker is started",
            "persistence_location /var/lib/mosquitto/",
            "started from another folder, the broker has no sessions",
        )
    every = found.number("autosave_interval", _SAVE_DEFAULT)
    place, change = found.place("autosave_interval"), "autosave_interval 10"
    if every == 0:
        yield broken(
            "saving",
            f"{place}: the broker saves only when it stops",
            change,
            "a power cut or kill -9 loses all that was confirmed since the start",
        )
    elif found.flag("autosave_on_changes"):
        text = f"{place}: the broker saves after {every} changes"
        if every > 1:
            yield warn(
                "saving",
                text,
                "autosave_interval 1, or autosave_on_changes false with autosave_interval 10",
                f"a power cut loses up to {every} confirmed events, however old they are",
            )
        else:
            yield ok("saving", f"{text}: safest, and slow with many messages")
    elif 2 * (every + 1) > hold:
        # It saves a second late, and does not sync the folder: a power cut may bring the save before the last back.
        level = broken if every + 1 > hold else warn
        yield level(
            "saving",
            f"{place}: the broker saves every {every} s, and [outbox] hold is {hold:g} s",
            f"{change}, or [outbox] hold above {2 * (every + 1)} s",
            f"a power cut loses what was confirmed in the last {every + 1} s, perhaps {2 * (every + 1)} s, and events "
            'with durability = "disk" that were confirmed longer than [outbox] hold before',
        )
    else:
        yield ok(
            "saving",
            f'saved every {every} s: a power cut loses what durability = "broker" was confirmed since, and nothing of '
            f'"disk" ([outbox] hold is {hold:g} s)',
        )


def _queue(found: Configuration) -> Iterator[Finding]:
    messages, size = found.number("max_queued_messages", _QUEUE_DEFAULT), found.number("max_queued_bytes", 0)
    place = found.place("max_queued_messages")
    change = "max_queued_messages 100000 and max_queued_bytes to fit"
    cost = "what comes beyond for a session that is away is confirmed (0x00) and dropped"
    if messages == 0:
        yield warn(
            "queue",
            f"{place}: max_queued_messages 0 means no limit, and drops messages in some releases before 2.0.22",
            "a number, such as max_queued_messages 100000",
            "confirmed events are lost",
        )
    elif messages < _QUEUE_DEFAULT:
        yield broken("queue", f"{place}: {messages} messages may wait for a session that is away", change, cost)
    elif messages == _QUEUE_DEFAULT:
        default = "" if "max_queued_messages" in found.options else ", the default,"
        yield warn("queue", f"{place}: 1000{default} messages may wait for a session that is away", change, cost)
    else:
        yield ok("queue", f"{messages} messages may wait for a session that is away")
    if 0 < size < _SMALL_QUEUE:
        yield warn(
            "queue",
            f"{found.place('max_queued_bytes')}: {size} bytes may wait for a session that is away",
            "max_queued_bytes 268435456",
            cost,
        )


def _sizes(found: Configuration, bridge: BridgeSettings) -> Iterator[Finding]:
    small = [
        name for name in ("max_packet_size", "message_size_limit") if 0 < found.number(name, 0) < bridge.max_packet_size
    ]
    for name in small:
        yield warn(
            "packet size",
            f"{found.place(name)}: {name} {found.text(name)} is less than bridge.max_packet_size",
            f"{name} {bridge.max_packet_size}",
            "larger events and answers are refused",
        )
    if not small:
        yield ok("packet size", "bridge.max_packet_size fits")
    if "retain_available" in found.options and not found.flag("retain_available"):
        yield warn(
            "retain",
            f"{found.place('retain_available')}: no retained messages",
            "retain_available true",
            'after each reconnect the outbox sends events that are "disk" again, though the broker may have saved them',
        )


def _expiry(found: Configuration, bridge: BridgeSettings) -> Iterator[Finding]:
    option = found.options.get("persistent_client_expiration")
    if option is not None and duration(option) < bridge.session_expiry:
        yield broken(
            "session expiry",
            f"{option.place}: sessions end after {option.value}, bridge.session_expiry is "
            f"{bridge.session_expiry:.0f} s; mosquitto shortens them without telling",
            f"persistent_client_expiration {int(bridge.session_expiry // 86_400) + 1}d",
            "an instance that is away for longer loses the events that waited for it",
        )
    else:
        yield ok("session expiry", "sessions last for bridge.session_expiry")


def _links(found: Configuration, bridge: BridgeSettings) -> Iterator[Finding]:
    if found.flag("set_tcp_nodelay"):
        yield ok("TCP_NODELAY", "set")
    else:
        yield warn(
            "TCP_NODELAY",
            f"{found.place('set_tcp_nodelay')}: TCP_NODELAY is off",
            "set_tcp_nodelay true",
            "answers to a client that does not acknowledge early are 44 ms late",
        )
    longest = found.number("max_keepalive", 65_535)
    if 0 < longest <= bridge.keep_alive:
        yield warn(
            "keep alive",
            f"{found.place('max_keepalive')}: max_keepalive {longest} is not above the bridge's ({bridge.keep_alive})",
            f"max_keepalive {max(60, 2 * bridge.keep_alive)}",
            "mosquitto before 2.0.22 drops clients whose keep-alive is the largest that it allows",
        )


def _listeners(found: Configuration) -> Iterator[Finding]:
    if not found.listeners:
        yield warn(
            "listeners",
            f"{found.file}: no listener, so the broker is on loopback only and lets everybody in",
            "listener 1883 127.0.0.1 and allow_anonymous false",
            "every program here may act as anybody",
        )
    open_ = False
    for listener in found.listeners:
        anonymous = found.of(listener, "allow_anonymous")
        if not listener.is_local and anonymous is not None and anonymous.is_true:
            open_ = True
            yield broken(
                "access",
                f"{anonymous.place}: everybody who reaches {listener} is let in",
                "allow_anonymous false, with password_file or require_certificate",
                "whoever is in the network reads and forges every message",
            )
        if not listener.is_local and not listener.has_tls:
            open_ = True
            yield warn(
                "access",
                f"{found.file}: {listener} is without TLS, and not on loopback only",
                "certfile and keyfile, or 127.0.0.1 behind the port",
                "passwords and messages are in clear text in the network",
            )
        yield from _quality(listener)
    if found.listeners and not open_:
        yield ok("access", "nobody from outside gets in without a name or in clear text")


def _quality(listener: Listener) -> Iterator[Finding]:
    option = listener.options.get("max_qos")
    if option is not None and option.value == "0":
        yield broken(
            "features",
            f"{option.place}: {listener} allows QoS 0 only",
            "max_qos 2",
            "nothing is acknowledged: no instance starts",
        )


def _secrets(found: Configuration) -> Iterator[Finding]:
    seen: dict[str, Option] = {}
    for options in (found.options, *(listener.options for listener in found.listeners)):
        for name in ("password_file", "acl_file", "psk_file", "keyfile"):
            if name in options:
                seen[options[name].value] = options[name]
    faults = 0
    for option in seen.values():
        path = Path(option.value)
        if not path.is_absolute():
            faults += 1
            yield warn(
                "files",
                f"{option.place}: {path} is looked for where the broker is started",
                f"{option.name} with the whole path",
                "started from another folder, the broker ends or lets nobody in",
            )
            continue
        try:
            mode = path.stat().st_mode
        except FileNotFoundError:
            faults += 1
            yield broken(
                "files",
                f"{option.place}: {path} does not exist",
                f"the file, or no {option.name}",
                "the broker does not start, or lets nobody in",
            )
            continue
        except OSError as error:
            faults += 1
            yield warn(
                "files",
                f"{option.place}: {path} cannot be looked at: {error.strerror}",
                "the doctor as the account of the broker, or as root",
                "who can read it is not known",
            )
            continue
        if mode & (stat.S_IROTH | stat.S_IWOTH):
            faults += 1
            level = broken if option.name in ("keyfile", "psk_file") or mode & stat.S_IWOTH else warn
            yield level(
                "files",
                f"{option.place}: {path} can be read or written by everybody on this machine",
                f"chmod o= {path}",
                "secrets are for whoever is here; mosquitto is going to refuse such files",
            )
    if seen and not faults:
        yield ok("files", "passwords, keys and access rules are not for everybody")
