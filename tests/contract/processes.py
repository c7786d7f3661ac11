"""Second processes for the cases that need them."""

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import PIPE
from typing import Any

import anyio
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from tests.contract.harness import Harness
from tests.contract.helpers import PATIENCE, Inbox

ROOT = Path(__file__).parents[2]


class Peer:
    """A running ``peers/peer.py``: what it said, line by line, without the first one."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.instance_id = ""
        self.said: Inbox[list[Any]] = Inbox()
        self.ready = anyio.Event()

    async def read(self) -> None:
        assert self.process.stdout is not None
        lines = BufferedByteReceiveStream(self.process.stdout)
        try:
            while True:
                line = json.loads(await lines.receive_until(b"\n", 1_000_000))
                if line[0] == "ready":
                    self.instance_id = line[1]
                    self.ready.set()
                else:
                    self.said.put(line)
        except (anyio.EndOfStream, anyio.IncompleteRead):
            self.ready.set()

    def payloads(self, subscription: str) -> list[int]:
        """What one of its subscriptions got."""
        return [line[1] for line in self.said.items if line[0] == subscription]


@asynccontextmanager
async def peer(
    harness: Harness,
    service: str,
    *,
    listens: dict[str, dict[str, Any]] | None = None,
    backend: str = "asyncio",
    hangs: bool = False,
    **overrides: Any,
) -> AsyncIterator[Peer]:
    """A second process that serves ``service``, with a state of its own; it is asked to stop at the end of the block.

    :param listens: the arguments of its subscriptions, by name.
    """
    state = {"state_dir": str(harness.state_dir / overrides.pop("state", service))}
    tree = harness.tree({**overrides, "storage": state})
    what = {"service": service, "listens": listens or {}, "tree": tree, "hangs": hangs}
    command = [sys.executable, "-m", "tests.contract.peers.peer", json.dumps(what), backend]
    async with await anyio.open_process(command, stdin=PIPE, stdout=PIPE, stderr=None, cwd=ROOT) as process:
        running = Peer(process)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(running.read)
            try:
                with anyio.fail_after(PATIENCE):
                    await running.ready.wait()
                assert running.instance_id, "the peer did not start"
                yield running
            finally:
                with anyio.CancelScope(shield=True), anyio.move_on_after(PATIENCE):
                    assert process.stdin is not None
                    if process.returncode is None:
                        await process.stdin.aclose()
                    await process.wait()
                if process.returncode is None:
                    process.kill()
        assert process.returncode in (0, -9), f"the peer ended with {process.returncode}"
