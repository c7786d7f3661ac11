"""The case that stays: an instance's link breaks between the arrival of a command and its acknowledgement.

MQTT 5 (4.8.2) lets a broker hand such a message to another member of the share, so that a command could run twice, on
two instances. What this broker does is shown here; docs/bridges.md says so.
"""

import threading

import anyio
import anyio.to_thread
import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from purista_fast import Context, Service, UnhandledError
from tests.broker.helpers import PATIENCE, Bench, until

pytestmark = pytest.mark.anyio


class Silent:
    """A member of the share that takes commands, and never acknowledges one."""

    def __init__(self, bench: Bench, target: str) -> None:
        self.taken: list[bytes] = []
        subscribed = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, "silent", protocol=paho.MQTTv5, manual_ack=True)
        self._client.on_message = lambda _client, _data, message: self.taken.append(message.payload)
        self._client.on_subscribe = lambda *_: subscribed.set()
        self._client.connect("127.0.0.1", bench.broker.port, clean_start=True)
        self._client.loop_start()
        levels = "/".join(["+"] * 8)
        self._client.subscribe(f"$share/sharedpurista/{bench.prefix}/command/{levels}/{target}", qos=1)
        assert subscribed.wait(PATIENCE)

    def vanish(self) -> None:
        """Breaks the connection without a word."""
        sock = self._client.socket()
        assert sock is not None
        self._client.loop_stop()
        sock.close()  # type: ignore[union-attr]


async def test_an_unacknowledged_command_of_a_broken_link_ends_with_504_and_runs_nowhere(bench: Bench) -> None:
    service = Service("Work")
    runs: list[int] = []

    @service.command
    async def do(ctx: Context, payload: int) -> int:
        runs.append(payload)
        return payload

    silent = await anyio.to_thread.run_sync(Silent, bench, "work/1/do")
    outcomes: dict[int, object] = {}

    async with bench.serve(service), bench.connect() as client, anyio.create_task_group() as tasks:

        async def call(number: int) -> None:
            try:
                outcomes[number] = await client.invoke(do.using(timeout=2.0), number)
            except UnhandledError as error:
                outcomes[number] = int(error.status)

        for number in range(6):
            tasks.start_soon(call, number)
        await until(lambda: len(silent.taken) + len(runs) == 6)
        assert silent.taken
        assert runs
        await anyio.to_thread.run_sync(silent.vanish)
    # Each ran once or not at all, and whoever called knows which it may be.
    assert sorted(runs) == sorted(set(runs))
    assert {number for number, outcome in outcomes.items() if outcome == number} == set(runs)
    assert [outcome for number, outcome in outcomes.items() if number not in runs] == [504] * len(silent.taken)
