"""For those who test their services.

>>> import anyio
>>> from purista_fast import Context, Service, testing
>>> thermo = Service("Thermo")
>>> @thermo.command
... async def double(ctx: Context, payload: int) -> int:
...     return payload * 2
>>> async def main():
...     return await double(testing.context(), 21)
>>> anyio.run(main)
42
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ._core import Address, Message
from .arguments import encode_arguments, encode_payload
from .bridges.base import Request
from .config import Settings
from .context import Context
from .definition import Command, Event
from .errors import StatusCode, UnhandledError
from .kept_settings import ConfigsSettings
from .schema import Codec
from .scope import Scope
from .stores import Stores
from .stores.memory import MemoryStates
from .stores.secrets import Secrets, secret_variable

__all__ = ("context", "emitted")


class TestRuntime:
    """Stands where a running application would: answers invocations as told, and remembers what was emitted."""

    __test__ = False

    def __init__(self, answers: Mapping[str, Any]) -> None:
        self.answers = dict(answers)
        self.invoked: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
        self.emitted: list[tuple[str, Any]] = []

    async def invoke(self, _scope: Scope, _origin: Any, command: Command[..., Any], args: Any, kwargs: Any) -> Any:
        """Gives the answer for the command, raises it if it is an exception, calls it if it is a function."""
        encode_arguments(command.base or command, args, kwargs)
        self.invoked.append((command.label, args, kwargs))
        if command.label not in self.answers:
            raise UnhandledError(
                StatusCode.BAD_GATEWAY, f"testing.context(answers=…) has no answer for {command.label!r}"
            )
        answer = self.answers[command.label]
        if isinstance(answer, Exception):
            raise answer
        return answer(*args, **kwargs) if callable(answer) else answer

    async def emit(
        self, _scope: Scope, _origin: Any, event: Event[Any] | str, payload: Any, _message_id: str | None = None
    ) -> None:
        """Checks the payload against the event's type and remembers both."""
        name = event.name if isinstance(event, Event) else event
        if isinstance(event, Event):
            encode_payload(event.codec, payload, f"event {name!r}")
        self.emitted.append((name, payload))


class TestStores(Stores):
    """Stores in memory."""

    __test__ = False

    def __init__(self, states: Mapping[str, Any], configs: Mapping[str, Any], secrets: Mapping[str, str]) -> None:
        settings = Settings()
        settings.configs = ConfigsSettings(values=dict(configs), allow_set=True, allow_remove=True)
        super().__init__(settings, "test")
        self._store = store = MemoryStates(settings.states.max_bytes)
        for key, value in states.items():
            store.put("Test", key, encode_payload(Codec(Any), value, f"state {key!r}"))
        self._secrets = Secrets(
            settings.secrets, "testing.context", {secret_variable(name): text for name, text in secrets.items()}
        )


def context(
    *,
    config: Any = None,
    resources: Any = None,
    answers: Mapping[str, Any] | None = None,
    trace_id: str | None = None,
    principal_id: str | None = None,
    tenant_id: str | None = None,
    message: Message | None = None,
    messages: Sequence[Message] = (),
    states: Mapping[str, Any] | None = None,
    configs: Mapping[str, Any] | None = None,
    secrets: Mapping[str, str] | None = None,
) -> Context[Any, Any]:
    """A context for calling a handler as the plain function that it is.

    :param answers: what ``ctx.invoke`` gives, by the command's label (``"User/1/sign_up"``): a value, an exception
        to raise, or a function of the arguments.
    :param messages: those of a batch; trace, principal and tenant follow from them.
    :param states: what is kept already; in memory, as all that the handler keeps.
    :param configs: what ``ctx.configs`` has; a handler may change them.
    :param secrets: what ``ctx.secrets`` has.
    """
    address = Address("Test", "1", "test", "test")
    runtime = TestRuntime(answers or {})
    stores = TestStores(states or {}, configs or {}, secrets or {})
    scope = Scope(runtime, address, stores, config=config, resources=resources)  # type: ignore[arg-type] # a stand-in
    scope.is_live = False
    origin = Request(
        sender=address,
        receiver=address,
        timeout=30.0,
        trace_id=trace_id or "0" * 31 + "1",
        principal_id=principal_id,
        tenant_id=tenant_id,
        message=message,
    )
    if messages:
        from .batches import origin_of

        origin = origin_of(origin, messages)
    return Context(scope, origin)


def emitted(ctx: Context[Any, Any]) -> list[tuple[str, Any]]:
    """What was emitted with a context of :func:`context`: names and payloads, in order."""
    runtime = ctx._scope.runtime
    assert isinstance(runtime, TestRuntime)
    return runtime.emitted
