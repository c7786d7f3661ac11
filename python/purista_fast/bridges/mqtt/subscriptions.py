"""Filters, what is shared among whom, and identifiers that stay the same over restarts."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

from ..._core import Message, WireError, matches, short_info_filter, snake_case, subscription_filter
from ...errors import DefinitionError
from ..base import Consumer

__all__ = ("Interest", "Table", "filters_of", "identifier_of")

_LARGEST = 0x0FFF_FFFF
"""The largest identifier (MQTT 5, 3.8.2.1.2)."""
_ANY_INFO = "infoServiceReady"


def _find_sha256() -> Callable[[bytes], Any]:
    """CPython's own, where it is: hashlib would bring OpenSSL for it, 3 MB."""
    for module in ("_sha2", "_sha256"):  # from 3.12 on, and before
        try:
            found: Callable[[bytes], Any] = importlib.import_module(module).sha256
        except ImportError:
            continue
        return found
    import hashlib

    return hashlib.sha256


_sha256 = _find_sha256()


class Interest:
    """A consumer, the queue that it is served from, and what it wants."""

    __slots__ = ("_types", "_wanted", "consumer", "filters", "queue")

    def __init__(self, consumer: Consumer, queue: int, prefix: str) -> None:
        self.consumer = consumer
        self.queue = queue
        self.filters = filters_of(consumer, prefix)
        self._wanted: Mapping[str, Any] = {**consumer.subscription}
        self._types = frozenset(consumer.message_types)

    def wants(self, message: Message) -> bool:
        """Whether the fields of the message are those that the consumer wants: topic levels may stand for several."""
        return (not self._types or message.message_type in self._types) and matches(self._wanted, message)


class Table:
    """Who gets what is subscribed, by filter and by identifier; equal filters are one subscription."""

    def __init__(self) -> None:
        self.filters: dict[str, int] = {}
        self._filters_by_identifier: dict[int, str] = {}
        self._interests: dict[int, list[Interest]] = {}

    def add(self, interest: Interest) -> list[str]:
        """Adds a consumer, and returns those of its filters that are new.

        :raises DefinitionError: if two filters have one identifier, which happens once in a few million pairs.
        """
        new = [text for text in interest.filters if text not in self.filters]
        for text in new:
            self.reserve(text)
        for text in interest.filters:
            self._interests[self.filters[text]].append(interest)
        return new

    def reserve(self, text: str) -> int:
        """Gives a filter its identifier."""
        identifier = identifier_of(text)
        other = self._filters_by_identifier.setdefault(identifier, text)
        if other != text:
            raise DefinitionError(
                f"the filters {text!r} and {other!r} have the same subscription identifier {identifier}: rename one of "
                "their subscriptions, or change what one of them filters on"
            )
        self.filters[text] = identifier
        self._interests.setdefault(identifier, [])
        return identifier

    def remove(self, interest: Interest) -> list[str]:
        """Takes a consumer away, and returns the filters that nobody wants any more."""
        unwanted = []
        for text in interest.filters:
            identifier = self.filters[text]
            self._interests[identifier].remove(interest)
            if not self._interests[identifier]:
                unwanted.append(text)
                del self.filters[text], self._interests[identifier], self._filters_by_identifier[identifier]
        return unwanted

    def find(self, identifier: int) -> list[Interest] | None:
        """The consumers behind an identifier; ``None`` if it is unknown."""
        return self._interests.get(identifier)


def identifier_of(text: str) -> int:
    """A filter's identifier: 28 bits of a hash, never 0."""
    digest: bytes = _sha256(text.encode()).digest()
    return int.from_bytes(digest[:4], "big") & _LARGEST or 1


def filters_of(consumer: Consumer, prefix: str) -> list[str]:
    """The topic filters that a consumer subscribes.

    The level of the message type is set where one type is wanted, else it is a wildcard and the types are compared on
    arrival. Info messages of PURISTA have a level less, so they have a filter of their own.

    :raises DefinitionError: if a field cannot be a topic level.
    """
    subscription, types = dict(consumer.subscription), consumer.message_types
    if len(types) == 1:
        subscription["messageType"] = types[0]
    address = consumer.address
    names = (address.service_name, address.service_version, address.service_target)
    shared = consumer.shared
    group = "_".join(("sharedpurista", *map(snake_case, names)))
    try:
        filters = [subscription_filter(subscription, shared=shared, prefix=prefix, share_name=group)]
        # What filters on an event or a receiver wants no info message, whichever types it allows.
        may_be_info = not types and not subscription.keys() & {"eventName", "receiver"}
        if may_be_info or any(name.startswith("info") for name in types):
            one_type = {"messageType": _ANY_INFO, **subscription}
            short = short_info_filter(one_type, shared=shared, prefix=prefix, share_name=group)
            if short is not None:
                filters.append(short if len(types) == 1 else _any_type(short, shared))
    except WireError as error:
        raise DefinitionError(f"{'/'.join(names)} cannot be subscribed by MQTT: {error}") from error
    return filters


def _any_type(text: str, shared: bool) -> str:
    """The filter with a wildcard in the level of the message type."""
    levels = text.split("/")
    levels[3 if shared else 1] = "+"
    return "/".join(levels)
