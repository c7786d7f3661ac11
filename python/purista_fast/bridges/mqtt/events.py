"""Subscriptions: from the events session to the consumers, and back with the acknowledgements, in order of arrival."""

from __future__ import annotations

import logging
import time
from collections import deque

import anyio

from ..._core import Message, Publish
from ...storage.dead_letters import DeadLetter
from .graveyard import Graveyard, letter_of
from .intake import Intake, topic_of
from .lanes import Delivery
from .link import Link
from .spool import Spool
from .state import State, Subscribed
from .subscriptions import Interest, Table

__all__ = ("Events",)

logger = logging.getLogger("purista_fast.bridge.mqtt")


class Events:
    """The durable side of the bridge.

    :param state: where the subscriptions of the session are kept.
    :param graveyard: where messages go that nobody subscribes any more.
    :param receive_maximum: how many messages may be unacknowledged; of twice as many no more is read.
    :param ack_within: how long a message may wait for its handlers before it moves to disk, in seconds.
    """

    def __init__(
        self, intake: Intake, state: State, graveyard: Graveyard, receive_maximum: int, ack_within: float
    ) -> None:
        self.table = Table()
        self.unknown = 0
        """How many messages came for a subscription that nobody knows."""
        self.repeated = 0
        """How many messages came again while they were under way here."""
        self.is_draining = False
        """Whether what comes is left to the broker."""
        self.spool: Spool
        """What hands messages to the subscriptions; set before the start."""
        self.is_retiring = False
        """Whether nothing is to be subscribed any more: only what waits in the session is handled."""
        self._intake = intake
        self._state = state
        self._graveyard = graveyard
        self._receive_maximum = receive_maximum
        self._ack_within = ack_within
        self._stored: Subscribed | None = None
        self._arrived: deque[Delivery] = deque()
        """Of the connection that there is now, in order of arrival."""
        self._under_way: dict[tuple[str, str], Delivery] = {}
        self._link: Link | None = None
        self._stirred = anyio.Event()
        self._unburied: dict[Delivery, DeadLetter] = {}
        """What is no dead letter yet because the disk did not take it."""

    def load(self) -> bool:
        """Reads what was subscribed before; whether there was anything.

        :raises BridgeError: if it cannot be read.
        """
        self._stored = self._state.load()
        return self._stored is not None

    def forget(self) -> None:
        """The session has ended: the next start needs none unless there are subscriptions again."""
        self._state.forget()

    async def up(self, link: Link) -> None:
        """Subscribes what the session lacks, and takes away what the code no longer has."""
        self._switch(link)
        wanted, stored = {} if self.is_retiring else self.table.filters, self._stored
        if not link.session_present:
            # What was under way is gone with the session: nobody will ask for its acknowledgement.
            self._under_way = {key: delivery for key, delivery in self._under_way.items() if delivery.open}
            if stored is not None and stored.confirmed:
                logger.warning("the broker has lost the events session, and with it the events that waited there")
            stored = Subscribed()
        elif stored is None:
            logger.warning(
                "the broker has a session that the state directory knows nothing of: all is subscribed again"
            )
            stored = Subscribed()
        # On retirement also what the state directory may know nothing of.
        old = {**stored.confirmed, **stored.attempted, **(self.table.filters if self.is_retiring else {})}
        gone = [text for text in old if text not in wanted]
        is_changed = stored.confirmed != wanted or bool(stored.attempted)
        if is_changed:
            # Written first: after a crash the next start knows what the broker may have.
            self._state.save(stored.confirmed, {**stored.attempted, **wanted})
        await link.unsubscribe(gone)
        # All of them, also those of a session that the broker still has: mosquitto 2.0 restores a session from its
        # database without the shared subscriptions. One that it has is replaced, and loses nothing (MQTT 5, 3.8.4).
        await link.subscribe(wanted.items())
        if is_changed:
            self._stored = Subscribed(dict(wanted), {})
            self._state.save(wanted, {})

    def arrived(self, link: Link, arrived: Publish) -> None:
        """A message has come on the events session."""
        if self.is_draining:
            return  # not acknowledged, so the broker keeps it
        # What waited for this session comes before :meth:`up` has run.
        self._switch(link)
        message = self._intake.read(arrived)
        key = None if message is None or message.id is None else (message.id, topic_of(arrived))
        if self._is_under_way(link, arrived, key):
            return
        delivery = Delivery(link, arrived.mid, key, time.monotonic())
        if arrived.qos:
            self._arrived.append(delivery)
            if len(self._arrived) == 1:
                self._stirred.set()
            if len(self._arrived) > 2 * self._receive_maximum:
                link.pause()
        if message is not None:
            self._deliver(delivery, message, arrived)
        if not delivery.open:
            self._acknowledge()

    def finished(self, delivery: Delivery) -> None:
        """A consumer has finished with a message; after the last one it is acknowledged, when its turn comes."""
        delivery.open -= 1
        if not delivery.open:
            self._acknowledge()

    async def keep_pace(self) -> None:
        """Sees that no message holds up the acknowledgement of others for longer than ``ack_within``; runs as long as
        the bridge."""
        while True:
            await self._stirred.wait()
            self._stirred = anyio.Event()
            while self._arrived:
                first = self._arrived[0]
                late = time.monotonic() - first.at - self._ack_within
                if first in self._unburied:
                    self._bury(first)
                elif late >= 0:
                    self.spool.move(first)
                # What is moved is acknowledged once it is on disk.
                await anyio.sleep(self._ack_within / 4 if late >= 0 else min(-late, self._ack_within) + 0.001)

    def statistics(self) -> dict[str, int]:
        """Counters and depths."""
        return {
            "unacknowledged": len(self._arrived),
            "unknown_subscription": self.unknown,
            "repeated_events": self.repeated,
        }

    def _switch(self, link: Link) -> None:
        """From now on acknowledgements go to this connection."""
        if link is self._link:
            return
        # The broker sends what it has no acknowledgement of once more: of the last connection. What is older is gone.
        self._under_way = {key: d for key, d in self._under_way.items() if d.open or d.link is self._link}
        self._arrived.clear()
        self._link = link

    def _is_under_way(self, link: Link, arrived: Publish, key: tuple[str, str] | None) -> bool:
        """Whether the message came on an earlier connection and is, or was, handled here; then it is not run again,
        but acknowledged on this connection once it is done."""
        found = self._under_way.get(key) if key is not None and arrived.dup else None
        if found is None or found.link is link:
            return False
        self.repeated += 1
        found.link, found.mid = link, arrived.mid
        self._arrived.append(found)
        self._stirred.set()
        self._acknowledge()
        return True

    def _deliver(self, delivery: Delivery, message: Message, arrived: Publish) -> None:
        interests: dict[int, Interest] = {}
        known = False
        for number in arrived.identifiers:
            found = self.table.find(number)
            known = known or found is not None
            interests.update({interest.queue: interest for interest in found or () if interest.wants(message)})
        if not known:
            self._bury_unknown(delivery, message, arrived)
            return
        if not interests:
            return
        delivery.open = len(interests)
        if delivery.key is not None and arrived.qos:
            self._under_way[delivery.key] = delivery
        for interest in interests.values():
            # Of QoS 0 nothing is acknowledged, and nothing comes again.
            whole = delivery if arrived.qos else None
            if not self.spool.arrive(interest, message, whole, again=arrived.dup):
                self._intake.reject("no room", topic_of(arrived), "the queue is full, and QoS 0 waits for nobody")

    def _bury_unknown(self, delivery: Delivery, message: Message, arrived: Publish) -> None:
        """Makes a dead letter of a message that waited for a subscription which the code has no more."""
        self.unknown += 1
        error = f"nobody here subscribes {list(arrived.identifiers)} any more"
        delivery.open = 1
        self._unburied[delivery] = letter_of("unknown", topic_of(arrived), message, 0, error)
        self._bury(delivery)

    def _bury(self, delivery: Delivery) -> None:
        letter = self._unburied.pop(delivery)

        def done(failure: Exception | None) -> None:
            if failure is None:
                self.finished(delivery)
            else:  # the broker keeps it until it is
                logger.error("a message on %s is no dead letter yet: %s", letter.target, failure)
                self._unburied[delivery] = letter

        self._graveyard.bury(letter, lambda _db: None, done)

    def _acknowledge(self) -> None:
        """Acknowledges what is done, in order of arrival (MQTT 5, 4.6)."""
        arrived = self._arrived
        while arrived and not arrived[0].open:
            delivery = arrived.popleft()
            delivery.link.acknowledge(delivery.mid)
            if delivery.key is not None and delivery.link.is_up:
                self._under_way.pop(delivery.key, None)
        if self._link is not None and len(arrived) <= self._receive_maximum:
            self._link.resume()
