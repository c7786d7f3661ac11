"""A session with the broker: one connection after the other, for as long as the application runs."""

from __future__ import annotations

import logging
import random
import ssl
from collections.abc import Awaitable, Callable

import anyio
from anyio.abc import TaskStatus
from paho.mqtt.client import MQTTMessage

from ...errors import BridgeError, ConfigError
from .broker import Broker
from .link import Connect, Link, LinkLost, Refused
from .sockets import open_socket

__all__ = ("Session",)

logger = logging.getLogger("purista_fast.bridge.mqtt")
_FIRST_DELAY = 0.1
_LONGEST_DELAY = 30.0
_STABLE = 10.0
"""After how many seconds a connection counts as one that works."""
_TAKEN_OVER = 0x8E
_KICKS = 5
"""After how many connections in a row that the broker accepted at once, and closed soon, we do not go on."""
_FINAL = frozenset((0x83, 0x84, 0x85, 0x86, 0x87, 0x8A, 0x8C, 0x90, 0x95, 0x9C, 0x9D))
"""Reason codes of a refusal that another attempt would meet as well."""


class Session:
    """Connects, and connects again whenever the connection breaks.

    :param label: what it is for, for people: ``"control"`` or ``"events"``.
    :param connect_timeout: how long an attempt may take, and all attempts of the start together, in seconds.
    :param on_up: subscribes what has to be, on each connection, before it is used.
    :param on_message: called for each PUBLISH; must not raise.
    """

    def __init__(
        self,
        label: str,
        broker: Broker,
        connect: Connect,
        *,
        connect_timeout: float,
        on_up: Callable[[Link], Awaitable[None]],
        on_message: Callable[[Link, MQTTMessage], None],
    ) -> None:
        self.link: Link | None = None
        """The connection, while there is one that is ready."""
        self.reconnects = 0
        self._label = label
        self._broker = broker
        self._connect = connect
        self._timeout = connect_timeout
        self._on_up = on_up
        self._on_message = on_message
        self._started = False
        self._stopping = anyio.Event()
        self._hurried = anyio.Event()
        self._up = anyio.Event()
        self._delay = _FIRST_DELAY
        self._kicks = 0

    async def run(self, *, task_status: TaskStatus[None]) -> None:
        """Keeps the session connected until :meth:`stop`; it has started once the first connection is ready.

        :raises BridgeError: if the first connection is refused or impossible, and whenever another process takes
            the session over.
        """
        began = anyio.current_time()
        while not self._stopping.is_set():
            up_since = None
            try:
                link = await self._open(self._timeout if self._started else self._left(began))
                if self._stopping.is_set():
                    link.close("closed by this side")
                    return
                up_since = anyio.current_time()
                reason = await self._serve(link, task_status)
                self._count_kick(anyio.current_time() - up_since)
            except (OSError, Refused, LinkLost, ConfigError) as error:
                self._kicks = 0
                reason = _reason(error, self._timeout)
                if not self._started:
                    self._give_up(error, reason, anyio.current_time() - began)
            if self._stopping.is_set():
                return
            if up_since is not None and anyio.current_time() - up_since > _STABLE:
                self._delay = _FIRST_DELAY
            level = logging.WARNING if self._started else logging.INFO
            logger.log(level, "%s connection to %s: %s; trying again", self._label, self._broker, reason)
            await self._back_off(began)

    async def stop(self, session_expiry: int) -> None:
        """Disconnects for good.

        :param session_expiry: how long the broker is to keep the session, in seconds.
        """
        self._stopping.set()
        self._hurried.set()
        if self.link is not None:
            await self.link.disconnect(session_expiry)

    async def hurry(self, timeout: float) -> None:
        """Tries again at once if the connection is lost, and waits until it is ready; not before the first one was.

        :param timeout: how long to wait at most, in seconds.
        """
        if self._started and self.link is None:
            self._hurried.set()
            with anyio.move_on_after(timeout):
                await self._up.wait()

    def _left(self, began: float) -> float:
        """What is left of the time for the start, in seconds; enough for one more attempt in any case."""
        return max(0.1, began + self._timeout - anyio.current_time())

    async def _open(self, timeout: float) -> Link:
        password = self._broker.password()
        sock = await open_socket(self._broker, timeout)
        try:
            return Link(sock, self._connect, self._broker.username, password, self._on_message)
        except BaseException:
            sock.close()
            raise

    async def _serve(self, link: Link, task_status: TaskStatus[None]) -> str:
        """Uses a connection until it is lost, and returns why it was.

        :raises Refused: if the broker refuses the connection or a subscription.
        :raises LinkLost: if the connection is lost before it is ready.
        :raises BridgeError: if another process has taken the session over.
        """
        failure: Exception | None = None
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(link.run)
                try:
                    with anyio.fail_after(self._timeout):
                        await link.accepted()
                        await self._on_up(link)
                    self._ready(link, task_status)
                    await link.lost.wait()
                except (Refused, LinkLost, TimeoutError) as error:
                    failure = error
                tasks.cancel_scope.cancel()
        finally:
            self.link = None
            self._up = anyio.Event()
            link.close("closed by this side")
        if link.code == _TAKEN_OVER and not self._stopping.is_set():
            raise self._taken_over("another process has connected")
        if failure is not None:
            raise failure
        return link.reason

    def _count_kick(self, lived: float) -> None:
        """Recognises a client id that two processes fight for on a broker that does not say so, as mosquitto 2.0.11.

        A broken link or a broker that restarts has attempts that fail in between.

        :raises BridgeError: if that goes on.
        """
        self._kicks = self._kicks + 1 if lived < _STABLE and not self._stopping.is_set() else 0
        if self._kicks >= _KICKS:
            raise self._taken_over(
                f"the broker has closed {_KICKS} connections soon after it accepted them; most likely "
                "another process has connected"
            )

    def _taken_over(self, what: str) -> BridgeError:
        return BridgeError(
            f"{what} to {self._broker} as {self._connect.client_id!r}, so the broker has closed our connection: give "
            "each process a bridge.instance_id of its own"
        )

    def _ready(self, link: Link, task_status: TaskStatus[None]) -> None:
        self.link = link
        self._up.set()
        if self._started:
            self.reconnects += 1
            logger.info("%s connection to %s: connected again", self._label, self._broker)
        else:
            self._started = True
            logger.debug("%s connection to %s as %s", self._label, self._broker, self._connect.client_id)
            task_status.started()

    def _give_up(self, error: Exception, reason: str, elapsed: float) -> None:
        """Raises the error that ends the start, if there is no point in another attempt or no time for one."""
        if isinstance(error, ConfigError):
            raise error
        if isinstance(error, Refused) and error.code in _FINAL:
            hint = _HINTS.get(error.code, "")
            raise BridgeError(f"the broker at {self._broker} refuses: {reason}{hint}") from error
        if isinstance(error, ssl.SSLCertVerificationError):
            raise BridgeError(
                f"the certificate of {self._broker} is not trusted: {error.verify_message}; name the certificate "
                "authority by bridge.ca_file, and the host as the certificate does"
            ) from error
        if elapsed >= self._timeout:
            what = "no TLS with the broker at" if isinstance(error, ssl.SSLError) else "no broker at"
            raise BridgeError(
                f"{what} {self._broker}: {reason} (tried for {elapsed:.1f} s; see bridge.url, bridge.connect_timeout)"
            ) from error

    async def _back_off(self, began: float) -> None:
        """Waits before the next attempt: a random part of a time that doubles, so that not all come at once."""
        seconds = random.uniform(0, self._delay)  # noqa: S311 - nothing secret
        if not self._started:
            seconds = min(seconds, self._left(began))
        with anyio.move_on_after(seconds):
            await self._hurried.wait()
        self._hurried = anyio.Event()
        self._delay = min(self._delay * 2, _LONGEST_DELAY)


_HINTS = {
    0x84: "; MQTT 5 is needed",
    0x85: "; choose another bridge.instance_id",
    0x86: "; check bridge.username and the password",
    0x87: "; check bridge.username and the password, and what they allow",
}


def _reason(error: Exception, timeout: float) -> str:
    if isinstance(error, ssl.SSLError):
        return error.reason or str(error)
    if isinstance(error, TimeoutError):
        return f"no answer within {timeout} s"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return str(error) or type(error).__name__
