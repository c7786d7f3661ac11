"""Options that several commands share."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import wraps
from typing import Any

import click
import msgspec

from ..app import connect
from ..client import Client
from ..config import load
from ..urls import public_url
from . import logs
from .find import find_app

__all__ = ("Connection", "backend", "check_backend", "connection", "json_value", "origin", "settings", "verbose")

Function = Callable[..., Any]


def _remember(ctx: click.Context, _: click.Parameter, value: bool) -> bool:
    if value and ctx.obj is not None:
        ctx.obj["verbose"] = True
    return value


verbose = click.option(
    "--verbose", is_flag=True, is_eager=True, callback=_remember, help="Show tracebacks, and log all there is."
)
backend = click.option(
    "--backend", type=click.Choice(["asyncio", "trio"]), default="asyncio", show_default=True, help="The event loop."
)


def settings(function: Function) -> Function:
    """``--bridge``, ``--profile`` and ``--config``."""
    for option in (
        click.option(
            "--config", metavar="FILE", help="The configuration file.  [default: purista.toml, if it is there]"
        ),
        click.option("--profile", metavar="NAME", help="The profile of the configuration."),
        click.option("--bridge", metavar="URL", help="memory://, mqtt://host:port or mqtts://host:port."),
    ):
        function = option(function)
    return function


def origin(function: Function) -> Function:
    """``--principal``, ``--tenant`` and ``--trace``."""
    for option in (
        click.option("--trace", metavar="ID", help="The trace id to go on with."),
        click.option("--tenant", metavar="ID", help="The tenant in whose realm."),
        click.option("--principal", metavar="ID", help="The principal on whose behalf."),
    ):
        function = option(function)
    return function


class Connection(msgspec.Struct, frozen=True, kw_only=True):
    """Where a command finds the services: behind a bridge, or in an application that it runs itself."""

    app: str | None
    bridge: str | None
    profile: str | None
    config: str | None
    verbose: bool

    @asynccontextmanager
    async def open(self, target: str) -> AsyncIterator[Client]:
        """A client, for the time of the block.

        :param target: what the client calls itself in its address.
        :raises click.UsageError: if the bridge reaches nobody.
        """
        logs.set_up("DEBUG" if self.verbose else "WARNING", verbose=self.verbose)
        if self.app is not None:
            app = find_app(self.app)
            async with app.serve(bridge=self.bridge or "memory://", profile=self.profile, config=self.config) as client:
                yield client
            return
        overrides = {"bridge": {"url": self.bridge}} if self.bridge else {}
        found = load(self.config, profile=self.profile, overrides=overrides)
        if found.bridge.url.startswith("memory:"):
            raise click.UsageError(
                f"{public_url(found.bridge.url)} ends with this process, so there is nobody to reach: name a broker "
                "with --bridge mqtt://…, or run the services here with --app module:app"
            )
        async with connect(
            name="CommandLine", target=target, profile=self.profile, config=self.config, overrides=overrides
        ) as client:
            yield client


def connection(function: Function) -> Function:
    """``--app``, the settings and ``--verbose``, as :class:`Connection` in the argument ``connection``."""

    @wraps(function)
    def with_connection(
        *args: Any,
        app: str | None,
        bridge: str | None,
        profile: str | None,
        config: str | None,
        verbose: bool,
        **kwargs: Any,
    ) -> Any:
        found = Connection(app=app, bridge=bridge, profile=profile, config=config, verbose=verbose)
        return function(*args, connection=found, **kwargs)

    in_process = click.option(
        "--app", metavar="MODULE:APP", help="Run this application here, on memory:// unless --bridge says otherwise."
    )
    return in_process(settings(verbose(with_connection)))


def check_backend(name: str) -> None:
    """Tells in time that an event loop is not installed.

    :raises click.UsageError: with what to install.
    """
    if importlib.util.find_spec(name) is None:
        raise click.UsageError(f"{name} is not installed: pip install 'purista-fast[{name}]'")


def json_value(text: str, what: str) -> Any:
    """The value that a JSON text stands for; ``-`` reads it from standard input.

    :raises click.BadParameter: if it is no JSON.
    """
    data = sys.stdin.buffer.read() if text == "-" else text.encode("utf-8", "surrogateescape")
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise click.BadParameter(f"the {what} is no JSON: {error}") from None
