"""The examination: what is looked at, in which order."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

import msgspec

from ..bridges.mqtt.broker import Broker
from ..bridges.mqtt.expiry import whole_seconds
from ..config import Settings
from ..errors import BridgeError, ConfigError
from ..mosquitto import acl, reader
from ..mosquitto.rights import doctor_topic
from ..service import Service
from .access import check_application, check_rules
from .files import check_configuration
from .finding import Finding, broken, warn
from .latency import check_latency
from .limits import check_limits
from .links import check_links
from .local import check_clock, check_state_directory
from .patient import Broken, Connection, probe_id
from .reach import Unreachable, check_certificates, check_entry
from .sessions import DEEP, SHALLOW, check_overlap, check_queue, check_session
from .version import check_version

__all__ = ("Examination", "no_broker")

_WAIT = 1.0


class Examination(msgspec.Struct, frozen=True, kw_only=True):
    """Who is to be examined, and how thoroughly."""

    settings: Settings
    services: Sequence[Service] = ()
    """Of the application, if there is one."""
    name: str = ""
    """The application's name."""
    configuration: Path | None = None
    """The ``mosquitto.conf`` that the broker runs with."""
    deep: bool = False
    """Whether much is queued, and events are sent that running instances receive and ignore."""

    @property
    def has_broker(self) -> bool:
        """Whether the settings name a broker."""
        return self.settings.bridge.url.startswith(("mqtt:", "mqtts:"))

    def run(self) -> Iterator[Finding]:
        """Examines. Each finding comes as soon as it is known.

        :raises ConfigError: for settings or a configuration that cannot be read.
        """
        has_rules = False
        if self.configuration is not None:
            found = reader.read(self.configuration)
            yield from check_configuration(found, self.settings.bridge, self.settings.outbox.hold)
            yield from check_links(found)
            rules = list(self._rules(found))
            has_rules = any(finding.subject != "doctor" for finding in rules)
            yield from rules
        if self.has_broker:
            settings = self.settings
            room = settings.outbox.max_bytes + settings.retries.max_bytes + settings.dead_letters.max_bytes
            yield from check_state_directory(settings.storage.directory(), room)
            yield check_clock(settings.outbox.trust_clock)
            yield from self._broker(has_rules=has_rules)

    def instance(self) -> str | None:
        """The id under which the application runs here, if there is one already."""
        given = self.settings.bridge.instance_id
        if given is not None or not self.name:
            return given
        file = self.settings.storage.directory() / quote(self.name, safe=" ") / "instance_id"
        try:
            return file.read_text("utf-8").strip() or None
        except FileNotFoundError:
            return None
        except OSError as error:
            raise BridgeError(f"{file} cannot be read: {error.strerror}") from None

    def _rules(self, found: reader.Configuration) -> Iterator[Finding]:
        options = [found.options.get("acl_file"), *(listener.options.get("acl_file") for listener in found.listeners)]
        option = next((option for option in options if option is not None), None)
        if option is None or not self.services or not os.path.isfile(option.value):
            return
        user = self.settings.bridge.username or self.instance() or ""
        instance = self.instance() or user
        if not user:
            yield warn(
                "doctor",
                "the access rules are not judged: neither bridge.instance_id nor bridge.username is known",
                "bridge.instance_id = the id that the access rules are for",
            )
            return
        try:
            rules = acl.read(Path(option.value))
        except ConfigError as error:
            yield warn("doctor", str(error), "the doctor as the account of the broker, or as root")
            return
        yield from check_rules(rules, self.services, self.settings.bridge.prefix, instance, user)

    def _broker(self, *, has_rules: bool) -> Iterator[Finding]:
        bridge = self.settings.bridge
        broker = Broker.of(bridge)
        yield from check_certificates(bridge)
        try:
            yield from check_entry(broker, bridge.connect_timeout)
        except Unreachable as error:
            yield error.finding
            return
        try:
            yield from self._inside(broker, has_rules=has_rules)
        except (Broken, OSError) as error:
            yield broken("connection", f"the examination broke off: {error}", "see the log of the broker")

    def _inside(self, broker: Broker, *, has_rules: bool) -> Iterator[Finding]:
        bridge, timeout = self.settings.bridge, self.settings.bridge.connect_timeout
        instance = self.instance()
        expiry = whole_seconds(bridge.session_expiry)
        # It asks for what the bridge asks for, and leaves at once: killed meanwhile, it would leave a long session.
        with Connection(broker, timeout=timeout, session_expiry=expiry, keep_alive=bridge.keep_alive) as connection:
            connack = connection.connack
        yield from check_limits(connack, bridge)
        if connack.property("MaximumQoS", 2) == 0:
            return
        with Connection(broker, timeout=timeout) as connection:
            yield from check_version(connection)
        names = [name for name in (instance, broker.username) if name] or ["anonymous"]
        room = self._room(broker, names)
        if room is None:
            yield warn(
                "doctor",
                "latency, sessions and queues were not measured: the access rules leave no topic for it",
                f"pattern readwrite {doctor_topic(bridge.prefix, '%u')}/#",
                "what the broker keeps for an absent session is not known",
            )
        else:
            yield from check_latency(broker, f"{room}/latency", timeout)
            yield from check_session(broker, f"{room}/session", timeout)
            yield from check_queue(broker, f"{room}/queue", DEEP if self.deep else SHALLOW, timeout)
            yield from check_overlap(broker, f"{room}/overlap", timeout)
        if self.services:
            who = instance or broker.username or "doctor"
            yield from check_application(
                broker, self.services, bridge.prefix, who, timeout, deep=self.deep, has_rules=has_rules
            )

    def _room(self, broker: Broker, names: Sequence[str]) -> str | None:
        """A topic of our own, below which we may publish and receive."""
        for name in names:
            room = f"{doctor_topic(self.settings.bridge.prefix, name)}/{probe_id()}"
            with Connection(broker, timeout=self.settings.bridge.connect_timeout) as connection:
                if connection.subscribe(f"{room}/try") >= 0x80:
                    continue
                if connection.publish(f"{room}/try") < 0x80 and connection.message(_WAIT):
                    return room
        return None


def no_broker(findings: Sequence[Finding]) -> bool:
    """Whether there was nobody to examine."""
    return any(f.level == "broken" and f.subject in ("reachable", "TLS") for f in findings)
