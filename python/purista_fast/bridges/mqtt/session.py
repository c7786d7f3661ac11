"""A session with the broker: one connection after the other, for as long as the application runs."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Awaitable, Callable

import anyio
from anyio.abc import TaskStatus

from ..._core import Publish
from ...errors import BridgeError, ConfigError
from .broker import Broker
from .connect import Connect
from .link import Link, LinkLost, Refused
from .sockets import open_socket
from .token import TokenFailed
from .transports import make_transport

__all__ = ("Session",)

logger = logging.getLogger("purista_fast.bridge.mqtt")
_FIRST_DELAY = 0.1
_LONGEST_DELAY = 30.0
_STABLE = 10.0
"""A connection that did not last so many seconds may have been closed for another process."""
_USEFUL = 1.0
"""After a connection that lasted so many seconds the next attempt comes soon: a link may be up for short only."""
_TAKEN_OVER = 0x8E
_KICKS = 3
"""After how many connections in a row that were accepted, and closed soon, we ask whether another process is us."""
_STILL = 60.0
"""How long a session may do nothing, in seconds, beside four times ``connect_timeout``: more than a wait, an attempt,
and the question for a rival take together."""
_GLANCE = 2.0
"""How long a start that does not wait for the broker looks for it, in seconds."""
_FINAL = frozenset((0x83, 0x84, 0x85, 0x86, 0x87, 0x8A, 0x8C, 0x90, 0x95, 0x9C, 0x9D))
"""Reason codes of a refusal that another attempt would meet as well."""


class Session:
    """Connects, and connects again whenever the connection breaks.

    :param label: what it is for, for people: ``"control"`` or ``"events"``.
    :param connect_timeout: how long an attempt may take, and all attempts of the start together, in seconds.
    :param on_up: subscribes what has to be, on each connection, before it is used.
    :param on_message: called for each PUBLISH; must not raise.
    :param on_ready: called with each connection that is ready, the first one included.
    :param waits: whether the start waits for the broker; if not, it is over after the first attempt in any case.
    :param is_late: whether there is no start to wait for: another session has found no broker already.
    :param find_rival: tells whether another process uses the same client id; asked when connections are closed soon
        after they were accepted, again and again.
    :param is_patient: whether it never ends by itself: not even while another process uses the client id.
    """

    def __init__(
        self,
        label: str,
        broker: Broker,
        connect: Connect,
        *,
        connect_timeout: float,
        on_up: Callable[[Link], Awaitable[None]],
        on_message: Callable[[Link, Publish], None],
        on_ready: Callable[[], None] = lambda: None,
        waits: bool = True,
        is_late: bool = False,
        find_rival: Callable[[], Awaitable[bool]] | None = None,
        is_patient: bool = False,
    ) -> None:
        self.link: Link | None = None
        """The connection, while there is one that is ready."""
        self.reconnects = 0
        self.up_since: float | None = None
        """Since when there is :attr:`link`, in seconds of ``time.monotonic()``: the wall clock may jump."""
        self._label = label
        self._broker = broker
        self._connect = connect
        self._timeout = connect_timeout
        self._on_up = on_up
        self._on_message = on_message
        self._on_ready = on_ready
        self._waits = waits
        self._find_rival = find_rival
        self._is_patient = is_patient
        self._running = is_late or is_patient
        """Whether the start is over."""
        self._was_up = False
        self._stopping = anyio.Event()
        self._hurried = anyio.Event()
        self._up = anyio.Event()
        self._delay = _FIRST_DELAY
        self._kicks = 0
        self._moved_at = time.monotonic()
        """When it last began an attempt, in seconds of ``time.monotonic()``."""

    async def run(self, *, task_status: TaskStatus[None]) -> None:
        """Keeps the session connected until :meth:`stop`; it has started once the first connection is ready.

        A session that does not wait has started after the first attempt as well, if there was no broker. What another
        attempt would meet as well, such as a wrong password, ends the start in any case.

        :raises BridgeError: if the first connection is refused or impossible, and whenever another process takes
            the session over.
        """
        began = anyio.current_time()
        if self._running:
            task_status.started()
        while not self._stopping.is_set():
            self._moved_at = time.monotonic()
            up_since = None
            try:
                link = await self._open(self._patience(began))
                if self._stopping.is_set():
                    link.close("closed by this side")
                    return
                up_since = anyio.current_time()
                try:
                    reason = await self._serve(link, task_status)
                finally:
                    self._count_kick(link, anyio.current_time() - up_since)
            except BridgeError as error:
                if not self._is_patient:
                    raise
                reason = str(error)
                self._delay = _LONGEST_DELAY
            except (OSError, Refused, LinkLost, ConfigError, TokenFailed) as error:
                if up_since is None:
                    self._kicks = 0
                reason = _reason(error, self._patience(began))
                if not self._running:
                    self._give_up(error, reason, anyio.current_time() - began)
                    self._start_without(reason, task_status)
            if self._stopping.is_set():
                return
            if up_since is not None and anyio.current_time() - up_since > _USEFUL:
                self._delay = _FIRST_DELAY
            level = logging.WARNING if self._running else logging.INFO
            logger.log(level, "%s connection to %s: %s; trying again", self._label, self._broker, reason)
            await self._look_for_rival()
            await self._back_off(began)

    async def stop(self, session_expiry: int) -> None:
        """Disconnects for good.

        :param session_expiry: how long the broker is to keep the session, in seconds.
        """
        self._stopping.set()
        self._hurried.set()
        if self.link is not None:
            await self.link.disconnect(session_expiry)

    def ailment(self) -> str | None:
        """Tells if it looks neither after a connection nor for one, which it always does until :meth:`stop`."""
        moved_at = self._moved_at if self.link is None else max(self._moved_at, self.link.checked_at)
        still = time.monotonic() - moved_at
        if self._stopping.is_set() or still < _STILL + 4 * self._timeout:
            return None
        return f"the {self._label} session with {self._broker} has done nothing for {still:.0f} s"

    async def hurry(self, timeout: float) -> None:
        """Tries again at once if there is no connection, and waits until it is ready; not before the start is over.

        :param timeout: how long to wait at most, in seconds.
        """
        if self._running and self.link is None:
            self._hurried.set()
            with anyio.move_on_after(timeout):
                await self._up.wait()

    def _left(self, began: float) -> float:
        """What is left of the time for the start, in seconds; enough for one more attempt in any case."""
        return max(0.1, began + self._timeout - anyio.current_time())

    def _patience(self, began: float) -> float:
        """How long an attempt may take now, in seconds."""
        if self._running:
            return self._timeout
        return self._left(began) if self._waits else min(self._timeout, _GLANCE)

    async def _open(self, timeout: float) -> Link:
        end = anyio.current_time() + timeout
        password = await self._broker.secret(timeout)
        sock = await open_socket(self._broker, max(0.1, end - anyio.current_time()))
        try:
            transport = make_transport(self._broker.transport)
            return Link(sock, transport, self._connect, self._broker.username, password, self._on_message)
        except ValueError as error:
            sock.close()
            what = "bridge.username, the password, bridge.instance_id or the will"
            raise ConfigError(f"{what} cannot be sent to {self._broker}: {error}") from None
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
                    with anyio.fail_after(self._timeout if self._waits or self._running else _GLANCE):
                        await link.accepted()
                        await self._on_up(link)
                    self._ready(link, task_status)
                    await link.lost.wait()
                except (Refused, LinkLost, TimeoutError) as error:
                    failure = error
                tasks.cancel_scope.cancel()
        finally:
            self.link = self.up_since = None
            self._up = anyio.Event()
            link.close("closed by this side")
        if link.code == _TAKEN_OVER and not self._stopping.is_set():
            raise self._taken_over("another process has connected")
        if failure is not None:
            raise failure
        return link.reason

    def _count_kick(self, link: Link, lived: float) -> None:
        """Counts connections in a row that were accepted and did not last.

        A client id that two processes fight for looks like that on a broker that does not say so, as mosquitto 2.0.11;
        but so does a link that comes and goes, if no attempt falls into the time when it is away.
        """
        self._kicks = self._kicks + 1 if link.is_accepted and lived < _STABLE else 0

    async def _look_for_rival(self) -> None:
        """Asks whether another process uses the client id, if it looks like that.

        :raises BridgeError: if so. The other one, which has answered, goes on.
        """
        if self._kicks < _KICKS or self._find_rival is None:
            return
        self._kicks = 0
        if await self._find_rival():
            error = self._taken_over("another process has connected")
            if not self._is_patient:
                raise error
            logger.error("%s", error)
            self._delay = _LONGEST_DELAY

    def _taken_over(self, what: str) -> BridgeError:
        return BridgeError(
            f"{what} to {self._broker} as {self._connect.client_id!r}, so the broker has closed our connection: give "
            "each process a bridge.instance_id of its own"
        )

    def _ready(self, link: Link, task_status: TaskStatus[None]) -> None:
        self.link = link
        self.up_since = time.monotonic()
        self._up.set()
        if self._was_up:
            self.reconnects += 1
            logger.info("%s connection to %s: connected again", self._label, self._broker)
        else:
            self._was_up = True
            level = logging.INFO if self._running else logging.DEBUG
            logger.log(level, "%s connection to %s as %s", self._label, self._broker, self._connect.client_id)
        if not self._running:
            self._running = True
            task_status.started()
        self._on_ready()

    def _start_without(self, reason: str, task_status: TaskStatus[None]) -> None:
        """Ends the start although there is no broker, if that is wanted."""
        if self._waits:
            return
        self._running = True
        logger.warning(
            "%s connection to %s: %s; started without it (bridge.wait_for_broker is false)",
            *(self._label, self._broker, reason),
        )
        task_status.started()

    def _give_up(self, error: Exception, reason: str, elapsed: float) -> None:
        """Raises the error that ends the start, if there is no point in another attempt or no time for one."""
        if isinstance(error, ConfigError):
            raise error
        if isinstance(error, Refused) and error.code in _FINAL:
            hint = _HINTS.get(error.code, "")
            raise BridgeError(f"the broker at {self._broker} refuses: {reason}{hint}") from error
        if untrusted := getattr(error, "verify_message", None):
            raise BridgeError(
                f"the certificate of {self._broker} is not trusted: {untrusted}; name the certificate "
                "authority by bridge.ca_file, and the host as the certificate does"
            ) from error
        if self._waits and elapsed >= self._timeout:
            what = "no TLS with the broker at" if _is_of_tls(error) else "no broker at"
            what = "no token for the broker at" if isinstance(error, TokenFailed) else what
            raise BridgeError(
                f"{what} {self._broker}: {reason} (tried for {elapsed:.1f} s; see bridge.url, bridge.connect_timeout)"
            ) from error

    async def _back_off(self, began: float) -> None:
        """Waits before the next attempt: a random part of a time that doubles, so that not all come at once."""
        import random  # most connections last

        seconds = random.uniform(0, self._delay)  # noqa: S311 - nothing secret
        if not self._running:
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


def _is_of_tls(error: Exception) -> bool:
    """Whether it is an ``ssl.SSLError``: where there is none, OpenSSL need not be loaded to say so."""
    ssl = sys.modules.get("ssl")
    return ssl is not None and isinstance(error, ssl.SSLError)


def _reason(error: Exception, timeout: float) -> str:
    if _is_of_tls(error):
        return getattr(error, "reason", None) or str(error)
    if isinstance(error, TimeoutError):
        return f"no answer within {timeout} s"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return str(error) or type(error).__name__
