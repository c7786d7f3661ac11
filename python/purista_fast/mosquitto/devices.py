"""Access rules for devices that share one broker: each sends as itself, and receives what is meant for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from .._core import snake_case, subscription_filter
from ..bridges.mqtt.state import check_instance_id
from ..errors import ConfigError
from ..presence import QUESTION
from .acl import Block, Rule, check_name
from .rights import ANY_INSTANCE, doctor_topic, marker_topic, presence_kinds

__all__ = ("ALL", "Device", "blocks", "read")

ALL = "all"
"""In place of a file: whoever logs in is a device."""
_SENDS = ("custom_message", "command_success_response", "command_error_response")
_ADDED = "info_service_function_added"
_NONE = "none"
_MOST = 1_000_000
"""Lines of a file."""


class Device(msgspec.Struct, frozen=True):
    """One device, by its user name, which is its id."""

    name: str
    tenant: str | None = None
    """Whose it is; ``None`` where tenants are not told apart."""
    instances: tuple[str, ...] = ()
    """Others that it sends for: those on its own broker, if that has a bridge."""


def read(file: Path) -> list[Device]:
    """Devices from a file: a line for each, with its id, its tenant if it has one (``-`` for none), and the ids of
    other instances whose messages it sends.

    :raises ConfigError: with the line that is wrong.
    """
    try:
        lines = file.read_text("utf-8").splitlines()
    except OSError as error:
        raise ConfigError(f"{file}: the devices cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{file}: the devices are not UTF-8") from None
    if len(lines) > _MOST:
        raise ConfigError(f"{file} has more than {_MOST} lines")
    found: dict[str, Device] = {}
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words or line.startswith("#"):
            continue
        try:
            device = _device(words)
        except ConfigError as error:
            raise ConfigError(f"{file}:{number}: {error}") from None
        if device.name in found:
            raise ConfigError(f"{file}:{number}: the device {device.name!r} is there twice")
        found[device.name] = device
    if not found:
        raise ConfigError(f"{file} names no device; expected a line for each: its id, and its tenant if it has one")
    return list(found.values())


def blocks(prefix: str, devices: Iterable[Device] | None, listen: Iterable[str]) -> list[Block]:
    """The rules: a block for each device, or one for whoever is connected.

    :param devices: ``None`` for whoever is connected.
    :param listen: the events that come down to them.
    """
    listen = list(listen)
    if devices is None:
        rules = tuple(_rules(prefix, Device(ANY_INSTANCE), listen))
        return [Block(None, rules, "every device: %u is its user name, which must be its uplink.instance_id")]
    return [
        Block(
            device.name,
            tuple(_rules(prefix, device, listen)),
            f"device {device.name}{f' of {device.tenant}' if device.tenant else ''}",
        )
        for device in devices
    ]


def _device(words: list[str]) -> Device:
    name, *rest = words
    tenant = rest[0] if rest and rest[0] != "-" else None
    for each in (name, *rest[1:]):
        check_instance_id(check_name(each, "device"))
        if each == _NONE:
            raise ConfigError(f"{each!r} stands for nobody in a topic, and cannot be a device")
    if tenant is not None and (check_name(tenant, "tenant") == _NONE or snake_case(tenant) != tenant):
        works = snake_case(tenant)
        hint = "" if works in (_NONE, tenant) else f"; use {works!r}"
        raise ConfigError(f"tenant {tenant!r} cannot be a level of a topic as it is{hint}")
    return Device(name, tenant, tuple(rest[1:]))


def _rules(prefix: str, device: Device, listen: list[str]) -> Iterator[Rule]:
    senders = (device.name, *device.instances)
    why = "It sends events and answers as itself: no commands, and nothing as another."
    if device.tenant:
        why += " All of it belongs to its tenant."
    for sender in senders:
        for kind in _SENDS:
            yield Rule("write", f"{prefix}/{kind}/+/{device.tenant or '+'}/{sender}/#", why)
            why = ""
    why = "That it is there, and when it goes."
    for kind in (*presence_kinds(), _ADDED):
        yield Rule("write", f"{prefix}/{kind}/{_NONE}/{_NONE}/{device.name}/#", why)
        why = ""
    if device.tenant:
        own = f"{prefix}/custom_message/{_NONE}/{_NONE}/{device.name}/+/+/+/+/{device.name}/+/+/+"
        yield Rule("write", own, "Whether another process runs under its id, which it asks itself.")
    # What belongs to no tenant is for all.
    tenants = (device.tenant, _NONE) if device.tenant else ("+",)
    why = "What names it as the receiver: commands, and answers."
    for receiver in senders:
        for tenant in tenants:
            yield Rule("read", f"{prefix}/+/+/{tenant}/+/+/+/+/+/{receiver}/+/+/+", why)
            why = ""
    question = {"messageType": "customMessage", "eventName": QUESTION}
    yield Rule("read", subscription_filter(question, shared=False, prefix=prefix), "The question who is alive.")
    for name in listen:
        why = f"The event {name}, which it listens to."
        for kind in ("customMessage", "commandSuccessResponse"):
            for tenant in tenants:
                yield Rule("read", _event(prefix, kind, name, tenant), why)
                why = ""
    marker = marker_topic(prefix, device.name)
    yield Rule("readwrite", marker, "A retained marker, by which the outbox knows what the broker has saved.")
    yield Rule("readwrite", f"{doctor_topic(prefix, device.name)}/#", "Where `purista-fast doctor` measures.")


def _event(prefix: str, kind: str, name: str, tenant: str) -> str:
    wanted: dict[str, str] = {"messageType": kind, "eventName": name}
    if tenant != "+":
        wanted["tenantId"] = tenant
    return subscription_filter(wanted, shared=False, prefix=prefix)
