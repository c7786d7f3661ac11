"""What arrives, checked before anyone acts on it."""

from __future__ import annotations

import logging
import time
from collections import Counter

from ..._core import Message, Publish, WireError, decode
from .limits import MOST_HEADER_BYTES

__all__ = ("Intake",)

logger = logging.getLogger("purista_fast.bridge.mqtt")
_PERIOD = 10.0
_PER_PERIOD = 20
"""How many reports are logged in :data:`_PERIOD` seconds; the rest is only counted."""


class Intake:
    """Decodes what arrives, and counts and reports what is refused.

    :param prefix: the first level of every topic.
    """

    def __init__(self, prefix: str) -> None:
        self.rejected: Counter[str] = Counter()
        """How many messages were refused, by reason."""
        self._prefix = prefix
        self._period = 0.0
        self._logged = 0
        self._silent = 0

    def read(self, arrived: Publish) -> Message | None:
        """The message in a PUBLISH; ``None``, counted and reported, if it is none or not that of its topic."""
        topic, data = topic_of(arrived), arrived.payload
        if arrived.refusal is not None:
            self.reject(arrived.refusal, topic, "nobody looks at it")
            return None
        try:
            message = decode(data)
        except WireError as error:
            self.reject("not a message", topic, str(error))
            return None
        if not message.agrees_with(topic, self._prefix):
            self.reject("forged topic", topic, f"{message!r} does not belong there")
            return None
        # Its fields may be kept and logged, so they must not be of any size; what is small as a whole is not measured.
        if len(data) > MOST_HEADER_BYTES and len(data) - len(message.payload or b"") > MOST_HEADER_BYTES:
            self.reject("header too large", topic, f"more than {MOST_HEADER_BYTES} bytes beside the payload")
            return None
        return message

    def reject(self, reason: str, topic: str, detail: str) -> None:
        """Counts and reports a message that nobody gets."""
        self.rejected[reason] += 1
        now = time.monotonic()
        if now - self._period > _PERIOD:
            if self._silent:
                logger.warning("%d more messages were refused; see the statistics", self._silent)
            self._period, self._logged, self._silent = now, 0, 0
        if self._logged < _PER_PERIOD:
            self._logged += 1
            logger.warning("refused a message (%s) on topic %.300r: %s", reason, topic, detail)
        else:
            self._silent += 1


def topic_of(arrived: Publish) -> str:
    """The topic, or a text that says why there is none."""
    return "(not UTF-8)" if arrived.topic is None else arrived.topic
