"""What keeps a bridge from working for good, as the watchdog of a service manager wants to know it."""

import threading
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from purista_fast import App, Context, Event, Service
from purista_fast.bridges.mqtt import session
from purista_fast.bridges.mqtt.bridge import MqttBridge
from purista_fast.storage import database
from tests.broker.helpers import Bench, until

pytestmark = pytest.mark.anyio
happened = Event("happened", int)


def make_app() -> App:
    service = Service("Watch")

    @service.subscription(happened)
    async def on(ctx: Context, payload: int) -> None:
        pass

    return App(service)


def bridge_of(app: App) -> MqttBridge:
    bridge = app._runs[0].bridge
    assert isinstance(bridge, MqttBridge)
    return bridge


async def test_a_lost_connection_is_none_and_a_session_that_hangs_is_one(
    own_bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "_STILL", 3.0)
    monkeypatch.setattr(session, "_LONGEST_DELAY", 0.2)
    bench, app = own_bench(), make_app()
    async with app.serve(overrides=bench.tree(connect_timeout=0.5, keep_alive=5)):
        bridge = bridge_of(app)
        control = bridge._sessions._sessions["control"]
        assert bridge.ailment() is None
        assert control.link is not None
        first = control.link.checked_at
        with anyio.fail_after(20):
            # Longer than it may do nothing: while it is connected, and while there is no broker.
            while control.link.checked_at < first + 6:
                assert bridge.ailment() is None
                await anyio.sleep(0.05)
            await anyio.to_thread.run_sync(bench.broker.stop)
            away = anyio.current_time()
            while anyio.current_time() < away + 6:
                assert bridge.ailment() is None
                await anyio.sleep(0.05)
            assert not bridge.is_connected

            async def hang(_: float) -> Any:
                await anyio.sleep_forever()

            monkeypatch.setattr(control, "_open", hang)
            await until(lambda: bridge.ailment() is not None)
        found = bridge.ailment()
        assert found is not None
        assert found.startswith(f"the control session with 127.0.0.1:{bench.broker.port} has done nothing for ")
    assert bridge.ailment() is None, "it has been stopped"


async def test_a_disk_that_hangs(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "_HANGS", 0.1)
    app, released = make_app(), threading.Event()
    async with app.serve(overrides=bench.tree()):
        bridge = bridge_of(app)
        assert bridge._store is not None
        try:
            bridge._store.database.submit(lambda _: released.wait(), lambda _result, _error: None)
            await until(lambda: bridge.ailment() is not None)
            assert "messages.db has not ended for" in (bridge.ailment() or "")
        finally:
            released.set()
        await until(lambda: bridge.ailment() is None)
