"""A link that can be cut: what devices connect to instead of the broker in the cloud."""

from __future__ import annotations

import socket

import anyio
from anyio.abc import SocketStream, TaskGroup

__all__ = ("Link",)


class Link:
    """Carries connections to a port of this machine, until it is cut; counts what it carries.

    :param to: the port of the broker.
    """

    def __init__(self, to: int) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port: int = probe.getsockname()[1]
        self.is_up = False
        self.up_bytes = 0
        self.down_bytes = 0
        self._to = to
        self._scope = anyio.CancelScope()

    async def keep(self, tasks: TaskGroup) -> None:
        """Is up from now on."""
        self._scope = anyio.CancelScope()
        self.is_up = True
        await tasks.start(self._serve)

    def cut(self) -> None:
        """Breaks all connections, and takes none until :meth:`keep`."""
        self.is_up = False
        self._scope.cancel()

    async def _serve(self, *, task_status: anyio.abc.TaskStatus[None]) -> None:
        with self._scope:
            listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=self.port, reuse_port=False)
            async with listener:
                task_status.started()
                await listener.serve(self._carry)

    async def _carry(self, here: SocketStream) -> None:
        async with here, await anyio.connect_tcp("127.0.0.1", self._to) as there, anyio.create_task_group() as tasks:
            for stream in (here, there):
                stream.extra(anyio.abc.SocketAttribute.raw_socket).setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            tasks.start_soon(self._pump, here, there, True, tasks.cancel_scope)
            tasks.start_soon(self._pump, there, here, False, tasks.cancel_scope)

    async def _pump(self, source: SocketStream, sink: SocketStream, is_up: bool, both: anyio.CancelScope) -> None:
        try:
            async for data in source:
                if is_up:
                    self.up_bytes += len(data)
                else:
                    self.down_bytes += len(data)
                await sink.send(data)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass  # one of them has gone
        both.cancel()
