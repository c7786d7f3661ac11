"""What our sockets do to be fast with a broker that was not configured for it."""

import socket
import time
from collections.abc import Callable, Iterator

import pytest

from purista_fast import Context, Service
from purista_fast.bridges.mqtt.sockets import BufferedSocket
from tests.broker.helpers import Bench


@pytest.fixture
def pair() -> Iterator[tuple[BufferedSocket, socket.socket]]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        here = socket.create_connection(listener.getsockname())
        there, _ = listener.accept()
    here.setblocking(False)
    with here, there:
        yield BufferedSocket(here), there


def test_reads_in_any_pieces(pair: tuple[BufferedSocket, socket.socket]) -> None:
    here, there = pair
    with pytest.raises(BlockingIOError):
        here.recv(1)
    data = bytes(range(256)) * 40
    there.sendall(data)
    here.raw.setblocking(True)
    found = here.recv(1)
    for size in (1, 2, 100, 5000, 100_000):
        found += here.recv(size)
    assert found == data
    assert here.pending() == 0
    there.shutdown(socket.SHUT_WR)
    assert here.recv(10) == b""


def test_small_messages_do_not_wait_for_each_other(pair: tuple[BufferedSocket, socket.socket]) -> None:
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
