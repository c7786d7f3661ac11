"""A second process of the suite, told by one JSON argument what to be; ends when its input does.

It writes a JSON line for each thing that happens: ``["ready", instance_id]``, then ``[subscription, payload, …]``.
"""

import json
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import anyio
from anyio import to_thread

from purista_fast import App, Context, Event, HandledError, Service, StatusCode, remote


@remote("Main", "1")
async def countdown(ctx: Context, payload: int) -> int: ...  # type: ignore[empty-body]


def say(*line: Any) -> None:
    print(json.dumps(line), flush=True)


def listen(service: Service, name: str, options: dict[str, Any], hang: bool) -> None:
    @service.subscription(Event(options.pop("event"), int), name=name, **options)
    async def on(ctx: Context, payload: int) -> None:
        say(name, payload, ctx.trace_id, ctx.principal_id, ctx.tenant_id)
        if hang:
            await anyio.sleep_forever()


def build(what: dict[str, Any]) -> Service:
    service = Service(what["service"])

    @service.command
    async def whoami(ctx: Context) -> str:
        return ctx.instance_id

    @service.command
    async def seen(ctx: Context, payload: int, *, by: int = 2) -> list[Any]:
        return [payload * by, ctx.trace_id, ctx.principal_id, ctx.tenant_id, ctx.message.sender.service_name]

    @service.command
    async def refuse(ctx: Context, payload: bool) -> None:
        raise HandledError(StatusCode.CONFLICT, "refused", [1]) if payload else RuntimeError("the secret")

    @service.command
    async def ping_pong(ctx: Context, payload: int) -> int:
        return 1 + await ctx.invoke(countdown, payload - 1) if payload else 0

    @service.command
    async def hang(ctx: Context) -> None:
        say("hanging")
        await anyio.sleep_forever()

    @service.command
    async def tell(ctx: Context, payload: int) -> None:
        for number in range(payload):
            await ctx.emit(Event("told", int), number)

    for name, options in what.get("listens", {}).items():
        listen(service, name, options, what.get("hangs", False))
    return service


async def main(what: dict[str, Any]) -> None:
    async with App(build(what)).serve(overrides=what["tree"]) as client:
        say("ready", client.instance_id)
        read: Callable[[], bytes] = partial(sys.stdin.buffer.read)
        await to_thread.run_sync(read, abandon_on_cancel=True)


if __name__ == "__main__":
    anyio.run(main, json.loads(sys.argv[1]), backend=sys.argv[2])
