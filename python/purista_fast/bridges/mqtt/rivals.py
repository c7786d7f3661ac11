"""Another process that runs as the same instance: asked for by a connection that cannot be taken over."""

from __future__ import annotations

import logging

import anyio
import msgspec

from ..._core import (
    Address,
    Message,
    Publish,
    WireError,
    decode,
    encode,
    new_id,
    pack_properties,
    subscription_filter,
)
from ...errors import BridgeError, ConfigError
from .broker import Broker
from .connect import Connect
from .link import Link, LinkLost, Refused
from .sockets import open_socket
from .token import TokenFailed
from .transports import make_transport

__all__ = ("Rivals",)

logger = logging.getLogger("purista_fast.bridge.mqtt")
_QUESTION, _ANSWER = "whoIsThisInstance", "thisIsThisInstance"
_PATIENCE = 3.0
"""How long the other one has for its answer, in seconds: it may be on its way back itself."""
_AGAIN = 0.3
"""Seconds between two questions."""
_SERVICE = ("PuristaFast", "1", "instance")


class _Payload(msgspec.Struct):
    """Who speaks, and whom it answers: random numbers, new with each start of a process."""

    process: str
    answers: str = ""


class Rivals:
    """Finds out whether another process runs as this instance.

    A broker closes the older of two connections with one client id, and need not say why. A link that comes and goes
    looks the same. So while we are away, a connection under another client id publishes a question to the address of
    this instance; what answers with another process id than ours is another process.

    :param timeout: how long it may take to connect, in seconds.
    """

    def __init__(self, broker: Broker, instance_id: str, prefix: str, *, timeout: float) -> None:
        self._broker = broker
        self._instance_id = instance_id
        self._prefix = prefix
        self._timeout = timeout
        self._process = new_id()
        self._address = Address(*_SERVICE, instance_id)
        self._filter = subscription_filter(
            {
                "messageType": "customMessage",
                "eventName": _ANSWER,
                "receiver": {
                    **dict(zip(("serviceName", "serviceVersion", "serviceTarget"), _SERVICE, strict=True)),
                    "instanceId": instance_id,
                },
            },
            shared=False,
            prefix=prefix,
        )

    def answer(self, message: Message) -> Message | None:
        """What a message to this instance is answered with, if another process asks whether we are there."""
        if message.message_type != "customMessage" or message.event_name != _QUESTION:
            return None
        asker = _payload(message)
        if asker is None or asker.process == self._process:
            return None
        logger.warning(
            "another process has tried to connect to %s as instance %r, and is told that this one is here",
            *(self._broker, self._instance_id),
        )
        return self._message(_ANSWER, _Payload(self._process, asker.process))

    async def find(self) -> bool:
        """Whether another process runs as this instance; ``False`` also if that cannot be found out now."""
        try:
            with anyio.fail_after(self._timeout + _PATIENCE):
                return await self._ask()
        except (OSError, Refused, LinkLost, ConfigError, TokenFailed) as error:
            logger.info(
                "whether another process runs as %r could not be found out: %s", self._instance_id, _text(error)
            )
            return False

    async def refuse(self) -> None:
        """Sees that nobody runs as this instance, before it is retired.

        :raises BridgeError: if somebody does.
        """
        if await self.find():
            raise BridgeError(
                f"instance {self._instance_id!r} is running: a process that is connected to {self._broker} answers to "
                "that name. Stop it first"
            )

    async def _ask(self) -> bool:
        found = anyio.Event()

        def arrived(link: Link, arrived: Publish) -> None:
            if arrived.qos:
                link.acknowledge(arrived.mid)
            if self._is_proof(arrived):
                found.set()

        connect = Connect(
            client_id=f"{self._instance_id}_p{new_id()[:8]}",
            clean_start=True,
            session_expiry=0,
            receive_maximum=16,
            max_packet_size=64 * 1024,
            max_payload_size=16 * 1024,
            keep_alive=10,
        )
        password = await self._broker.secret(self._timeout)
        sock = await open_socket(self._broker, self._timeout)
        try:
            transport = make_transport(self._broker.transport)
            link = Link(sock, transport, connect, self._broker.username, password, arrived)
        except BaseException:
            sock.close()
            raise
        failure: Exception | None = None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(link.run)
            try:
                await link.accepted()
                await link.subscribe([(self._filter, 1)])
                with anyio.move_on_after(_PATIENCE):
                    while not found.is_set() and link.is_up:
                        question = self._message(_QUESTION, _Payload(self._process))
                        link.publish(question.topic(self._prefix), encode(question), pack_properties(question, 1))
                        with anyio.move_on_after(_AGAIN):
                            await found.wait()
                await link.disconnect(0)
            except (Refused, LinkLost) as error:
                failure = error
            finally:
                link.close("closed by this side")
                tasks.cancel_scope.cancel()
        if failure is not None and not found.is_set():
            raise failure
        return found.is_set()

    def _is_proof(self, arrived: Publish) -> bool:
        """Whether a message is the answer of another process to a question of ours."""
        try:
            message = decode(arrived.payload)
        except WireError:
            return False
        payload = _payload(message)
        return payload is not None and payload.answers == self._process and payload.process != self._process

    def _message(self, event: str, payload: _Payload) -> Message:
        return Message(
            "customMessage",
            sender=self._address,
            receiver=self._address,
            event_name=event,
            payload=msgspec.json.encode(payload),
        )


def _payload(message: Message) -> _Payload | None:
    try:
        return msgspec.json.decode(message.payload or b"", type=_Payload)
    except msgspec.MsgspecError:
        return None


def _text(error: Exception) -> str:
    return str(error) or type(error).__name__
