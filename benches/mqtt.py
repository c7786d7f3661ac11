"""D: events and commands over a real mosquitto, each end in a process of its own.

Every pair has a broker of its own, with the same configuration. purista-fast runs with its defaults and all that it
promises: payloads validated at both ends, events acknowledged after their handler, an outbox, deadlines, traces.

- *paho* is a bare pair that sends the very PUBLISH packets that purista-fast was recorded to send, without validation,
  routing, outbox or deadline, and acknowledges on receipt.
- *FastStream* validates at both ends and acknowledges after the handler; it has no outbox. Its packets are its own.

D1 counts the CPU seconds (user and system) of both processes, without the broker: 100 events in flight, QoS 1.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from .harness import Goal, Result, Skipped, Wanted, compare
from .mqtt_broker import find
from .mqtt_pairs import IN_FLIGHT, Laboratory, rounds
from .peers import MISSING, PYTHON

__all__ = ("results",)

_CALLS = 400
_SLOW_CALLS = 12
"""For the peer in D2b: each takes 44 ms."""


def results(wanted: Wanted) -> Iterator[Result | Skipped]:
    """D1, D2, D2b and D3."""
    ids = {
        "D1": "events at QoS 1, both processes",
        "D2": "command round trip, one at a time",
        "D2b": "the same, mosquitto as it comes",
        "D3": "commands, 100 in flight",
    }
    ids = {id: what for id, what in ids.items() if wanted(id.upper())}
    if not ids:
        return
    if find() is None:
        yield from (Skipped(id, what, "mosquitto is missing: apt-get install mosquitto") for id, what in ids.items())
        return
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        lab = Laboratory(Path(folder), stack)
        if "D1" in ids or "D3" in ids:
            yield from (found for found in _events(lab) if found.id in ids)
        if "D2" in ids:
            yield from _latency(lab)
        if "D2b" in ids:
            yield from _latency_as_it_comes(lab)
        if "D3" in ids:
            yield from _rate(lab)


def _events(lab: Laboratory) -> Iterator[Result | Skipped]:
    pairs = {
        "ours": lab.ours("emitter", "consumer"),
        "trio": lab.ours("emitter", "consumer", backend="trio"),
        "paho": lab.paho("emitter", "consumer"),
    }
    if PYTHON.exists():
        pairs["FastStream"] = lab.faststream("emitter", "consumer")
    for pair in pairs.values():
        pair.cpu_of_events(IN_FLIGHT * 5)
    figures = rounds({name: pair.cpu_of_events for name, pair in pairs.items()})
    ours, paho = figures["ours"], {"bare paho": figures["paho"]}
    yield compare("D1", "CPU for 10,000 events, QoS 1", ours, paho, Goal(1.3, "at most"), unit="s")
    yield compare("D1", "the same on trio", figures["trio"], paho, None, unit="s")
    if "FastStream" in pairs:
        peer = {"FastStream": figures["FastStream"]}
        yield compare("D3", "CPU for 10,000 events, QoS 1", ours, peer, Goal(0.5, "at most"), unit="s")


def _latency(lab: Laboratory) -> Iterator[Result]:
    pairs = {
        "ours": lab.ours("caller", "server"),
        "trio": lab.ours("caller", "server", backend="trio"),
        "paho": lab.paho("caller", "server"),
    }
    for pair in pairs.values():
        pair.latency(50)
    figures = rounds({name: partial(pair.latency, _CALLS) for name, pair in pairs.items()})
    peer = {"bare paho": figures["paho"]}
    yield compare("D2", "command round trip, p50", figures["ours"], peer, Goal(1.25, "at most"), unit="ms")
    yield compare("D2", "the same on trio", figures["trio"], peer, None, unit="ms")


def _latency_as_it_comes(lab: Laboratory) -> Iterator[Result]:
    ours, paho = lab.ours("caller", "server", nodelay=False), lab.paho("caller", "server", nodelay=False)
    ours.latency(50)
    figures = rounds({"ours": lambda: ours.latency(_CALLS), "paho": lambda: paho.latency(_SLOW_CALLS)})
    rates = {name: [1e3 / milliseconds for milliseconds in found] for name, found in figures.items()}
    peer = {"bare paho": rates["paho"]}
    yield compare("D2b", "round trips, mosquitto as it comes", rates["ours"], peer, Goal(50.0, "rate"), unit="/s")


def _rate(lab: Laboratory) -> Iterator[Result | Skipped]:
    what = "commands, 100 in flight"
    if not PYTHON.exists():
        yield Skipped("D3", what, MISSING)
        return
    pairs = {"ours": lab.ours("caller", "server"), "FastStream": lab.faststream("caller", "server")}
    for pair in pairs.values():
        pair.rate()
    figures = rounds({name: pair.rate for name, pair in pairs.items()})
    peer = {"FastStream": figures["FastStream"]}
    yield compare("D3", what, figures["ours"], peer, Goal(2.0, "rate"), unit="/s")
