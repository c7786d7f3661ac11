"""What our sockets do to be fast with a broker that was not configured for it."""

import socket
import time
from collections.abc import Callable, Iterator

import anyio
import anyio.to_thread
import pytest

from purista_fast import Context, Service
from purista_fast.bridges.mqtt import sockets
from purista_fast.bridges.mqtt.sockets import QuickSocket, Source, make_source
from tests.broker.helpers import Bench
from tests.patience import patient


@pytest.fixture
def pair() -> Iterator[tuple[QuickSocket, socket.socket]]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        here = socket.create_connection(listener.getsockname())
        there, _ = listener.accept()
    here.setblocking(False)
    with here, there:
        yield QuickSocket(here), there


@pytest.mark.anyio
@pytest.mark.parametrize("kind", [make_source, sockets._Awaited])
async def test_receives_all_and_the_end(
    pair: tuple[QuickSocket, socket.socket], kind: Callable[[QuickSocket], Source]
) -> None:
    here, there = pair
    assert here.recv() is None
    source = kind(here)
    data = bytes(range(256)) * 4000

    def send() -> None:
        there.sendall(data)
        there.shutdown(socket.SHUT_WR)

    found = b""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(anyio.to_thread.run_sync, send)
        while piece := await source.receive():
            found += piece
            await anyio.sleep(0.001)
    assert found == data
    assert await source.receive() == b""
    source.close()


@pytest.mark.anyio
@pytest.mark.parametrize("kind", [make_source, sockets._Awaited])
async def test_whoever_waits_learns_of_the_close(
    pair: tuple[QuickSocket, socket.socket], kind: Callable[[QuickSocket], Source]
) -> None:
    here, _ = pair
    source = kind(here)
    async with anyio.create_task_group() as tasks:

        async def close() -> None:
            await anyio.wait_all_tasks_blocked()
            source.close()
            here.close()
            source.close()

        tasks.start_soon(close)
        with anyio.fail_after(patient(5)), pytest.raises((anyio.ClosedResourceError, OSError)):
            await source.receive()


@pytest.mark.anyio
async def test_no_more_is_read_than_is_taken(pair: tuple[QuickSocket, socket.socket]) -> None:
    """So that what nobody has time for stays with the broker."""
    here, there = pair
    source = make_source(here)
    there.setblocking(False)
    sent, quiet = 0, 0
    while quiet < 20:
        try:
            sent += there.send(b"x" * 65_536)
            quiet = 0
        except BlockingIOError:
            quiet += 1
            await anyio.sleep(0.01)
    there.shutdown(socket.SHUT_WR)
    found = 0
    largest = 0
    while piece := await source.receive():
        found += len(piece)
        largest = max(largest, len(piece))
    assert found == sent
    assert largest <= 4 * 65_536
    source.close()


def test_small_messages_do_not_wait_for_each_other(pair: tuple[QuickSocket, socket.socket]) -> None:
    here, _ = pair
    assert here.raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.anyio
async def test_an_untouched_mosquitto_is_fast(own_bench: Callable[..., Bench]) -> None:
    """Without TCP_QUICKACK on our side each of these takes 44 ms, without TCP_NODELAY 88."""
    bench = own_bench(lines=["set_tcp_nodelay false"])
    echo = Service("Echo")

    @echo.command
    async def say(ctx: Context, payload: int) -> int:
        return payload

    async with bench.serve(echo), bench.connect() as client:
        durations = []
        for number in range(50):
            began = time.perf_counter()
            assert await client.invoke(say, number) == number
            durations.append(time.perf_counter() - began)
    assert sorted(durations)[25] < 0.02
