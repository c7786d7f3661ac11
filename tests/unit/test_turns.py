"""Which rows of the outbox have their turn."""

from purista_fast.bridges.mqtt.away import Urgency
from purista_fast.bridges.mqtt.settling import Settling
from purista_fast.bridges.mqtt.turns import Turns
from purista_fast.storage.clock import NEVER
from purista_fast.storage.outbox import Row

PRIORITIES = {"alarm": 10, "detail": -5}


def row(name: str, seq: int, *, ordered: bool = True) -> Row:
    return Row(name, b"", NEVER, ordered=ordered, seq=seq)


def urgent(settling: Settling) -> Turns:
    return Turns(Urgency(lambda name: (PRIORITIES.get(name, 0), None)), settling)


def test_without_priorities_nothing_is_passed_over() -> None:
    turns = Turns(None, Settling())
    assert not turns.is_less_urgent({"alarm": 1, "detail": 1}, {})
    assert not turns.passes_over(row("detail", 1))
    assert not turns.descend({"alarm": 1}, {})
    assert not turns.any_passed


def test_the_most_urgent_goes_first_and_then_the_next() -> None:
    turns = urgent(Settling())
    waiting = {"detail": 1, "summary": 1, "alarm": 1}
    assert not turns.is_less_urgent(waiting, {}), "nothing was passed over yet"
    assert turns.passes_over(row("detail", 1))
    assert turns.passes_over(row("summary", 2))
    assert not turns.passes_over(row("alarm", 3))
    assert turns.lowest == 1
    waiting["alarm"] = 0
    assert turns.is_less_urgent(waiting, {})
    turns.look_from(0)
    assert not turns.any_passed
    assert turns.passes_over(row("detail", 1))
    assert not turns.passes_over(row("summary", 2))


def test_what_is_not_written_yet_holds_up_nobody() -> None:
    turns = urgent(Settling())
    turns.is_less_urgent({"detail": 1, "alarm": 1}, {"alarm": 1})
    assert not turns.passes_over(row("detail", 1))


def test_what_keeps_no_order_waits_for_nothing() -> None:
    turns = urgent(Settling())
    turns.is_less_urgent({"alarm": 1}, {})
    assert not turns.passes_over(row("detail", 1, ordered=False))


def test_a_name_that_is_left_alone_holds_up_nobody() -> None:
    settling = Settling()
    settling.rest("alarm")
    turns = urgent(settling)
    turns.is_less_urgent({"alarm": 1, "detail": 1}, {})
    assert not turns.passes_over(row("detail", 2))
    assert turns.passes_over(row("alarm", 1))


def test_a_count_that_is_wrong_stops_nothing() -> None:
    """All was looked at, and nothing of the most urgent was there: the less urgent goes, until something new comes."""
    turns = urgent(Settling())
    waiting = {"alarm": 1, "summary": 1, "detail": 1}
    turns.is_less_urgent(waiting, {})
    assert turns.passes_over(row("detail", 1))
    assert turns.passes_over(row("summary", 2))
    assert turns.descend(waiting, {})
    turns.look_from(0)
    turns.is_less_urgent(waiting, {})
    assert turns.passes_over(row("detail", 1))
    assert not turns.passes_over(row("summary", 2))
    assert turns.descend(waiting, {})
    turns.look_from(0)
    turns.is_less_urgent(waiting, {})
    assert not turns.passes_over(row("detail", 1))
    assert not turns.descend(waiting, {})
    turns.renew()
    turns.is_less_urgent(waiting, {})
    assert turns.passes_over(row("detail", 3))
