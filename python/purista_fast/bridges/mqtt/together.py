"""Handling messages together: acknowledged together, tried again together, and the last time each alone."""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Callable
from functools import partial

from ..._core import Message
from ...errors import ServiceError
from ...storage import seen
from ...storage import spool as table
from ...storage.database import StorageError
from ..base import Consumer
from ..gathering import read_all
from ..messages import logger
from .attempts import Attempts
from .lanes import Item, Lane

__all__ = ("Report", "run_all")

Report = Callable[[Consumer, list[Message], Exception, str], None]
"""Told of each failure of a subscription, and what comes of it."""


async def run_all(attempts: Attempts, consumer: Consumer, items: list[Item], report: Report) -> None:
    """Has a subscription handle items together.

    :param report: told of each failure, and what comes of it.
    """
    lane = items[0].lane
    pause = max(item.due for item in items) - attempts.spool.now()
    if lane.is_left or (pause > 0 and not await attempts.wait(lane, pause)):
        return
    # What has moved to disk meanwhile comes from there.
    items = [item for item in items if not item.is_parked]
    fresh = [item for item in items if not lane.is_duplicate(item)]
    for item in fresh:
        item.is_running = True
    for item in items:
        if not item.is_running:
            lane.duplicates += 1
            await attempts.drop(item)
    groups = deque(_groups(fresh, consumer.retry.attempts))
    while groups and not lane.is_left:
        again = await _run(attempts, consumer, lane, groups.popleft(), report)
        groups.extendleft(reversed(_groups(again, consumer.retry.attempts)))


def _groups(items: list[Item], most: int) -> list[list[Item]]:
    """The items in order, each alone that has failed before and has its last attempt now: so that one that cannot be
    handled takes no other with it."""
    groups: list[list[Item]] = []
    is_open = False
    for item in items:
        is_last = item.attempts > 0 and item.attempts + 1 >= most
        if is_open and not is_last:
            groups[-1].append(item)
        else:
            groups.append([item])
        is_open = not is_last
    return groups


async def _run(attempts: Attempts, consumer: Consumer, lane: Lane, items: list[Item], report: Report) -> list[Item]:
    """Handles items once; gives those that are to be handled again before others are."""
    gathering = consumer.gathering
    assert gathering is not None
    await _count(attempts, items)
    wrong: dict[int, Exception] = {}
    numbers, payloads = read_all(gathering, [item.message for item in items], wrong.__setitem__)
    for number, error in wrong.items():
        await _bury(attempts, consumer, [items[number]], error, report)
    items = [items[number] for number in numbers]
    if not items:
        return []
    try:
        await gathering.handle([item.message for item in items], payloads)
    except Exception as error:  # noqa: BLE001 - whatever a handler raises is reported
        most = 0 if isinstance(error, ServiceError) and error.is_final else consumer.retry.attempts
        last = [item for item in items if item.attempts >= most]
        if last:
            await _bury(attempts, consumer, last, error, report)
        return await _postpone(attempts, consumer, [item for item in items if item.attempts < most], error, report)
    await _end(attempts, lane, items)
    return []


async def _postpone(
    attempts: Attempts, consumer: Consumer, items: list[Item], error: Exception, report: Report
) -> list[Item]:
    """They have failed, and are tried again; gives those for which the others wait."""
    if not items:
        return []
    retry, lane = consumer.retry, items[0].lane
    lane.errors += 1
    attempts.retried += len(items)
    pause = retry.pause(max(item.attempts for item in items))
    fate = f" (attempt {items[0].attempts} of {retry.attempts}), tried again in {pause:.1f} s"
    report(consumer, [item.message for item in items], error, fate)
    for item in items:
        await (attempts.note if retry.block else attempts.try_later)(item, pause, f"{type(error).__name__}: {error}")
    return items if retry.block and await attempts.wait(lane, pause) else []


async def _count(attempts: Attempts, items: list[Item]) -> None:
    """Counts an attempt before it begins; on disk, what is on disk."""
    for item in items:
        item.attempts += 1
    kept = [item.seq for item in items if item.seq]
    if not kept:
        return

    def work(db: sqlite3.Connection) -> None:
        for seq in kept:
            table.begin(db, seq)

    try:
        await attempts.database.run(work, frees=True)
    except StorageError as error:
        # They are handled nevertheless: that is worth more than the count.
        logger.error("%s: an attempt could not be counted: %s", items[0].lane.label, error)


async def _bury(attempts: Attempts, consumer: Consumer, items: list[Item], error: Exception, report: Report) -> None:
    """They have failed for the last time."""
    lane = items[0].lane
    lane.errors += 1
    fate = f" (attempt {items[0].attempts} of {consumer.retry.attempts}), dead letters now"
    report(consumer, [item.message for item in items], error, fate)
    for item in items:
        await attempts.bury(item, f"{type(error).__name__}: {error}")


async def _end(attempts: Attempts, lane: Lane, items: list[Item]) -> None:
    """They have been handled: what is to be known of them is on disk before they are acknowledged."""
    spool = attempts.spool
    while any(item.storing is not None for item in items):  # while one is settled another may move
        for item in items:
            await spool.shelf.settle(item)
    kept = [item for item in items if item.seq]
    fresh = [item.key for item in items if lane.seen is not None and item.key not in lane.seen]
    for item in items:
        lane.items.pop(item, None)
        lane.remember(item.key)
    work = partial(_note, lane.label, fresh, [item.seq for item in kept])

    def done(_result: None, error: StorageError | None) -> None:
        for item in kept:
            spool.deleted(item, None, error)

    if fresh:
        try:
            await attempts.database.run(work, frees=True)
        except StorageError as error:
            logger.error("%s: the ids of %d messages could not be kept: %s", lane.label, len(fresh), error)
        else:
            done(None, None)
    elif kept:
        attempts.database.submit(work, done, frees=True)
    for item in items:
        spool.release(item)
    spool.feed(lane)


def _note(label: str, ids: list[str], handled: list[int], db: sqlite3.Connection) -> None:
    """Remembers ids, and deletes what has been handled."""
    for key in ids:
        seen.insert(db, label, key)
    for seq in handled:
        table.delete(db, seq)
