"""The native classes behind the dispatch: Dispatcher, Pending, Invocation."""

import asyncio
import gc
import types
import weakref
from typing import Any

import pytest

from purista_fast._core import Address, Dispatcher, Invocation, Message, Pending

SENDER = Address("Thermo", "1", "store", "instance")


def event(name: str = "stored") -> Message:
    return Message("customMessage", sender=SENDER, event_name=name, payload=b"1")


class Queue:
    """A queue of a dispatcher that remembers how often it was woken."""

    def __init__(
        self, dispatcher: Dispatcher, capacity: int = 10, drop_oldest: bool = False, **subscription: Any
    ) -> None:
        self.woken = self.room = 0
        self.number = dispatcher.subscribe(capacity, drop_oldest, self.wake, self.make_room)
        dispatcher.listen(self.number, subscription or {"eventName": "stored"})

    def wake(self) -> None:
        self.woken += 1

    def make_room(self) -> None:
        self.room += 1


class TestDispatcher:
    def test_all_or_none(self) -> None:
        dispatcher = Dispatcher()
        small, large = Queue(dispatcher, 1), Queue(dispatcher)
        first, second = event(), event()
        assert dispatcher.offer(first) == -1
        assert dispatcher.offer(second) == small.number
        assert dispatcher.take(large.number, 10) == [first]
        assert dispatcher.take(small.number, 10) == [first]
        assert (small.woken, small.room, large.room) == (1, 1, 0)
        assert dispatcher.offer(second) == -1
        assert dispatcher.take(large.number, 10) == [second]

    def test_wakes_once_until_found_empty(self) -> None:
        dispatcher = Dispatcher()
        queue = Queue(dispatcher)
        dispatcher.offer(event())
        dispatcher.offer(event())
        assert queue.woken == 1
        assert len(dispatcher.take(queue.number, 10)) == 2
        dispatcher.offer(event())
        assert queue.woken == 1, "the worker has not yet looked again"
        dispatcher.hungry(queue.number)
        dispatcher.offer(event())
        assert queue.woken == 2

    def test_drops_the_oldest(self) -> None:
        dispatcher = Dispatcher()
        queue = Queue(dispatcher, 2, drop_oldest=True)
        messages = [event() for _ in range(5)]
        assert [dispatcher.offer(message) for message in messages] == [-1] * 5
        assert dispatcher.depth(queue.number) == (2, 0, 3)
        assert dispatcher.take(queue.number, 10) == messages[3:]

    def test_an_unsubscribed_queue_gets_nothing(self) -> None:
        dispatcher = Dispatcher()
        queue = Queue(dispatcher)
        dispatcher.offer(event())
        assert dispatcher.unsubscribe(queue.number) == 1
        assert dispatcher.unsubscribe(queue.number) == 0
        assert dispatcher.offer(event()) == -1
        assert dispatcher.take(queue.number, 10) == []
        assert queue.woken == 1

    def test_an_error_of_wake_reaches_whoever_offers_and_leaves_the_queues_whole(self) -> None:
        dispatcher = Dispatcher()

        def broken() -> None:
            raise ZeroDivisionError

        number = dispatcher.subscribe(10, False, broken, lambda: None)
        dispatcher.listen(number, {})
        with pytest.raises(ZeroDivisionError):
            dispatcher.offer(event())
        assert dispatcher.depth(number) == (1, 9, 0)

    def test_may_be_used_from_within_wake(self) -> None:
        dispatcher = Dispatcher()
        taken: list[Message] = []
        number = -1

        def wake() -> None:
            taken.extend(dispatcher.take(number, 10))

        number = dispatcher.subscribe(10, False, wake, lambda: None)
        dispatcher.listen(number, {})
        message = event()
        dispatcher.offer(message)
        assert taken == [message]

    def test_could_match(self) -> None:
        dispatcher = Dispatcher()
        Queue(dispatcher, messageType="command", receiver={"serviceName": "User"})
        user, email = Address("User", "1", "signUp"), Address("Email", "1", "send")
        assert dispatcher.could_match("command", receiver=user)
        assert dispatcher.could_match("command")
        assert not dispatcher.could_match("command", receiver=email)
        assert not dispatcher.could_match("customMessage")
        with pytest.raises(ValueError, match="nonsense"):
            dispatcher.could_match("nonsense")

    def test_is_collected_with_its_callbacks(self) -> None:
        dispatcher = Dispatcher()
        queue = Queue(dispatcher)
        queue.dispatcher = dispatcher  # type: ignore[attr-defined]  # a cycle through the extension
        gone = weakref.ref(queue)
        del queue, dispatcher
        gc.collect()
        assert gone() is None


class TestPending:
    def test_by_deadline(self) -> None:
        pending = Pending()
        for name, deadline in [("c", 3.0), ("a", 1.0), ("b", 2.0)]:
            assert pending.insert(name, name, deadline)
        assert pending.next_deadline() == 1.0
        assert pending.remove("a") == "a"
        assert pending.remove("a") is None
        assert pending.expire(3.0) == ["b", "c"]
        assert pending.next_deadline() is None

    @pytest.mark.parametrize("deadline", [-1.0, float("nan"), float("inf"), 1e300])
    def test_refuses_an_impossible_deadline(self, deadline: float) -> None:
        with pytest.raises(ValueError, match="out of range"):
            Pending().insert("a", None, deadline)

    def test_is_collected_with_who_waits(self) -> None:
        class Waiter:
            pending: Any = None

        waiter = Waiter()
        waiter.pending = Pending()
        waiter.pending.insert("a", waiter, 1.0)
        gone = weakref.ref(waiter)
        del waiter
        gc.collect()
        assert gone() is None


class Timer:
    def __init__(self, instead: BaseException | None = None) -> None:
        self.armed: list[object] = []
        self.settled: list[BaseException | None] = []
        self.instead = instead

    def arm(self, request: object) -> "Timer":
        self.armed.append(request)
        return self

    def settle(self, error: BaseException | None) -> BaseException | None:
        self.settled.append(error)
        return self.instead or error


@types.coroutine
def suspend(value: object) -> Any:
    return (yield value)


class TestInvocation:
    def test_without_waiting_no_timer(self) -> None:
        timer = Timer()

        async def handler() -> tuple[int, int]:
            return (1, 2)

        invocation = Invocation(handler(), timer.arm, "request")
        with pytest.raises(StopIteration) as stop:
            invocation.send(None)
        assert stop.value.value == (1, 2)
        assert timer.armed == timer.settled == []

    def test_the_first_wait_arms(self) -> None:
        timer = Timer()

        async def handler() -> object:
            return [await suspend("a"), await suspend("b")]

        invocation = Invocation(handler(), timer.arm, "request")
        assert next(invocation.__await__()) == "a"
        assert invocation.send(1) == "b"
        with pytest.raises(StopIteration) as stop:
            invocation.send(2)
        assert stop.value.value == [1, 2]
        assert (timer.armed, timer.settled) == (["request"], [None])

    def test_an_error_passes_through(self) -> None:
        timer = Timer()

        async def handler() -> None:
            await suspend(None)
            raise KeyError("k")

        invocation = Invocation(handler(), timer.arm, None)
        invocation.send(None)
        with pytest.raises(KeyError):
            invocation.send(None)
        assert isinstance(timer.settled[0], KeyError)

    def test_the_timer_may_replace_the_error(self) -> None:
        timer = Timer(instead=TimeoutError("late"))

        async def handler() -> None:
            await suspend(None)

        invocation = Invocation(handler(), timer.arm, None)
        invocation.send(None)
        with pytest.raises(TimeoutError, match="late"):
            invocation.throw(asyncio.CancelledError())
        assert isinstance(timer.settled[0], asyncio.CancelledError)

    def test_a_thrown_error_may_be_handled(self) -> None:
        timer = Timer()

        async def handler() -> str:
            try:
                await suspend(None)
            except ValueError:
                return await suspend("again")
            return "not reached"

        invocation = Invocation(handler(), timer.arm, None)
        invocation.send(None)
        assert invocation.throw(ValueError()) == "again"
        with pytest.raises(StopIteration) as stop:
            invocation.send("end")
        assert stop.value.value == "end"
        assert timer.armed == [None]

    def test_close_settles(self) -> None:
        timer = Timer()

        async def handler() -> None:
            await suspend(None)

        invocation = Invocation(handler(), timer.arm, None)
        invocation.send(None)
        invocation.close()
        assert timer.settled == [None]

    def test_dropped_while_it_waits_it_settles(self) -> None:
        timer = Timer()

        async def handler() -> None:
            await suspend(None)

        invocation = Invocation(handler(), timer.arm, None)
        invocation.send(None)
        del invocation
        assert timer.settled == [None]

    def test_no_coroutine_is_a_type_error(self) -> None:
        with pytest.raises((TypeError, AttributeError)):
            Invocation(1, Timer().arm, None).send(None)  # type: ignore[arg-type]
