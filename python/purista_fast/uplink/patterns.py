"""Names with ``*`` for any characters: which events go up, which commands may be called."""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ("Patterns", "is_pattern")


def is_pattern(text: str) -> bool:
    """Whether it stands for more than one name."""
    return "*" in text


class Patterns:
    """Names and patterns, compared with regard to case.

    >>> wanted = Patterns(["summaryReady", "alarm*"])
    >>> wanted.match("alarmHigh"), wanted.match("AlarmHigh"), wanted.first("alarmHigh")
    (True, False, 'alarm*')
    """

    __slots__ = ("_patterns", "names", "patterns")

    def __init__(self, texts: Iterable[str]) -> None:
        texts = list(dict.fromkeys(texts))
        self.patterns = [text for text in texts if is_pattern(text)]
        self._patterns = [
            (text, re.compile(".*".join(map(re.escape, text.split("*"))), re.S)) for text in self.patterns
        ]
        self.names = frozenset(text for text in texts if not is_pattern(text))
        """Those that stand for themselves."""

    def match(self, name: str) -> bool:
        """Whether a name is one of these."""
        return self.first(name) is not None

    def first(self, name: str) -> str | None:
        """What a name matches: itself, if it is there, else the first pattern; ``None`` for nothing."""
        if name in self.names:
            return name
        return next((text for text, compiled in self._patterns if compiled.fullmatch(name)), None)

    def __bool__(self) -> bool:
        return bool(self.names or self._patterns)
