"""D4 to D6: the native transport beside the leanest clients there are, over a real mosquitto with TCP_NODELAY.

The peer in each is the better of a bare gmqtt and a bare aiomqtt 3 pair in the same run, which do no more than send the
recorded messages again: no validation, routing, outbox, deadline or trace. purista-fast runs with all of these.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from .harness import Goal, Result, Skipped, Wanted, compare
from .mqtt_broker import find
from .mqtt_pairs import IN_FLIGHT, Laboratory, Pair, rounds
from .peers import MISSING, PYTHON

__all__ = ("results",)

_CALLS = 400
_AT_ONCE = 90
_PEERS = ("gmqtt", "aiomqtt")


def results(wanted: Wanted) -> Iterator[Result | Skipped]:
    """D4, D5 and D6."""
    ids = {
        "D4": "native: CPU for 10,000 events, QoS 1",
        "D5": "native: commands, 90 in flight",
        "D6": "native: command round trip, p50",
    }
    ids = {id: what for id, what in ids.items() if wanted(id)}
    lacking = "mosquitto is missing: apt-get install mosquitto" if find() is None else MISSING
    if find() is None or not PYTHON.exists():
        yield from (Skipped(id, what, lacking) for id, what in ids.items())
        return
    for id, what in ids.items():
        with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
            yield from {"D4": _events, "D5": _rate, "D6": _latency}[id](Laboratory(Path(folder), stack), what)


def _events(lab: Laboratory, what: str) -> Iterator[Result]:
    pairs = _pairs(lab, "emitter", "consumer")
    for pair in pairs.values():
        pair.cpu_of_events(IN_FLIGHT * 5)
    figures = rounds({name: pair.cpu_of_events for name, pair in pairs.items()})
    peers = {name: figures[name] for name in _PEERS}
    yield compare("D4", what, figures["native"], peers, Goal(1.3, "at most"), unit="s")
    yield compare("D4", "with paho", figures["paho"], peers, None, unit="s")


def _rate(lab: Laboratory, what: str) -> Iterator[Result]:
    pairs = {**_pairs(lab, "caller", "server"), "FastStream": lab.faststream("caller", "server")}
    for pair in pairs.values():
        pair.rate(_AT_ONCE)
    figures = rounds({name: partial(pair.rate, _AT_ONCE) for name, pair in pairs.items()})
    peers = {name: figures[name] for name in _PEERS}
    yield compare("D5", what, figures["native"], peers, Goal(0.9, "rate"), unit="/s")
    faststream = {"FastStream": figures["FastStream"]}
    yield compare("D5", "the same", figures["native"], faststream, Goal(4.0, "rate"), unit="/s")
    yield compare("D5", "with paho", figures["paho"], peers, None, unit="/s")


def _latency(lab: Laboratory, what: str) -> Iterator[Result]:
    pairs = _pairs(lab, "caller", "server")
    for pair in pairs.values():
        pair.latency(50)
    figures = rounds({name: partial(pair.latency, _CALLS) for name, pair in pairs.items()})
    peers = {name: figures[name] for name in _PEERS}
    yield compare("D6", what, figures["native"], peers, Goal(1.1, "at most"), unit="ms")
    yield compare("D6", "with paho", figures["paho"], peers, None, unit="ms")


def _pairs(lab: Laboratory, first: str, second: str) -> dict[str, Pair]:
    return {
        "native": lab.ours(first, second, transport="native"),
        "paho": lab.ours(first, second, transport="paho"),
        **{name: lab.bare(name, first, second) for name in _PEERS},
    }
