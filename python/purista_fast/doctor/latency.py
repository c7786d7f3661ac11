"""Whether the broker sends small packets at once: measured, as no broker tells."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Iterator

from ..bridges.mqtt.broker import Broker
from .finding import Finding, ok, warn
from .patient import Connection

__all__ = ("check_latency",)

_ROUNDS = 9
_STEP = 0.02
"""What late acknowledgements cost at least where Nagle's algorithm waits for them; Linux delays them by 40 ms."""


def check_latency(broker: Broker, topic: str, timeout: float) -> Iterator[Finding]:
    """Has a message come back to its sender: the broker writes it, and the acknowledgement of its publish, as two small
    packets. Without TCP_NODELAY the second one waits until this side's TCP acknowledges the first.

    :param topic: where nobody else listens.
    :param timeout: in seconds.
    """
    if sys.platform != "linux":
        yield ok("TCP_NODELAY", "not measured: only Linux lets a program choose when TCP acknowledges")
        return
    late, quick = (_round_trip(broker, topic, timeout, quick=quick) for quick in (False, True))
    figures = f"{quick * 1000:.1f} ms with early acknowledgements of TCP, {late * 1000:.1f} ms with late ones"
    if late - quick > _STEP:
        yield warn(
            "TCP_NODELAY",
            f"the broker holds small packets back: a round trip takes {figures}",
            "set_tcp_nodelay true",
            f"each answer to a client that does not acknowledge early is {(late - quick) * 1000:.0f} ms late",
        )
    else:
        yield ok("TCP_NODELAY", f"the broker sends small packets at once: a round trip takes {figures}")


def _round_trip(broker: Broker, topic: str, timeout: float, *, quick: bool) -> float:
    """The median, in seconds."""
    seconds = []
    with Connection(broker, timeout=timeout, quick=quick) as connection:
        # QoS 0 on the way back: an acknowledgement of ours would carry that of TCP with it.
        connection.subscribe(topic, qos=0)
        for _ in range(_ROUNDS):
            began = time.monotonic()
            connection.publish(topic)
            connection.message(timeout)
            seconds.append(time.monotonic() - began)
    return statistics.median(seconds)
