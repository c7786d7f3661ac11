"""Who is there: an application tells others what runs in it, and asks them the same."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import anyio
import msgspec

from ._core import Address, Message, new_traceparent
from .bridges.base import Consumer, EventBridge
from .errors import BridgeError, StatusCode, UnhandledError
from .runtime import function_added

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

    from .definition import Command

__all__ = ("QUESTION", "Instance", "Presence", "ask")

logger = logging.getLogger("purista_fast.app")

QUESTION = "whoIsAlive"
"""The name of the event to which every application answers by its ``infoServiceReady``."""
_BIRTH = ("infoServiceInit", "infoServiceFunctionAdded", "infoServiceReady")
_READY = "infoServiceReady"
_GAP = 0.25
"""Seconds between two answers at least: whoever asks in between gets the next one."""
_SPREAD = 0.1
"""Within how many seconds the answers of many instances are spread."""
_MOST = 10_000
"""How many instances :func:`ask` tells apart at most."""


class Announced(Protocol):
    """What others are told of a service."""

    @property
    def name(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def commands(self) -> Mapping[str, Command[..., Any]]: ...


class Instance(msgspec.Struct, frozen=True, kw_only=True):
    """An application that runs somewhere."""

    instance_id: str
    services: list[tuple[str, str]]
    """Name and version of what runs in it, sorted."""
    since: float | None
    """When it started, in Unix time of the clock here; ``None`` if it does not tell, as PURISTA's."""
    last_seen: float
    """When its last answer came, in Unix time of the clock here."""


class _Ready(msgspec.Struct, rename="camel"):
    """The payload of ``infoServiceReady``."""

    up_for: float | None = None
    """For how many seconds the instance has been running: by its monotonic clock, which does not jump."""


class Presence:
    """Tells what runs here: at the start, after each lost connection, to whoever asks, and at the end.

    :param services: what runs here; without any there is nothing to tell.
    :param patience: how long a message may wait for room, in seconds.
    """

    def __init__(self, bridge: EventBridge, services: Sequence[Announced], patience: float) -> None:
        self._bridge = bridge
        self._services = services
        self._patience = patience
        self._began = time.monotonic()
        self._wanted = anyio.Event()
        self._is_born = False
        """Whether others were told all there is."""
        self._is_ending = False

    async def start(self, tasks: TaskGroup) -> None:
        """Tells that the application is there, as soon as there is a connection; then answers who asks.

        :param tasks: where that runs.
        """
        if not self._services:
            return
        self._bridge.on_connected(self._want)
        await self._listen()
        if self._bridge.is_connected:
            self._is_born = await self.tell(*_BIRTH)
        else:
            self._want()
        tasks.start_soon(self._keep_telling, name="presence")

    async def drain(self) -> None:
        """Tells that the application takes nothing new, and answers nobody any more."""
        self._is_ending = True
        await self.tell("infoServiceDrain")

    async def shut_down(self) -> None:
        """Tells that the application ends."""
        self._is_ending = True
        await self.tell("infoServiceShutdown")

    async def tell(self, *message_types: str) -> bool:
        """Sends these messages of each service, and returns whether that was done.

        That nobody takes them is no reason not to start or stop; without a connection it is not even tried.
        """
        if not self._bridge.is_connected:
            if self._services:
                logger.info("%s: not sent, for there is no connection", " and ".join(message_types))
            return False
        with anyio.move_on_after(self._patience):
            for service in self._services:
                for message_type in message_types:
                    for message in self._news(service, message_type):
                        await self._send(message)
            return True
        logger.warning("%s: nobody took that in %s s", " and ".join(message_types), self._patience)
        return False

    def _want(self) -> None:
        self._wanted.set()

    async def _listen(self) -> None:
        async def asked(_: Message) -> None:
            self._want()

        question = Consumer(
            address=Address("PuristaFast", "1", "presence", self._bridge.instance_id),
            subscription={"eventName": QUESTION},
            message_types=("customMessage",),
            handle=asked,
            shared=False,
            capacity=1,  # questions that come together have one answer
            drop_oldest=True,
        )
        try:
            await self._bridge.tap(question)
        except BridgeError as error:
            logger.warning("nobody can ask whether this instance is alive: %s", error)

    async def _keep_telling(self) -> None:
        while True:
            await self._wanted.wait()
            import random  # imported once somebody asks, for on memory:// hardly anybody does

            # Many instances hear one question, or meet one broker that is back.
            await anyio.sleep(random.uniform(0, _SPREAD))  # noqa: S311 - nothing secret
            self._wanted = anyio.Event()
            if self._is_ending:
                return
            if self._bridge.is_connected:
                self._is_born = await self.tell(*([_READY] if self._is_born else _BIRTH)) or self._is_born
            await anyio.sleep(_GAP)

    def _news(self, service: Announced, message_type: str) -> Iterator[Message]:
        payload: bytes | None = None
        if message_type == _READY:
            payload = msgspec.json.encode(_Ready(round(time.monotonic() - self._began, 3)))
        added = message_type == "infoServiceFunctionAdded"
        for target, about in _functions(service) if added else [("", payload)]:
            yield Message(
                message_type,
                sender=Address(service.name, service.version, target, self._bridge.instance_id),
                payload=about,
                traceparent=new_traceparent(),
            )

    async def _send(self, message: Message) -> None:
        try:
            await self._bridge.emit(message, self._patience)
        except UnhandledError as error:
            logger.warning("%s of %s was not sent: %s", message.message_type, message.sender.service_name, error)


async def ask(bridge: EventBridge, address: Address, timeout: float) -> list[Instance]:
    """Asks who is alive, and gives all who answer in time, by instance id.

    :param address: who asks.
    :param timeout: how long to wait for answers, in seconds; all of it is waited.
    :raises UnhandledError: 503 if there is no connection, or the question is not taken in that time.
    """
    if not bridge.is_connected:
        raise UnhandledError(StatusCode.SERVICE_UNAVAILABLE, "there is no connection to ask over")
    found: dict[str, Instance] = {}

    async def answered(message: Message) -> None:
        sender, now = message.sender, time.time()
        instance_id = sender.instance_id or ""
        known = found.get(instance_id)
        if known is None and len(found) >= _MOST:
            return
        services = {*(known.services if known else ()), (sender.service_name, sender.service_version)}
        up_for = _up_for(message)
        found[instance_id] = Instance(
            instance_id=instance_id,
            services=sorted(services),
            since=now - up_for if up_for is not None else known.since if known else None,
            last_seen=now,
        )

    answers = Consumer(
        address=address,
        subscription={},
        message_types=(_READY,),
        handle=answered,
        shared=False,
        capacity=_MOST,
        drop_oldest=True,
    )
    remove = await bridge.tap(answers)
    try:
        end = anyio.current_time() + timeout
        question = Message("customMessage", sender=address, event_name=QUESTION, traceparent=new_traceparent())
        with anyio.fail_after(timeout):
            await bridge.emit(question, timeout)
        await anyio.sleep_until(end)
    except TimeoutError:
        raise UnhandledError(
            StatusCode.SERVICE_UNAVAILABLE, f"the question who is alive was not taken within {timeout} s"
        ) from None
    finally:
        with anyio.CancelScope(shield=True):
            await remove()
    return sorted(found.values(), key=lambda instance: instance.instance_id)


def _up_for(message: Message) -> float | None:
    try:
        return msgspec.json.decode(message.payload or b"{}", type=_Ready).up_for
    except msgspec.MsgspecError:
        return None  # of somebody who writes something else there


def _functions(service: Announced) -> list[tuple[str, bytes]]:
    encode = msgspec.json.Encoder().encode
    return [(name, encode(function_added(command.signature))) for name, command in service.commands.items()]
