"""The workers that serve subscriptions: long-lived tasks that take batches from bounded queues."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup

from .._core import Dispatcher, Serve, Tally
from ..errors import StatusCode, UnhandledError
from .base import Consumer

if TYPE_CHECKING:
    from .gathering import Count

__all__ = ("Workers",)


class Workers:
    """Serves consumers from the queues of a dispatcher.

    :param run: runs one item of a queue; must not raise an ``Exception``.
    :param fail: where ``Consumer.handler`` may run in its place: is told of the message and of what it raised.
    :param run_all: runs the items of a batch; must not raise an ``Exception``.
    """

    def __init__(
        self,
        run: Callable[[Consumer, Any], Coroutine[Any, Any, None]],
        fail: Callable[[Consumer, Any, BaseException], None] | None = None,
        run_all: Callable[[Consumer, list[Any]], Coroutine[Any, Any, None]] | None = None,
    ) -> None:
        self.dispatcher = Dispatcher()
        self._run = run
        self._run_all = run_all
        self._fail = fail
        self._crews: dict[int, _Crew] = {}
        self._tasks: TaskGroup | None = None

    def start(self, tasks: TaskGroup) -> None:
        """Lets workers run in this group from now on; each crew starts with its first item."""
        self._tasks = tasks
        for crew in self._crews.values():
            if self.dispatcher.depth(crew.id)[0]:
                crew.wake()

    def add(self, consumer: Consumer, capacity: int | None = None) -> int:
        """Adds a consumer with a queue of its own and returns the queue's number."""
        crew = _Crew(self, consumer)
        crew.id = self.dispatcher.subscribe(
            capacity or consumer.capacity, consumer.drop_oldest and capacity is None, crew.wake, crew.make_room
        )
        self._crews[crew.id] = crew
        return crew.id

    def remove(self, queue: int) -> None:
        """Takes a consumer away; what waits in its queue is dropped."""
        crew = self._crews.pop(queue)
        self.dispatcher.unsubscribe(queue)
        crew.dismiss()

    async def wait_for_room(self, queue: int, again: Callable[[], int], timeout: float | None) -> None:
        """Waits until ``again``, which offers an item, finds room.

        :param again: offers the item, and returns the number of a full queue, or -1.
        :param timeout: in seconds.
        :raises UnhandledError: 503 with the name of the full queue, once ``timeout`` is over.
        """
        with anyio.move_on_after(timeout):
            while queue >= 0:
                crew = self._crews[queue]
                await crew.wait_for_room()
                queue = again()
                if queue >= 0 and queue != crew.id:
                    crew.make_room()  # this one waits elsewhere now: its room goes to the next
            return
        name = self._crews[queue].name
        raise UnhandledError(StatusCode.SERVICE_UNAVAILABLE, f"no room in the queue of {name} for {timeout} s")

    def hurry(self) -> None:
        """Has what comes handled at once, without waiting for more: the end is near."""
        for crew in self._crews.values():
            crew.hurry()

    async def drain(self, timeout: float) -> int:
        """Waits until every queue is empty and every worker idle; returns how many items were left.

        :param timeout: in seconds.
        """
        self.hurry()
        with anyio.move_on_after(timeout):
            while busy := [crew for crew in self._crews.values() if crew.unfinished]:
                await busy[0].wait_until_idle()
        return sum(crew.unfinished for crew in self._crews.values())

    def statistics(self) -> dict[str, dict[str, int]]:
        """For each subscription: how many messages wait, are being handled, were handled, were dropped."""
        return {crew.name: crew.statistics() for crew in self._crews.values()}

    def start_worker(self, crew: _Crew) -> bool:
        """Starts one more worker of a crew, if workers run yet."""
        if self._tasks is None:
            return False
        self._tasks.start_soon(self._work, crew, name=f"worker of {crew.name}")
        return True

    async def _work(self, crew: _Crew) -> None:
        consumer = crew.consumer
        if consumer.gathering is not None:
            from .gathering import serve  # most applications have none

            assert self._run_all is not None
            await serve(crew, consumer.gathering, partial(self._run_all, consumer))
            return
        assert isinstance(crew.tally, Tally)
        run = partial(self._run, consumer)
        fail = partial(self._fail, consumer) if self._fail else None
        handler = consumer.handler if fail else None
        share = crew.share if consumer.concurrency > 1 else None
        # The queue of one that was dismissed may have been given to another.
        while not crew.dismissed:
            if await Serve(self.dispatcher, crew.id, crew.tally, run, fail=fail, handler=handler, share=share):
                # Handlers that never wait must not keep the loop to themselves.
                await anyio.lowlevel.checkpoint()
            elif not await crew.park():
                return


class _Crew:
    """The workers of one consumer."""

    __slots__ = (
        "coming",
        "consumer",
        "dismissed",
        "hurries",
        "id",
        "idle",
        "name",
        "parked",
        "rooms",
        "size",
        "tally",
        "workers",
    )

    def __init__(self, workers: Workers, consumer: Consumer) -> None:
        address = consumer.address
        self.workers = workers
        self.consumer = consumer
        self.name = f"{address.service_name}/{address.service_version}/{address.service_target}"
        self.id = -1
        self.size = 0
        self.tally: Tally | Count = Tally()
        if consumer.gathering is not None:
            from .gathering import Count

            self.tally = Count()
        self.dismissed = False
        self.hurries = False
        """Whether a batch waits for nothing more."""
        self.parked: deque[anyio.Event] = deque()
        self.rooms: deque[anyio.Event] = deque()
        self.coming = 0
        """Emitters that were woken for a room each, and are still to take it."""
        self.idle: anyio.Event | None = None

    @property
    def unfinished(self) -> int:
        return self.tally.taken + self.workers.dispatcher.depth(self.id)[0]

    def wake(self) -> None:
        """There is something to take."""
        if self.parked:
            self.parked.popleft().set()
        elif self.size < self.consumer.concurrency and self.workers.start_worker(self):
            self.size += 1

    def share(self) -> None:
        """Lets the next item, and what waits already, go to the others."""
        if self.parked or self.size < self.consumer.concurrency:
            if self.workers.dispatcher.depth(self.id)[0]:
                self.wake()
            else:
                self.workers.dispatcher.hungry(self.id)

    async def park(self) -> bool:
        """Waits for something to take; False if there will be nothing any more."""
        if self.dismissed:
            return False
        if self.idle is not None and not self.unfinished:
            self.idle.set()
            self.idle = None
        event = anyio.Event()
        self.parked.append(event)
        await event.wait()
        return not self.dismissed

    def take(self, most: int) -> list[Any]:
        """What waits, at most so much."""
        return self.workers.dispatcher.take(self.id, most)

    async def more(self) -> None:
        """Waits until something comes, while items are in hand."""
        self.workers.dispatcher.hungry(self.id)
        event = anyio.Event()
        self.parked.append(event)
        try:
            await event.wait()
        finally:
            if not event.is_set():
                self.parked.remove(event)

    def hurry(self) -> None:
        """Has a batch wait for nothing more."""
        self.hurries = True
        while self.consumer.gathering is not None and self.parked:
            self.parked.popleft().set()

    def dismiss(self) -> None:
        """Sends the workers home, and whoever waits for room or for the end on its way."""
        self.dismissed = True
        self.tally.stop()
        for waiting in (self.parked, self.rooms):
            while waiting:
                waiting.popleft().set()
        if self.idle is not None:
            self.idle.set()
            self.idle = None

    def make_room(self) -> None:
        """Wakes as many emitters as there is room for."""
        room = self.workers.dispatcher.depth(self.id)[1]
        while self.rooms and room > self.coming:
            self.rooms.popleft().set()
            self.coming += 1
        if self.rooms:
            self.workers.dispatcher.blocked(self.id)

    async def wait_for_room(self) -> None:
        event = anyio.Event()
        self.rooms.append(event)
        try:
            await event.wait()
        except BaseException:
            if event.is_set():
                self.coming -= 1
                self.make_room()  # the room meant for this one goes to the next
            else:
                self.rooms.remove(event)
            raise
        self.coming -= 1

    async def wait_until_idle(self) -> None:
        if self.idle is None:
            self.idle = anyio.Event()
        await self.idle.wait()

    def statistics(self) -> dict[str, int]:
        waiting, _, dropped = self.workers.dispatcher.depth(self.id)
        return {"waiting": waiting, "running": self.tally.taken, "handled": self.tally.handled, "dropped": dropped}
