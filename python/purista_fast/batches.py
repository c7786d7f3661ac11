"""Messages that one run of a handler is for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec

from ._core import Context, Message
from .bridges.base import Gathering, Request
from .definition import Subscription
from .scope import Scope

__all__ = ("Batched", "gathering", "origin_of")


class Batched(Request, kw_only=True):
    """Where the messages begin that a batch causes."""

    messages: tuple[Message, ...]


def origin_of(root: Request, messages: Sequence[Message]) -> Batched:
    """What a batch is handled for: trace, principal and tenant are those of its messages where all have the same one,
    or else a new trace, and nobody's."""
    first = messages[0]
    if all(_trace(message) == _trace(first) for message in messages):
        root.trace_id, root.traceparent = first.trace_id, first.traceparent or root.traceparent
    if all(message.principal_id == first.principal_id for message in messages):
        root.principal_id = first.principal_id
    if all(message.tenant_id == first.tenant_id for message in messages):
        root.tenant_id = first.tenant_id
    return Batched(**{**msgspec.structs.asdict(root), "message": first, "messages": tuple(messages)})


def _trace(message: Message) -> str:
    return message.trace_id or (message.traceparent or "")[3:35]


def gathering(
    subscription: Subscription[..., Any],
    scope: Scope,
    run: Callable[[Context[Any, Any], Any, Mapping[str, Any]], Awaitable[Any]],
    failed: Callable[[BaseException], BaseException],
) -> Gathering | None:
    """How a subscription with a batch is run by a bridge.

    :param run: the handler between its guards.
    :param failed: told of what it raised; gives what to raise.
    """
    batch, codec = subscription.batch, subscription.item
    if batch is None or codec is None:
        return None

    decode = codec.decode
    may_be_called = not subscription.message_types or "command" in subscription.message_types

    def read(message: Message) -> Any:
        try:
            data = message.call()[0] if may_be_called and message.message_type == "command" else message.payload
            try:
                return codec.reject(None, "payload") if data is None else decode(data)
            except (msgspec.MsgspecError, RecursionError) as error:
                codec.reject(data, "payload", error)
        except Exception as error:
            failed(error)
            raise

    async def handle(messages: Sequence[Message], payloads: list[Any]) -> None:
        try:
            origin = origin_of(scope.runtime.root(scope), messages)
            await run(Context(scope, origin), payloads, {})
        except (Exception, asyncio.CancelledError) as error:
            other = failed(error)
            if other is error:
                raise
            raise other from error

    return Gathering(batch=batch, read=read, handle=handle)
