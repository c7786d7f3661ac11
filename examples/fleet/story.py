"""The whole story on one machine: two brokers, three devices, an application in the cloud, and a link that is cut.

``python story.py [SECONDS]``: the device ``greenhouse`` and the device ``cellar`` run wholly in memory, ``gateway`` on
a broker of its own; each shares digests and alarms with a broker in the cloud, over a link that is cut for a third of
the time. Exit status 0 if in the end the cloud has what the devices have told, and nothing else.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
from anyio.abc import Process
from fleet import Device, Limit, devices, limit
from link import Link

from purista_fast import Client, ServiceError, connect

HERE = Path(__file__).parent
DEVICES = ("greenhouse", "cellar", "gateway")
SETTLE = 30.0
"""How long the cloud may take to get what is still on its way, in seconds."""
_MOSQUITTO = """\
listener {port} 127.0.0.1
allow_anonymous true
set_tcp_nodelay true
max_inflight_messages 1000
max_queued_messages 100000
"""


class Told:
    """What a device said of itself last."""

    def __init__(self) -> None:
        self.digests = self.alarms = self.waiting = 0
        self.ended = False


class Story:
    """All that runs, and what is known of it."""

    def __init__(self, seconds: float, link: Link, client: Client, told: dict[str, Told]) -> None:
        self.seconds = seconds
        self.link = link
        self.client = client
        self.told = told
        self.cloud: dict[str, Device] = {}
        self.news = ""
        self._height = 0
        self._began = anyio.current_time()

    async def play(self, tasks: anyio.abc.TaskGroup) -> None:
        """What happens: a limit is set on one device, the link is cut, and comes back."""
        third = self.seconds / 3
        await self.until(third / 2)
        await self.set_limit("gateway", "memory", 0.5)
        await self.until(third)
        self.link.cut()
        self.say("the link is cut: the devices go on, and keep what they have to tell")
        await self.until(2 * third)
        await self.link.keep(tasks)
        self.say("the link is back")
        await self.until(self.seconds)

    async def caught_up(self) -> None:
        """Waits until the devices have nothing left to send: a device that stops before keeps it for its next start."""
        with anyio.move_on_after(SETTLE):
            while any(one.waiting for one in self.told.values()):
                await anyio.sleep(0.2)

    async def set_limit(self, device: str, sensor: str, above: float) -> None:
        """Has the cloud set a limit on one device."""
        try:
            await self.client.invoke(limit, Limit(device, sensor, above))
        except ServiceError as error:
            self.say(f"the cloud could not set a limit on {device}: {error}")
        else:
            self.say(f"the cloud has set a limit on {device}: {sensor} at most {above:g}")

    async def until(self, elapsed: float) -> None:
        """Shows how things stand, until so many seconds have passed."""
        while anyio.current_time() - self._began < elapsed:
            await self.ask()
            self.draw()
            await anyio.sleep(0.5 if sys.stdout.isatty() else 2.0)

    async def ask(self) -> None:
        """Asks the cloud what it has."""
        self.cloud = {device.name: device for device in await self.client.invoke(devices)}

    def agrees(self) -> bool:
        """Whether the cloud has of each device what that has told."""
        return all(
            (found := self.cloud.get(name)) is not None and (found.digests, found.alarms) == (told.digests, told.alarms)
            for name, told in self.told.items()
        )

    def say(self, news: str) -> None:
        """What has happened."""
        self.news = news
        if not sys.stdout.isatty():
            print(news, flush=True)

    def draw(self) -> None:
        """All of it on one screen."""
        elapsed = anyio.current_time() - self._began
        state = "up" if self.link.is_up else "CUT"
        lines = [
            f"{elapsed:5.1f} s  link {state}  up {self.link.up_bytes / 1000:.1f} kB  down "
            f"{self.link.down_bytes / 1000:.1f} kB",
            f"{'device':<12}{'digests':>9}{'alarms':>8}{'to send':>9}   in the cloud{'digests':>9}{'alarms':>8}",
        ]
        for name, told in self.told.items():
            there = self.cloud.get(name, Device(name))
            above = f"  above its limit: {', '.join(there.raised)}" if there.raised else ""
            counts = f"{told.digests:9}{told.alarms:8}{told.waiting:9}"
            lines.append(f"{name:<12}{counts}               {there.digests:9}{there.alarms:8}{above}")
        if sys.stdout.isatty():
            width = shutil.get_terminal_size().columns
            lines.append(self.news)
            back = f"\x1b[{self._height}F\x1b[J" if self._height else ""
            self._height = len(lines)
            print(back + "\n".join(line[: width - 1] for line in lines), flush=True)
        else:
            print("\n".join(lines), flush=True)


async def run(seconds: float, folder: Path) -> bool:
    """Plays the story; whether the counts agree in the end."""
    agree = False
    with ExitStack() as stack:
        cloud_port = stack.enter_context(mosquitto(folder / "cloud"))
        gateway_port = stack.enter_context(mosquitto(folder / "gateway"))
        link = Link(cloud_port)
        told = {name: Told() for name in DEVICES}
        own = {"gateway": {"url": f"mqtt://127.0.0.1:{gateway_port}"}}
        url = f"mqtt://127.0.0.1:{cloud_port}"
        async with anyio.create_task_group() as tasks:
            await link.keep(tasks)
            cloud = stack.enter_context(cloud_application(folder, url))
            processes = [await start(folder, name, link.port, own.get(name, {"url": "memory://"})) for name in DEVICES]
            for name, process in zip(DEVICES, processes, strict=True):
                tasks.start_soon(listen_to, process, told[name])
            async with connect(url, overrides={"storage": {"state_dir": str(folder / "client")}}) as client:
                await ready(client, cloud)
                story = Story(seconds, link, client, told)
                try:
                    await story.play(tasks)
                    await story.caught_up()
                finally:
                    for process in processes:
                        process.send_signal(signal.SIGTERM)
                story.say("the devices have stopped")
                with anyio.move_on_after(SETTLE):
                    while not (all(one.ended for one in told.values()) and story.agrees()):
                        await anyio.sleep(0.2)
                        await story.ask()
                story.draw()
                agree = story.agrees()
            tasks.cancel_scope.cancel()
    return agree


@contextmanager
def mosquitto(folder: Path) -> Iterator[int]:
    """A broker for the time of the block; gives its port."""
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/local/sbin:/usr/sbin")
    if program is None:
        raise SystemExit("mosquitto is missing: apt-get install mosquitto")
    folder.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    (folder / "mosquitto.conf").write_text(_MOSQUITTO.format(port=port))
    process = subprocess.Popen([program, "-c", str(folder / "mosquitto.conf")], stderr=subprocess.DEVNULL)
    try:
        yield port
    finally:
        process.terminate()
        process.wait(10)


@contextmanager
def cloud_application(folder: Path, url: str) -> Iterator[subprocess.Popen[bytes]]:
    """The application in the cloud, for the time of the block."""
    environment = {
        **os.environ,
        "PURISTA_BRIDGE__URL": url,
        "PURISTA_BRIDGE__INSTANCE_ID": "cloud",
        "PURISTA_STORAGE__STATE_DIR": str(folder / "state_cloud"),
    }
    command = [sys.executable, "-m", "purista_fast.cli", "run", "fleet:app"]
    with (folder / "cloud.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=HERE, env=environment, stderr=log)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(20)


async def ready(client: Client, cloud: subprocess.Popen[bytes]) -> None:
    """Waits until the application in the cloud answers."""
    while True:
        if cloud.poll() is not None:
            raise SystemExit("the application in the cloud has ended")
        try:
            await client.invoke(devices.using(timeout=1.0))
        except ServiceError:
            continue
        return


async def start(folder: Path, name: str, port: int, bridge: dict[str, Any]) -> Process:
    """A device, in a process of its own."""
    settings = {
        "bridge": {**bridge, "instance_id": name},
        "storage": {"state_dir": str(folder / f"state_{name}")},
        "config": {"Digest": {"window": 1.0}},
        "uplink": {
            "url": f"mqtt://127.0.0.1:{port}",
            "events": ["digest", "alarm"],
            "commands": ["Watch/1/*"],
            "event": {"alarm": {"priority": 10}},
        },
    }
    command = [sys.executable, str(HERE / "device.py"), json.dumps(settings)]
    with (folder / f"{name}.log").open("wb") as log:
        return await anyio.open_process(command, cwd=HERE, stderr=log)


async def listen_to(process: Process, told: Told) -> None:
    """Notes what a device says of itself."""
    assert process.stdout is not None
    rest = b""
    async for data in process.stdout:
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            for key, value in json.loads(line).items():
                setattr(told, key, value)


def main() -> int:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 30.0
    with tempfile.TemporaryDirectory(prefix="fleet") as folder:
        agree = anyio.run(run, seconds, Path(folder))
        if not agree:
            for log in sorted(Path(folder).glob("*.log")):
                print(f"--- {log.stem}\n{log.read_text(errors='replace')[-2000:]}", file=sys.stderr)
    print("the counts agree" if agree else "the counts do NOT agree")
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())
