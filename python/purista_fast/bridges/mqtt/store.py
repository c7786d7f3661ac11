"""The disk side of the bridge: outbox, spool and dead letters of one instance, in one file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from anyio.abc import TaskGroup

from ..._core import Address, Message
from ...config import Settings
from ...storage.clock import PoweredClock
from ...storage.database import Database
from ...storage.dead_letters import DeadLetter
from ..workers import Workers
from .away import Urgency
from .events import Events
from .graveyard import Graveyard
from .intake import Intake
from .outbox import Outbox
from .publisher import Publisher
from .spool import Spool
from .state import State

__all__ = ("Store",)


class Store:
    """Opens, starts and closes what an instance keeps on disk.

    :param send: sends an event for which nobody waits.
    :param urgency: which events go first, and how long each is worth sending, if not all are the same.
    """

    def __init__(
        self,
        settings: Settings,
        state: State,
        publisher: Publisher,
        workers: Workers,
        intake: Intake,
        send: Callable[[Message], None],
        urgency: Urgency | None = None,
    ) -> None:
        bridge = settings.bridge
        self.database = Database(state.folder / "messages.db", PoweredClock(settings.outbox.trust_clock))
        self.graveyard = Graveyard(settings.dead_letters, self.database, self._tell)
        self.outbox = Outbox(
            settings.outbox,
            self.database,
            publisher,
            self.graveyard,
            prefix=bridge.prefix,
            instance_id=state.instance_id,
            message_expiry=bridge.message_expiry,
            emit_timeout=bridge.emit_timeout,
            urgency=urgency,
        )
        self.events = Events(intake, state, self.graveyard, bridge.receive_maximum, settings.retries.ack_within)
        self.spool = Spool(settings.retries, self.database, workers, self.graveyard, self.events.finished)
        self.events.spool = self.spool
        self._instance_id = state.instance_id
        self._send = send

    async def open(self, tasks: TaskGroup) -> None:
        """Opens the file and reads what there is; comes before the connection.

        :raises BridgeError: if it cannot be used.
        :raises StorageError: if it cannot be read.
        """
        await self.database.start(tasks)
        await self.graveyard.start()
        await self.outbox.load(tasks)
        await self.spool.load()
        tasks.start_soon(self.database.watch, self._changed)

    def start(self, tasks: TaskGroup) -> None:
        """Hands what is on disk to the subscriptions from now on."""
        self.outbox.start(tasks)
        self.spool.start(tasks)
        tasks.start_soon(self.events.keep_pace)

    async def close(self) -> None:
        """Writes what is to be written and closes the file."""
        await self.outbox.stop()
        await self.spool.stop()
        await self.database.close()

    def statistics(self) -> dict[str, Any]:
        """Counters and depths."""
        return {
            **self.events.statistics(),
            "outbox": self.outbox.statistics(),
            "retries": self.spool.statistics(),
            "dead_letters": self.graveyard.statistics(),
        }

    def _changed(self) -> None:
        self.graveyard.changed()
        self.outbox.changed()
        self.spool.changed()

    def _tell(self, letter: DeadLetter, event: str) -> None:
        """Emits the event that tells of a dead letter. What the handler raised stays here: it may be secret."""
        names = letter.target.split("/") if letter.origin == "subscription" else ["Outbox", "1", letter.origin]
        about = {
            "number": letter.seq,
            "origin": letter.origin,
            "target": letter.target,
            "eventName": letter.name,
            "attempts": letter.attempts,
            "error": letter.error.partition(":")[0],
        }
        sender = Address(names[0], names[1], names[2], self._instance_id)
        self._send(Message("customMessage", sender=sender, payload=msgspec.json.encode(about), event_name=event))
