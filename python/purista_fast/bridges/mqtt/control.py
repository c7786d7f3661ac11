"""The control session's side of subscriptions: own answers, commands, and taps; all acknowledged on receipt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable

from ..._core import Message, Publish, response_filter
from ..workers import Workers
from .calls import Calls
from .intake import Intake, topic_of
from .link import Link, LinkLost, Refused
from .outbox import Outbox
from .publisher import Publisher
from .rivals import Rivals
from .serving import Serving
from .subscriptions import Interest, Table

__all__ = ("Control",)

_ANSWERS = ("commandSuccessResponse", "commandErrorResponse")


class Control:
    """Subscribes on each connection anew, and hands on what arrives."""

    def __init__(
        self,
        instance_id: str,
        prefix: str,
        *,
        publisher: Publisher,
        intake: Intake,
        calls: Calls,
        serving: Serving,
        workers: Workers,
        outbox: Outbox | None,
        rivals: Rivals,
        before_publishing: Callable[[], Awaitable[None]],
        echoes: dict[str, None],
        send_aside: Callable[[Message], None],
        is_away: bool = False,
    ) -> None:
        self.ignored: Counter[str] = Counter()
        """How many messages for this instance were neither commands nor answers, by type."""
        self._instance_id = instance_id
        self._publisher = publisher
        self._intake = intake
        self._calls = calls
        self._serving = serving
        self._workers = workers
        self._outbox = outbox
        self._rivals = rivals
        self._before_publishing = before_publishing
        self._echoes = echoes
        self._send_aside = send_aside
        self._is_away = is_away
        """Whether what this instance publishes need not come back to it: it invokes nothing here."""
        self._taps = Table()
        self._own = Table()
        self._responses = response_filter(instance_id, prefix=prefix)
        self._own.reserve(self._responses)
        self._link: Link | None = None

    async def up(self, link: Link) -> None:
        """Subscribes all there is; then what waits to be published goes out."""
        self._link = link
        # While the application drains, the commands are left out.
        own = [self._responses, *self._serving.filters()]
        numbers = {text: self._own.filters.get(text) or self._own.reserve(text) for text in own}
        if self._is_away:
            await link.subscribe(numbers.items(), but_own=True)
            await link.subscribe(self._taps.filters.items())
        else:
            await link.subscribe({**numbers, **self._taps.filters}.items())
        await self._before_publishing()
        if self._outbox is not None:
            await self._outbox.reconnected(link)
        self._publisher.up(link)
        if self._outbox is not None:
            self._outbox.backlog.wake()

    async def drain(self) -> None:
        """Takes no more commands from the broker."""
        filters = self._serving.all_filters()
        if filters and self._link is not None and self._link.is_up:
            try:
                await self._link.unsubscribe(filters)
            except (LinkLost, Refused):
                return  # then nothing comes anyway, or what comes is answered with 503

    async def tap(self, interest: Interest) -> None:
        """Adds a consumer; while there is no connection it is subscribed with the next."""
        new = self._taps.add(interest)
        link = self._link
        if link is None or not link.is_up:
            return
        try:
            await link.subscribe([(text, self._taps.filters[text]) for text in new if text not in self._own.filters])
        except LinkLost:
            return
        except BaseException:
            await self.untap(interest)
            raise

    async def untap(self, interest: Interest) -> None:
        """Takes a consumer away."""
        unwanted = [text for text in self._taps.remove(interest) if text not in self._own.filters]
        link = self._link
        if unwanted and link is not None and link.is_up:
            try:
                await link.unsubscribe(unwanted)
            except (LinkLost, Refused):
                return

    def arrived(self, link: Link, arrived: Publish) -> None:
        """A message has come on the control session."""
        if arrived.qos:
            link.acknowledge(arrived.mid)
        if arrived.retain and self._outbox is not None and arrived.topic == self._outbox.marker.topic:
            self._outbox.marker.arrived(arrived.payload)
            return
        message = self._intake.read(arrived)
        if message is None:
            return
        numbers = set(arrived.identifiers)
        own = self._own
        if any(own.find(number) is not None for number in numbers):
            self._own_message(message, arrived)
        for number in numbers:
            for interest in self._taps.find(number) or ():
                if interest.wants(message):
                    self._workers.dispatcher.deliver([interest.queue], message)

    def _own_message(self, message: Message, arrived: Publish) -> None:
        """A command, or something for this instance."""
        kind, receiver = message.message_type, message.receiver
        if kind == "command":
            self._serving.arrived(message, arrived)
        elif receiver is None or receiver.instance_id != self._instance_id:
            # Another instance id may look the same as a topic level.
            self._intake.reject("for another instance", topic_of(arrived), repr(message))
        elif kind in _ANSWERS:
            if self._echoes.pop(message.correlation_id or "", self) is self:
                self._calls.answer(message)
        elif (answer := self._rivals.answer(message)) is not None:
            self._send_aside(answer)
        else:
            self.ignored[kind] += 1
