"""One command on many instances."""

from __future__ import annotations

from typing import Any, ParamSpec, TypeVar

import anyio

from .client import Client
from .context import Context
from .definition import Command
from .errors import DefinitionError, ServiceError
from .presence import ask

__all__ = ("each",)

P = ParamSpec("P")
R = TypeVar("R")


class each:  # noqa: N801 - it is called like a function
    """Instances of which a command is to run on each: those that are named, or all that are alive and serve it.

    >>> from purista_fast import App, Context, Service, each
    >>> service = Service("Watch")
    >>> @service.command
    ... async def set_limit(ctx: Context, payload: float) -> float:
    ...     return payload
    >>> async def main():
    ...     async with App(service).serve(overrides={"bridge": {"instance_id": "greenhouse_7"}}) as client:
    ...         return await each(client).invoke(set_limit, 30.0)
    >>> import anyio
    >>> anyio.run(main)
    {'greenhouse_7': 30.0}

    :param caller: a client, or the context of a handler.
    :param at_once: how many are called at the same time.
    :param wait: where none is named: how long to wait for who is alive, in seconds; all of it is waited.
    """

    def __init__(
        self, caller: Client | Context[Any, Any], *instances: str, at_once: int = 50, wait: float = 1.0
    ) -> None:
        self._caller = caller
        self._instances = dict.fromkeys(instances)
        self._at_once = at_once
        self._wait = wait

    async def invoke(self, command: Command[P, R], /, *args: P.args, **kwargs: P.kwargs) -> dict[str, R | ServiceError]:
        """Has the command run on each, and gives its result, or the error, by instance id; in no particular order.

        Options of the calls are given by ``command.using(timeout=2.0)``.

        :raises UnhandledError: where none is named: 503 if there is no connection to ask who is alive.
        :raises DefinitionError: as :meth:`Context.invoke`, and in a test where none is named.
        :raises TypeError: as :meth:`Context.invoke`.
        """
        instances = list(self._instances) or await self._serving(command)
        found: dict[str, R | ServiceError] = {}
        room = anyio.Semaphore(self._at_once)
        failure: Exception | None = None

        async def one(instance_id: str) -> None:
            nonlocal failure
            async with room:
                try:
                    result: R = await self._caller.invoke(command.using(instance_id=instance_id), *args, **kwargs)
                    found[instance_id] = result
                except ServiceError as error:
                    found[instance_id] = error
                except Exception as error:  # noqa: BLE001 - a mistake of the caller's, raised below without a group
                    failure = failure or error
                    tasks.cancel_scope.cancel()

        async with anyio.create_task_group() as tasks:
            for instance_id in instances:
                tasks.start_soon(one, instance_id)
        if failure is not None:
            raise failure
        return found

    async def _serving(self, command: Command[..., Any]) -> list[str]:
        caller = self._caller
        if isinstance(caller, Client):
            alive = await caller.alive(self._wait)
        elif caller.is_live:
            scope = caller._scope
            alive = await ask(scope.runtime.bridge, scope.address, self._wait)
        else:
            raise DefinitionError("each(ctx) asks who is alive, and in a test nobody is: name the instances")
        wanted = (command.service_name, command.service_version)
        return [one.instance_id for one in alive if wanted in one.services]
