"""What a ``mosquitto.conf`` says of bridges: connections of the broker to other brokers."""

from __future__ import annotations

from collections.abc import Iterator

from ..mosquitto.reader import Configuration, Option
from .finding import Finding, broken, ok

__all__ = ("check_links",)


def check_links(found: Configuration) -> Iterator[Finding]:
    """Looks at each ``connection``: whether its session at the other broker outlives the link."""
    connections: list[dict[str, Option]] = []
    inbound: set[int] = set()
    for option in found.lines:
        if option.name == "connection":
            connections.append({})
        if connections:
            connections[-1].setdefault(option.name, option)
            if option.name == "topic" and option.value.split()[1:2] in (["in"], ["both"]):
                inbound.add(len(connections) - 1)
    # Where nothing comes in, nothing waits at the other broker.
    connections = [connections[number] for number in sorted(inbound)]
    forgetful = 0
    for options in connections:
        name = options["connection"].value
        version, clean = options.get("bridge_protocol_version"), options.get("cleansession")
        if clean is not None and clean.is_true:
            forgetful += 1
            yield _forgetful(clean, name, "cleansession true", "cleansession false")
        elif version is not None and version.value == "mqttv50" and "bridge_session_expiry_interval" not in options:
            forgetful += 1
            change = "bridge_protocol_version mqttv311, or bridge_session_expiry_interval, which mosquitto 2.1 has"
            yield _forgetful(version, name, "bridge_protocol_version mqttv50", change)
    if connections and not forgetful:
        yield ok("bridge", "what waits at other brokers for this one outlives the link")


def _forgetful(option: Option, name: str, why: str, change: str) -> Finding:
    return broken(
        "bridge",
        f"{option.place}: with {why} the session of bridge {name!r} at the other broker ends with its connection",
        change,
        "what is published there while the link is down never comes here",
    )
