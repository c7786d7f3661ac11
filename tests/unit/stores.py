"""Files of messages for tests, made as an application makes them."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from purista_fast.storage import dead_letters, outbox, schema, spool
from purista_fast.storage.clock import NEVER, Moment
from purista_fast.storage.dead_letters import DeadLetter

NO_LIMITS = (1 << 30, 1 << 40)


def message(number: int, event: str = "reading", text: str = "") -> bytes:
    """A message as it goes over the wire."""
    sender = {"serviceName": "Thermo", "serviceVersion": "1", "serviceTarget": "store", "instanceId": "node"}
    body = {"id": f"id{number}", "timestamp": 1, "messageType": "customMessage", "eventName": event, "sender": sender}
    return json.dumps({**body, "payload": {"number": number, "text": text}}).encode()


def new(file: Path) -> sqlite3.Connection:
    """An empty file."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    db = schema.connect(file)
    schema.create(db)
    return db


def row(number: int, event: str = "reading", since: Moment = NEVER, **options: Any) -> outbox.Row:
    return outbox.Row(event, message(number, event), since, **options)


def letter(number: int, origin: dead_letters.Origin = "subscription", **fields: Any) -> DeadLetter:
    return DeadLetter(
        **{
            "origin": origin,
            "target": "Thermo/1/watch",
            "name": "reading",
            "attempts": 5,
            "error": "ValueError: no",
            "message": message(number),
            **fields,
        }
    )


def fill(db: sqlite3.Connection, *things: outbox.Row | spool.Entry | DeadLetter) -> None:
    """Puts each where it belongs."""
    for thing in things:
        if isinstance(thing, outbox.Row):
            outbox.insert(db, [thing])
        elif isinstance(thing, spool.Entry):
            spool.insert(db, [thing])
        else:
            dead_letters.insert(db, thing, NO_LIMITS)


def make(file: Path, *things: outbox.Row | spool.Entry | DeadLetter) -> Path:
    """A file that nobody has open."""
    with closing(new(file)) as db:
        fill(db, *things)
    return file


def crash(file: Path, work: Callable[[sqlite3.Connection], object]) -> None:
    """Does something to a file in a process that ends at once, so that the log stays."""
    pid = os.fork()
    if pid == 0:
        try:
            work(schema.connect(file))
        finally:
            os._exit(0)  # no connection is closed in order
    os.waitpid(pid, 0)


@contextmanager
def opened(file: Path) -> Iterator[sqlite3.Connection]:
    """The file as another process has it."""
    with closing(schema.connect(file, create=False)) as db:
        yield db


def contents(folder: Path) -> dict[str, bytes]:
    """All files of a folder, byte by byte; what is in the index of a log does not count."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.endswith("-shm")}
