"""At least once into the handler: retries, dead letters, duplicates, slow handlers, messages that end the process."""

import json
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from purista_fast import App, BridgeError, Context, DefinitionError, Event, HandledError, Retry, Service
from purista_fast.wire import Address, Message, encode
from tests.broker.helpers import Bench, until
from tests.patience import patient

pytestmark = pytest.mark.anyio

happened = Event("happened", int)
other = Event("other", int)
SOON = Retry(attempts=3, base=0.05, maximum=0.05, jitter=0.0)
ROOT = Path(__file__).parents[2]


def serve(bench: Bench, service: Service, *, retries: Any = None, dead_letters: Any = None, **bridge: Any) -> Any:
    tree = {**bench.tree(**bridge), "retries": retries or {}, "dead_letters": dead_letters or {}}
    return App(service, name="Device").serve(overrides=tree)


def dead_letters(bench: Bench, instance_id: str) -> list[tuple[Any, ...]]:
    """What is in the table of dead letters: origin, target, event, attempts, error."""
    file = bench.state_dir / "Device" / instance_id / "messages.db"
    db = sqlite3.connect(file)
    try:
        return db.execute("SELECT origin, target, name, attempts, error FROM dead_letters ORDER BY seq").fetchall()
    finally:
        db.close()


async def test_a_failing_handler_is_tried_again_and_holds_up_nobody(bench: Bench) -> None:
    service = Service("Watch")
    got: list[tuple[int, int]] = []
    failures = {1: 2, 2: 0, 3: 1}

    @service.subscription(happened, retry=SOON)
    async def on(ctx: Context, payload: int) -> None:
        attempt = sum(1 for number, _ in got if number == payload) + 1
        got.append((payload, attempt))
        if attempt <= failures[payload]:
            raise RuntimeError("not yet")

    async with serve(bench, service) as client:
        for number in failures:
            await client.emit(happened, number)
        await until(lambda: len(got) == 6 and client.statistics()["retries"]["messages"] == 0)
        assert client.statistics()["unacknowledged"] == 0
        assert client.statistics()["retries"]["retried"] == 3
        assert client.statistics()["dead_letters"]["messages"] == 0
        first = [number for number, attempt in got if attempt == 1]
        assert first == [1, 2, 3], "first attempts are in order"


async def test_after_the_last_attempt_it_is_a_dead_letter_and_an_event(bench: Bench) -> None:
    service = Service("Watch")
    told: list[Any] = []
    ids: list[str] = []

    @service.subscription(happened, retry=SOON)
    async def on(ctx: Context, payload: int) -> None:
        ids.append(ctx.message.id or "")
        raise RuntimeError("the secret is 42")

    @service.subscription(event_name="deadLetter")
    async def tell(ctx: Context, payload: Any) -> None:
        told.append(payload)

    async with serve(bench, service, dead_letters={"event": "deadLetter"}) as client:
        await client.emit(happened, 1)
        await until(lambda: told)
        assert len(ids) == 3
        assert len(set(ids)) == 1
        assert dead_letters(bench, client.instance_id) == [
            ("subscription", "Watch/1/on", "happened", 3, "RuntimeError: the secret is 42")
        ]
        await until(lambda: client.statistics()["retries"]["messages"] == 0)
    assert told == [
        {
            "number": 1,
            "origin": "subscription",
            "target": "Watch/1/on",
            "eventName": "happened",
            "attempts": 3,
            "error": "RuntimeError",
        }
    ]


async def test_what_does_not_fit_is_a_dead_letter_at_once(bench: Bench) -> None:
    service = Service("Watch")
    got: list[int] = []

    @service.subscription(happened)
    async def on(ctx: Context, payload: int) -> None:
        got.append(payload)

    async with serve(bench, service) as client:
        await client.emit("happened", "text")
        await client.emit(happened, 2)
        await until(lambda: got == [2] and client.statistics()["dead_letters"]["messages"] == 1)
        assert dead_letters(bench, client.instance_id)[0][:4] == ("subscription", "Watch/1/on", "happened", 1)


async def test_block_keeps_the_order(bench: Bench) -> None:
    service = Service("Watch")
    got: list[int] = []
    quick: list[int] = []

    @service.subscription(happened, retry=Retry(attempts=4, base=0.05, maximum=0.05, block=True))
    async def on(ctx: Context, payload: int) -> None:
        got.append(payload)
        if payload == 1 and got.count(1) < 3:
            raise RuntimeError("not yet")

    @service.subscription(other)
    async def on_other(ctx: Context, payload: int) -> None:
        quick.append(payload)

    async with serve(bench, service) as client:
        for number in (1, 2, 3):
            await client.emit(happened, number)
        await client.emit(other, 1)
        await until(lambda: len(got) == 5)
    assert got == [1, 1, 1, 2, 3]
    assert quick == [1]
    with pytest.raises(DefinitionError, match="concurrency=2"):
        service.subscription(happened, retry=Retry(block=True), concurrency=2)


async def test_a_slow_subscription_holds_up_no_other(bench: Bench) -> None:
    """At receive maximum 2: without the spool the third message would wait for the first for ever."""
    service = Service("Watch")
    release = anyio.Event()
    slow: list[int] = []
    quick: list[int] = []

    @service.subscription(happened)
    async def on(ctx: Context, payload: int) -> None:
        await release.wait()
        slow.append(payload)

    @service.subscription(other)
    async def on_other(ctx: Context, payload: int) -> None:
        quick.append(payload)

    async with serve(bench, service, retries={"ack_within": 0.2}, receive_maximum=2) as client:
        for number in range(30):
            await client.emit(happened, number)
        for number in range(5):
            await client.emit(other, number)
        await until(lambda: quick == list(range(5)))
        assert slow == []
        assert client.statistics()["retries"]["messages"] > 0
        release.set()
        await until(lambda: len(slow) == 30)
        await until(lambda: client.statistics()["retries"]["messages"] == 0)
        assert slow == list(range(30)), "in order, and once"
        # And straight on again.
        await client.emit(happened, 30)
        await until(lambda: slow[-1] == 30)


async def test_what_is_on_disk_is_handled_by_the_next_process(bench: Bench) -> None:
    def made(got: list[int], *, fails: bool) -> Service:
        service = Service("Watch")

        @service.subscription(happened, retry=Retry(attempts=5, base=0.3, maximum=0.3, jitter=0.0))
        async def on(ctx: Context, payload: int) -> None:
            if fails:
                raise RuntimeError("not in this life")
            got.append(payload)

        return service

    got: list[int] = []
    async with serve(bench, made(got, fails=True)) as client:
        for number in range(5):
            await client.emit(happened, number)
        await until(lambda: client.statistics()["retries"]["waiting_for_retry"] == 5)
    async with serve(bench, made(got, fails=False)) as client:
        await until(lambda: sorted(got) == list(range(5)))
        await until(lambda: client.statistics()["retries"]["messages"] == 0)


async def test_a_subscription_that_is_gone_leaves_dead_letters(bench: Bench) -> None:
    service = Service("Watch")

    @service.subscription(happened, retry=Retry(attempts=5, base=100.0, maximum=100.0))
    async def on(ctx: Context, payload: int) -> None:
        raise RuntimeError("fails")

    renamed = Service("Watch")

    @renamed.subscription(other)
    async def on_other(ctx: Context, payload: int) -> None: ...

    async with serve(bench, service) as client:
        await client.emit(happened, 1)
        await until(lambda: client.statistics()["retries"]["waiting_for_retry"] == 1)
    async with serve(bench, renamed) as client:
        await until(lambda: client.statistics()["dead_letters"]["messages"] == 1)
        (letter,) = dead_letters(bench, client.instance_id)
        assert letter[:3] == ("subscription", "Watch/1/on", "happened")
        assert "no subscription Watch/1/on any more" in letter[4]


async def test_duplicates_are_left_out_also_by_the_next_process(bench: Bench) -> None:
    service = Service("Watch")
    got: list[int] = []

    @service.subscription(happened, deduplicate=True)
    async def on(ctx: Context, payload: int) -> None:
        got.append(payload)

    def publish(number: str, payload: bytes) -> None:
        message = Message(
            "customMessage", sender=Address("Test", "1", "x", "peer"), event_name="happened", id=number, payload=payload
        )
        with bench.peer() as peer:
            peer.publish(message.topic(bench.prefix), encode(message))

    for _ in range(2):
        async with serve(bench, service) as client:
            for _ in range(3):
                await anyio.to_thread.run_sync(publish, "a" * 32, b"1")
            await anyio.to_thread.run_sync(publish, "b" * 32, b"2")
            await until(lambda: 2 in got)
            await until(lambda client=client: client.statistics()["retries"]["duplicates"] >= 2)
    assert got == [1, 2]


async def test_events_of_a_retried_handler_have_the_same_ids(bench: Bench) -> None:
    service = Service("Watch")
    ids: list[str] = []
    runs: list[int] = []

    @service.subscription(happened, retry=SOON, result_event=Event("third", int))
    async def on(ctx: Context, payload: int) -> int:
        await ctx.emit(other, 1)
        await ctx.emit(other, 2)
        runs.append(payload)
        if len(runs) == 1:
            raise RuntimeError("after both")
        return 3

    @service.subscription(event_name="other", name="note")
    async def note(ctx: Context, payload: int) -> None:
        ids.append(f"{payload} {ctx.message.id}")

    @service.subscription(event_name="third", name="note_third")
    async def note_third(ctx: Context, payload: int) -> None:
        ids.append(f"{payload} {ctx.message.id}")

    async with serve(bench, service) as client:
        await client.emit(happened, 1)
        await until(lambda: len(ids) == 5)
    assert len(set(ids)) == 3, ids


async def test_a_message_that_ends_the_process_does_not_do_so_for_ever(
    bench: Bench, tmp_path: Path, anyio_backend: str
) -> None:
    """A real process that a message kills (SIGKILL), started again and again, as a service manager would."""
    instance = f"deadly_{anyio_backend}"
    program = tmp_path / "deadly.py"
    program.write_text(f"""
import json, os, signal, sys
sys.path.insert(0, {str(ROOT)!r})
from purista_fast import App, Context, Event, Retry, Service
service = Service("Watch")
happened = Event("happened", int)
@service.subscription(happened, retry=Retry(attempts=3, base=0.05, maximum=0.05))
async def on(ctx: Context, payload: int) -> None:
    with open({str(tmp_path / "ran")!r}, "a") as file:
        file.write(f"{{payload}}\\n")
    if payload == 13:
        os.kill(os.getpid(), signal.SIGKILL)
App(service, name="Device").run(overrides=json.loads(sys.argv[1]))
""")

    def run() -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, str(program), json.dumps(bench.tree(instance_id=instance))])

    def ran() -> list[int]:
        file = tmp_path / "ran"
        return [int(line) for line in file.read_text().split()] if file.exists() else []

    # Its session must exist before the events come.
    process = await anyio.to_thread.run_sync(run)
    async with bench.connect() as client:
        await until(lambda: f"Sending SUBACK to {instance}\n" in bench.broker.log)
        for number in (1, 13, 2):
            await client.emit(happened, number)
        lives = 1
        with anyio.fail_after(patient(40)):
            while not {1, 2} <= set(ran()) or not dead_letters(bench, instance):
                if process.poll() is not None:
                    assert process.returncode == -signal.SIGKILL
                    process = await anyio.to_thread.run_sync(run)
                    lives += 1
                await anyio.sleep(0.02)
        await client.emit(happened, 3)
        await until(lambda: 3 in ran())
    process.send_signal(signal.SIGTERM)
    assert await anyio.to_thread.run_sync(process.wait) == 0
    assert ran().count(13) <= 4
    assert lives <= 5
    (letter,) = dead_letters(bench, instance)
    assert letter[:4] == ("subscription", "Watch/1/on", "happened", 3)
    assert "process ended" in letter[4]


async def test_a_full_spool_leaves_the_rest_with_the_broker(bench: Bench) -> None:
    service = Service("Watch")
    got: list[int] = []
    is_fine = False

    @service.subscription(happened, retry=Retry(attempts=100, base=0.1, maximum=0.1))
    async def on(ctx: Context, payload: int) -> None:
        if not is_fine:
            raise RuntimeError("not yet")
        got.append(payload)

    async with serve(bench, service, retries={"max_messages": 3}, receive_maximum=5) as client:
        for number in range(20):
            await client.emit(happened, number)
        await until(lambda: client.statistics()["retries"]["waiting_for_disk"] > 0)
        assert client.statistics()["unacknowledged"] > 0
        is_fine = True
        await until(lambda: sorted(set(got)) == list(range(20)))
        await until(lambda: client.statistics()["retries"]["messages"] == 0)
        assert client.statistics()["unacknowledged"] == 0


async def test_memory_refuses_what_it_cannot_give() -> None:
    service = Service("Watch")

    @service.subscription(happened, retry=Retry())
    async def on(ctx: Context, payload: int) -> None: ...

    with pytest.raises(BridgeError, match=r"Watch/1/on needs a bridge that is retry; memory:// is"):
        async with App(service).serve(bridge="memory://"):
            pass
    for wrong in ({"attempts": 0}, {"base": 0}, {"base": 5, "maximum": 1}, {"jitter": 2}):
        with pytest.raises(DefinitionError, match="cannot work"):
            Retry(**wrong)  # type: ignore[arg-type]


async def test_a_handled_error_is_tried_again_too(bench: Bench) -> None:
    service = Service("Watch")
    runs: list[int] = []

    @service.subscription(happened, retry=SOON)
    async def on(ctx: Context, payload: int) -> None:
        runs.append(payload)
        raise HandledError(503, "the sensor sleeps")

    async with serve(bench, service) as client:
        await client.emit(happened, 1)
        await until(lambda: client.statistics()["dead_letters"]["messages"] == 1)
    assert len(runs) == 3
