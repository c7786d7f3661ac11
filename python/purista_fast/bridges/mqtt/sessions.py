"""The two sessions of an instance, *control* and *events*, as one."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from anyio.abc import TaskGroup

from ..._core import Publish
from ...config import BridgeSettings
from .broker import Broker
from .connect import Connect
from .control import Control
from .events import Events
from .expiry import whole_seconds
from .link import Link
from .rivals import Rivals
from .session import Session
from .will import make_will

__all__ = ("Sessions",)


class Sessions:
    """Connects both, keeps both connected, and ends both.

    :param rivals: asked when the control session is closed again and again.
    :param is_patient: whether neither the start nor anything later depends on a connection.
    """

    def __init__(
        self, settings: BridgeSettings, broker: Broker, instance_id: str, rivals: Rivals, *, is_patient: bool = False
    ) -> None:
        self.tell: Callable[[], None] | None = None
        """Called when all are connected, after each connection of one."""
        self.ends = False
        """Whether the events session is to end with :meth:`stop` in any case."""
        self._settings = settings
        self._broker = broker
        self._instance_id = instance_id
        self._rivals = rivals
        self._is_patient = is_patient
        self._sessions: dict[str, Session] = {}
        self._events: Events | None = None

    @property
    def is_connected(self) -> bool:
        """Whether all are connected."""
        return bool(self._sessions) and all(session.link is not None for session in self._sessions.values())

    @property
    def connected_for(self) -> float | None:
        """For how long all are connected, in seconds; ``None`` while one is not."""
        since = [session.up_since for session in self._sessions.values()]
        found = [moment for moment in since if moment is not None]
        return time.monotonic() - max(found) if found and len(found) == len(since) else None

    @property
    def reconnects(self) -> int:
        """How many lost connections were replaced."""
        return sum(session.reconnects for session in self._sessions.values())

    def ailment(self) -> str | None:
        """What has stopped to look after its connection; ``None`` if nothing has."""
        return next(filter(None, (session.ailment() for session in self._sessions.values())), None)

    async def start(
        self,
        tasks: TaskGroup,
        control: Control,
        events: Events | None,
        services: Sequence[tuple[str, str]],
        *,
        is_subscribed: bool,
    ) -> None:
        """Connects, the control session first.

        :param services: names and versions of what runs here, for the will.
        :param is_subscribed: whether the code has subscriptions.
        :raises BridgeError: if there is no connection to be had, or the state cannot be read.
        """
        settings = self._settings
        connect = partial(
            Connect,
            max_packet_size=settings.max_packet_size,
            max_payload_size=settings.max_payload_size,
            keep_alive=settings.keep_alive,
        )
        # A session of an earlier run may be left even if nothing is subscribed now.
        was_subscribed = events is not None and events.load()
        has_events = was_subscribed or is_subscribed
        will = make_will(self._instance_id, services, settings) if services else None
        volatile = connect(
            client_id=f"{self._instance_id}_c",
            clean_start=True,
            session_expiry=0,
            receive_maximum=65_535,
            # A will waits for a reconnect only where the session does.
            will=None if has_events else will,
        )
        await self._open("control", volatile, control.up, control.arrived, tasks)
        if events is not None and has_events:
            durable = connect(
                client_id=self._instance_id,
                clean_start=False,
                session_expiry=whole_seconds(settings.session_expiry),
                receive_maximum=settings.receive_maximum,
                will=will,
            )
            self._events = events
            await self._open("events", durable, events.up, events.arrived, tasks)

    async def subscriptions_first(self) -> None:
        """Waits a while for the events session, so that a broker that lost it has our subscriptions before our
        events. A start that waits for the broker needs that not: it publishes when both are up."""
        if "events" in self._sessions:
            await self._sessions["events"].hurry(self._settings.connect_timeout / 2)

    async def stop(self) -> None:
        """Disconnects for good; the broker keeps the events session if anything is subscribed there."""
        session, events = self._sessions.get("events"), self._events
        if session is not None and events is not None:
            if events.table.filters and not self.ends:
                await session.stop(whole_seconds(self._settings.session_expiry))
            else:
                # Nothing is subscribed any more: the session ends, if the broker can be told.
                is_told = session.link is not None
                await session.stop(0)
                if is_told:
                    events.forget()
        if "control" in self._sessions:
            await self._sessions["control"].stop(0)

    async def _open(
        self,
        label: str,
        connect: Connect,
        on_up: Callable[[Link], Awaitable[None]],
        on_message: Callable[[Link, Publish], None],
        tasks: TaskGroup,
    ) -> None:
        session = Session(
            label,
            self._broker,
            connect,
            connect_timeout=self._settings.connect_timeout,
            on_up=on_up,
            on_message=on_message,
            on_ready=self._ready,
            waits=self._settings.wait_for_broker,
            is_late=bool(self._sessions) and not self.is_connected,
            # Of the two this one has no state: nobody misses it while it stays away for the question.
            find_rival=self._rivals.find if label == "control" else None,
            is_patient=self._is_patient,
        )
        self._sessions[label] = session
        await tasks.start(session.run, name=f"mqtt {label} session")

    def _ready(self) -> None:
        if self.is_connected and self.tell is not None:
            self.tell()
