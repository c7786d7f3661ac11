"""Messages that are handled together on a broker: acknowledged, tried again and given up."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from purista_fast import App, Batch, BridgeError, Context, Event, HandledError, Retry, Service
from purista_fast.wire import Address, Message, encode
from tests.broker.helpers import Bench, until
from tests.broker.test_retries import ROOT, dead_letters, serve
from tests.patience import patient

pytestmark = pytest.mark.anyio

happened = Event("happened", int)
other = Event("other", int)
LONG = 1000.0
PATIENT = {"ack_within": 2 * LONG}
SOON = Retry(attempts=3, base=0.05, maximum=0.05, jitter=0.0)


def flat(batches: list[list[int]]) -> list[int]:
    return [number for batch in batches for number in batch]


async def test_it_is_acknowledged_as_a_whole_after_the_handler(bench: Bench) -> None:
    service = Service("Watch")
    entered, release = anyio.Event(), anyio.Event()

    @service.subscription(happened, batch=Batch(5, within=LONG))
    async def on(ctx: Context, payloads: list[int]) -> None:
        entered.set()
        await release.wait()

    async with serve(bench, service, retries=PATIENT) as client:
        for number in range(5):
            await client.emit(happened, number)
            await until(lambda number=number: client.statistics()["unacknowledged"] == number + 1)
        await entered.wait()
        assert client.statistics()["unacknowledged"] == 5
        release.set()
        await until(lambda: client.statistics()["unacknowledged"] == 0)


async def test_it_is_tried_again_as_a_whole_and_the_last_time_each_alone(bench: Bench) -> None:
    service = Service("Watch")
    got: list[list[int]] = []

    @service.subscription(happened, batch=Batch(4, within=0.5), retry=SOON)
    async def on(ctx: Context, payloads: list[int]) -> None:
        got.append(payloads)
        if 2 in payloads:
            raise RuntimeError("two is too many")

    async with serve(bench, service) as client:
        for number in range(4):
            await client.emit(happened, number)
        await until(lambda: client.statistics()["dead_letters"]["messages"] == 1)
        await until(lambda: client.statistics()["retries"]["messages"] == 0)
        assert got == [[0, 1, 2, 3], [0, 1, 2, 3], [0], [1], [2], [3]]
        assert client.statistics()["unacknowledged"] == 0
        assert dead_letters(bench, client.instance_id) == [
            ("subscription", "Watch/1/on", "happened", 3, "RuntimeError: two is too many")
        ]
        assert client.statistics()["retries"]["retried"] == 8


async def test_with_block_the_others_wait_for_it(bench: Bench) -> None:
    service = Service("Watch")
    got: list[list[int]] = []

    @service.subscription(
        happened, batch=Batch(2, within=0.5), retry=Retry(attempts=3, base=0.05, maximum=0.05, block=True)
    )
    async def on(ctx: Context, payloads: list[int]) -> None:
        got.append(payloads)
        if 1 in payloads:
            raise RuntimeError("not one")

    async with serve(bench, service) as client:
        for number in range(4):
            await client.emit(happened, number)
        await until(lambda: client.statistics()["subscriptions"]["Watch/1/on"]["handled"] == 4)
        assert got == [[0, 1], [0, 1], [0], [1], [2, 3]]
        assert client.statistics()["dead_letters"]["messages"] == 1


async def test_what_does_not_fit_is_a_dead_letter_and_the_others_are_handled(bench: Bench) -> None:
    service = Service("Watch")
    got: list[list[int]] = []

    @service.subscription(happened, batch=Batch(3, within=LONG))
    async def on(ctx: Context, payloads: list[int]) -> None:
        got.append(payloads)

    async with serve(bench, service, retries=PATIENT) as client:
        for payload in (1, "two", 3):
            await client.emit("happened", payload)
        await until(lambda: got == [[1, 3]] and client.statistics()["dead_letters"]["messages"] == 1)
        (letter,) = dead_letters(bench, client.instance_id)
        assert letter[:4] == ("subscription", "Watch/1/on", "happened", 1)
        await until(lambda: client.statistics()["unacknowledged"] == 0)


async def test_a_final_error_makes_dead_letters_of_all(bench: Bench) -> None:
    service = Service("Watch")

    @service.subscription(happened, batch=Batch(3, within=LONG), retry=SOON)
    async def on(ctx: Context, payloads: list[int]) -> None:
        error = HandledError(400, "none of these")
        error.is_final = True
        raise error

    async with serve(bench, service, retries=PATIENT) as client:
        for number in range(3):
            await client.emit(happened, number)
        await until(lambda: client.statistics()["dead_letters"]["messages"] == 3)
        assert [letter[3] for letter in dead_letters(bench, client.instance_id)] == [1, 1, 1]


async def test_duplicates_are_left_out_within_a_batch_and_by_the_next_process(bench: Bench) -> None:
    service = Service("Watch")
    got: list[list[int]] = []

    @service.subscription(happened, batch=Batch(3, within=0.3), deduplicate=True)
    async def on(ctx: Context, payloads: list[int]) -> None:
        got.append(payloads)

    def publish(number: str, payload: bytes) -> None:
        message = Message(
            "customMessage", sender=Address("Test", "1", "x", "peer"), event_name="happened", id=number, payload=payload
        )
        with bench.peer() as peer:
            peer.publish(message.topic(bench.prefix), encode(message))

    for _ in range(2):
        async with serve(bench, service) as client:
            for number, payload in (("a", b"1"), ("a", b"1"), ("b", b"2")):
                await anyio.to_thread.run_sync(publish, number * 32, payload)
            await until(lambda: flat(got) == [1, 2])
            await until(lambda client=client: client.statistics()["unacknowledged"] == 0)
            await until(lambda client=client: client.statistics()["retries"]["duplicates"] >= 1)
    assert flat(got) == [1, 2]


async def test_a_slow_batch_holds_up_no_other_subscription(bench: Bench) -> None:
    service = Service("Watch")
    release = anyio.Event()
    slow: list[list[int]] = []
    quick: list[int] = []

    @service.subscription(happened, batch=Batch(2, within=0.1))
    async def on(ctx: Context, payloads: list[int]) -> None:
        await release.wait()
        slow.append(payloads)

    @service.subscription(other)
    async def on_other(ctx: Context, payload: int) -> None:
        quick.append(payload)

    async with serve(bench, service, retries={"ack_within": 0.2}, receive_maximum=2) as client:
        for number in range(40):
            await client.emit(happened, number)
        for number in range(5):
            await client.emit(other, number)
        await until(lambda: quick == list(range(5)))
        assert slow == []
        release.set()
        await until(lambda: sum(map(len, slow)) == 40)
        await until(lambda: client.statistics()["retries"]["messages"] == 0)
        assert flat(slow) == list(range(40)), "in order, and once"
        assert max(map(len, slow)) == 2


async def test_the_whole_batch_comes_again_after_a_crash_and_ends_no_process_for_ever(
    bench: Bench, tmp_path: Path, anyio_backend: str
) -> None:
    """A real process that one message of a batch kills (SIGKILL), started again and again."""
    instance = f"deadly_batch_{anyio_backend}"
    program = tmp_path / "deadly.py"
    program.write_text(f"""
import json, os, signal, sys
sys.path.insert(0, {str(ROOT)!r})
from purista_fast import App, Batch, Context, Event, Retry, Service
service = Service("Watch")
happened = Event("happened", int)
@service.subscription(happened, batch=Batch(3, within=0.5), retry=Retry(attempts=3, base=0.05, maximum=0.05))
async def on(ctx: Context, payloads: list[int]) -> None:
    with open({str(tmp_path / "ran")!r}, "a") as file:
        file.write(json.dumps(payloads) + "\\n")
    if 13 in payloads:
        os.kill(os.getpid(), signal.SIGKILL)
    with open({str(tmp_path / "done")!r}, "a") as file:
        file.write(json.dumps(payloads) + "\\n")
App(service, name="Device").run(overrides=json.loads(sys.argv[1]))
""")

    def run() -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, str(program), json.dumps(bench.tree(instance_id=instance))])

    def lines(name: str) -> list[list[int]]:
        file = tmp_path / name
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    process = await anyio.to_thread.run_sync(run)
    async with bench.connect() as client:
        await until(lambda: f"Sending SUBACK to {instance}\n" in bench.broker.log)
        for number in (1, 13, 2):
            await client.emit(happened, number)
        with anyio.fail_after(patient(40)):
            while sorted(flat(lines("done"))) != [1, 2] or not dead_letters(bench, instance):
                if process.poll() is not None:
                    assert process.returncode == -signal.SIGKILL
                    process = await anyio.to_thread.run_sync(run)
                await anyio.sleep(0.02)
        await client.emit(happened, 3)
        await until(lambda: 3 in flat(lines("done")))
    process.send_signal(signal.SIGTERM)
    assert await anyio.to_thread.run_sync(process.wait) == 0
    assert lines("ran")[:2] == [[1, 13, 2], [1, 13, 2]], "as a whole"
    assert sum(1 for payloads in lines("ran") if 13 in payloads) <= 4
    (letter,) = dead_letters(bench, instance)
    assert letter[:4] == ("subscription", "Watch/1/on", "happened", 3)


async def test_what_waits_on_disk_comes_in_whole_batches(bench: Bench) -> None:
    def made(got: list[int], *, fails: bool) -> Service:
        service = Service("Watch")

        @service.subscription(
            happened, batch=Batch(50, within=0.5), retry=Retry(attempts=5, base=0.3, maximum=0.3, block=True)
        )
        async def on(ctx: Context, payloads: list[int]) -> None:
            if fails:
                raise RuntimeError("not in this life")
            got.append(len(payloads))

        return service

    got: list[int] = []
    async with serve(bench, made(got, fails=True), retries={"ack_within": 0.6}) as client:
        for number in range(120):
            await client.emit(happened, number)
        await until(lambda: client.statistics()["retries"]["messages"] == 120)
        await until(lambda: client.statistics()["unacknowledged"] == 0)
    async with serve(bench, made(got, fails=False)) as client:
        await until(lambda: client.statistics()["retries"]["messages"] == 0)
    assert sum(got) == 120
    assert max(got) == 50, got


@pytest.mark.parametrize(
    ("batch", "error"),
    [
        (Batch(101, within=1.0), "gathers 101 messages, and the broker sends at most 100"),
        (Batch(10, within=30.0), r"gathers messages for 30 s, and what waits for 30 s moves to disk"),
    ],
)
async def test_what_cannot_be_is_refused_at_the_start(bench: Bench, batch: Batch, error: str) -> None:
    service = Service("Watch")

    @service.subscription(happened, batch=batch)
    async def on(ctx: Context, payloads: list[int]) -> None: ...

    with pytest.raises(BridgeError, match=error):
        async with App(service, name="Device").serve(overrides=bench.tree()):
            pass
