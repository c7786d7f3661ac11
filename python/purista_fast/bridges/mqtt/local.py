"""Commands that are served in the process of their caller: they do not travel, but whoever subscribes them is told."""

from __future__ import annotations

from collections.abc import Awaitable

from ..._core import Address, new_id
from ...config import BridgeSettings
from ..base import Endpoint, Request
from ..deadline import limiter
from ..messages import command_message, response_message, timeout_message
from ..routes import Route, names
from ..workers import Workers
from .aside import Aside
from .serving import Serving

__all__ = ("Local",)

_ECHOES = 10_000
"""How many success events may be on their way back as answers that nobody waits for."""


class Local:
    """Runs commands in the task of their caller, as in memory."""

    def __init__(
        self,
        settings: BridgeSettings,
        instance_id: str,
        serving: Serving,
        workers: Workers,
        aside: Aside,
    ) -> None:
        self.echoes: dict[str, None] = {}
        """Correlation ids of own success events, which come back as answers that nobody waits for."""
        self.timeouts = 0
        self._settings = settings
        self._instance_id = instance_id
        self._serving = serving
        self._workers = workers
        self._aside = aside
        self._routes: dict[Address, Route | None] = {}

    def start(self) -> None:
        """Makes ready for the event loop that runs now."""
        self._limited, _ = limiter(self._on_timeout)

    def forget_routes(self) -> None:
        """Decides anew what runs here: who subscribes, or what is served, has changed."""
        self._routes.clear()

    def find(self, receiver: Address) -> Route | None:
        """How a command runs here; ``None`` if it goes through the broker."""
        try:
            return self._routes[receiver]
        except KeyError:
            route = self._routes[receiver] = self._route(receiver)
            return route

    def invoke(self, route: Route, request: Request) -> Awaitable[bytes]:
        """Runs a command; see :class:`EventBridge`."""
        if route.endpoint.success_event is not None:
            return self._invoke_and_tell(route.endpoint, request)
        return self._limited(route.endpoint.execute(request), request)

    def _route(self, receiver: Address) -> Route | None:
        endpoint = self._serving.endpoints.get(Address(*names(receiver)))
        if endpoint is None or receiver.instance_id not in (None, self._instance_id):
            return None
        if self._serving.is_draining:
            # What still runs here may need it, and from the broker it would not come any more.
            return Route(endpoint, self._workers.dispatcher.could_match)
        if self._settings.local_commands == "broker":
            return None
        route = Route(endpoint, self._workers.dispatcher.could_match)
        told = route.success_is_seen and endpoint.success_event is None
        return None if route.command_is_seen or route.error_is_seen or told else route

    async def _invoke_and_tell(self, endpoint: Endpoint, request: Request) -> bytes:
        """Runs a command whose success is an event."""
        command = request.message = command_message(request, new_id())
        request.reply = None  # the result is seen by others than the caller: the command itself must check it
        data = await self._limited(endpoint.execute(request), request)
        response = response_message(command, endpoint.address, data, endpoint.success_event)
        if len(self.echoes) >= _ECHOES:
            self.echoes.pop(next(iter(self.echoes)))
        self.echoes[response.correlation_id or ""] = None
        # The answer is decided: what becomes of its event changes nothing. Room for it is waited for nevertheless, so
        # that callers feel a broker that takes less than they give.
        event = self._aside.begin(response, endpoint.keeping)
        if event is not None:
            await self._aside.admitted(event, self._settings.queue_timeout)
        return data

    def _on_timeout(self, request: Request) -> None:
        self.timeouts += 1
        self._aside.report(timeout_message(request))
