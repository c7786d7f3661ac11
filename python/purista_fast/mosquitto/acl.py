"""Access rules in mosquitto's format: written from what services need, and read to judge what they allow."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import msgspec

from .._core import TopicTree, WireError
from ..errors import ConfigError
from .rights import (
    Receives,
    doctor_topic,
    marker_topic,
    own_answers,
    own_messages,
    presence_filters,
)

__all__ = ("Access", "Block", "Rule", "Rules", "check_name", "everybody", "of_client", "of_instance", "read", "render")

Access = Literal["read", "write", "readwrite", "deny"]
_NAME = re.compile(r"[A-Za-z0-9_.@-]+")
_SYSTEM = ("$SYS/broker/version", "$SYS/broker/publish/messages/dropped")
"""What the doctor reads: known faults of the version, and how much was dropped."""


class Rule(msgspec.Struct, frozen=True):
    """One line."""

    access: Access
    topic: str
    why: str = ""
    """The comment above it; empty where it belongs to the rule before."""


class Block(msgspec.Struct, frozen=True):
    """The rules of one user; ``user=None`` for the rules of everybody (``pattern``), ``""`` for anonymous clients."""

    user: str | None
    rules: tuple[Rule, ...]
    title: str = ""


def check_name(name: str, what: str) -> str:
    """Refuses a name that would mean something else in a file of mosquitto's.

    :raises ConfigError: with what is allowed.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{what} {name!r}: a name for mosquitto has only letters, digits and _ . @ -")
    return name


def of_instance(
    prefix: str,
    instance: str,
    needs: Iterable[Receives] | None,
    *,
    title: str = "",
    pattern: bool = False,
    workers: int = 0,
) -> Block:
    """The rules of an instance.

    :param instance: its id, which is its user name as well; ``%u`` for whoever is connected.
    :param needs: what its services listen to; ``None`` if nobody knows, then it may read everything.
    :param pattern: whether the rules are for everybody.
    :param workers: how many processes run under this user name, each under an id of its own.
    """
    rules: list[Rule] = []
    for number in range(workers + 1):
        rules += _own(prefix, f"{instance}_{number}" if number else instance)
    rules += _shared_by_all(prefix, instance)
    if needs is None:
        why = "No application was named, so it may listen to everything: name them (module:app) for narrower rules."
        rules.append(Rule("read", f"{prefix}/#", why))
    else:
        seen: dict[str, str] = {}
        for need in needs:
            what = seen.get(need.filter)
            seen[need.filter] = f"{what}, {need.what}" if what else need.what
        rules += [Rule("read", text, f"{what[0].upper()}{what[1:]}.") for text, what in seen.items()]
    return Block(None if pattern else instance, tuple(rules), title)


def of_client(prefix: str, name: str) -> Block:
    """The rules of a person or a program that calls services and listens, such as the command line.

    Its instance id is made anew for each run, so that it is told from the instances by what it calls itself.
    """
    rules: list[Rule] = []
    for number, service in enumerate(("command_line", "client")):
        why = "" if number else "It sends as CommandLine or Client (`purista-fast invoke`, `connect()`), no service."
        rules.append(Rule("write", f"{prefix}/+/+/+/+/{service}/#", why))
    rules.append(
        Rule(
            "read",
            f"{prefix}/#",
            "`purista-fast listen` sees everything. For one that only invokes, put in its place:\n"
            f"topic read {prefix}/+/+/+/+/+/+/+/+/+/command_line/+/+\n"
            f"topic read {prefix}/+/+/+/+/+/+/+/+/+/client/+/+",
        )
    )
    topic = f"{doctor_topic(prefix, name)}/#"
    rules.append(Rule("readwrite", topic, "Where `purista-fast doctor` measures."))
    rules += [Rule("read", topic) for topic in _SYSTEM]
    return Block(name, tuple(rules), f"client {name}")


def everybody(prefix: str) -> Block:
    """The rules of anonymous clients: everything that belongs to this prefix."""
    return Block(
        "",
        (
            Rule("readwrite", f"{prefix}/#", "Whoever reaches the listener may send as anybody."),
            Rule("readwrite", f"purista_fast/{prefix}/#"),
            *(Rule("read", topic) for topic in _SYSTEM),
        ),
        "anonymous clients",
    )


def render(blocks: Iterable[Block], head: str) -> str:
    """The file. Rules of anonymous clients come first, as mosquitto wants it.

    :param head: the comment at the top.
    """
    lines = [f"# {line}".rstrip() for line in head.splitlines()]
    for block in sorted(blocks, key=lambda block: (block.user != "", block.user is not None)):
        lines += ["", f"# --- {block.title or block.user}"]
        if block.user:
            lines.append(f"user {block.user}")
        word = "pattern" if block.user is None else "topic"
        for rule in block.rules:
            lines += [f"# {line}" for line in rule.why.splitlines()]
            lines.append(f"{word} {rule.access} {rule.topic}")
    return "\n".join(lines) + "\n"


class Rules:
    """The rules of a file, as mosquitto applies them.

    >>> rules = Rules.parse("user a\\ntopic write x/#\\npattern read y/%u")
    >>> rules.allow("write", "x/1", user="a"), rules.allow("write", "x/1", user="b")
    (True, False)
    >>> rules.allow("read", "y/b", user="b")
    True
    """

    def __init__(self, blocks: Iterable[Block]) -> None:
        self._blocks = tuple(blocks)

    @classmethod
    def parse(cls, text: str) -> Rules:
        """Reads the text of a file; lines that it does not know are left out, as they allow nothing."""
        blocks: list[Block] = []
        user = ""
        for line in text.splitlines():
            word, _, rest = line.strip().partition(" ")
            rest = rest.strip()
            if word == "user":
                user = rest
            elif word in ("topic", "pattern") and rest:
                first, _, topic = rest.partition(" ")
                access: Access = "readwrite"
                if first in ("read", "write", "readwrite", "deny") and topic:
                    access, rest = first, topic.strip()  # type: ignore[assignment] # one of the words above
                blocks.append(Block(None if word == "pattern" else user, (Rule(access, rest),)))
        return cls(blocks)

    def allow(self, access: Literal["read", "write"], topic: str, *, user: str, client_id: str = "") -> bool:
        """Whether a user may read or write this very topic."""
        allowed = False
        for block in self._blocks:
            if block.user not in (None, user):
                continue
            for rule in block.rules:
                text = rule.topic
                if block.user is None:
                    text = text.replace("%u", user).replace("%c", client_id)
                if (rule.access == "deny" or access in rule.access) and _match(text, topic):
                    if rule.access == "deny":
                        return False
                    allowed = True
        return allowed


def read(file: Path) -> Rules:
    """The rules of a file.

    :raises ConfigError: if it cannot be read.
    """
    try:
        return Rules.parse(file.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"{file}: the access rules cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{file}: the access rules are not UTF-8") from None


def _match(text: str, topic: str) -> bool:
    tree: TopicTree[int] = TopicTree()
    try:
        tree.insert(text, 1)
        return bool(tree.match(topic))
    except WireError:
        return False  # mosquitto would not take such a rule


def _own(prefix: str, instance: str) -> list[Rule]:
    """What is of one process alone."""
    marker = marker_topic(prefix, instance)
    return [
        Rule("write", own_messages(prefix, instance), "It publishes under its own id as the sender, nobody else's."),
        Rule("read", own_answers(prefix, instance), "The answers to its commands, and what names it as the receiver."),
        Rule("readwrite", marker, "A retained marker, by which the outbox knows what the broker has saved."),
    ]


def _shared_by_all(prefix: str, instance: str) -> list[Rule]:
    """What every instance needs besides its services."""
    doctor = f"{doctor_topic(prefix, instance)}/#"
    presence = presence_filters(prefix)
    return [
        Rule("read", presence[0], "Who is there: services that start, are ready, stop or vanish."),
        *(Rule("read", topic) for topic in presence[1:]),
        Rule("readwrite", doctor, "Where `purista-fast doctor` measures."),
        *(Rule("read", topic) for topic in _SYSTEM),
    ]
