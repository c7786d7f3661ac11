"""A mosquitto for benchmarks, and a tap that records what a client sends to it."""

from __future__ import annotations

import getpass
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

__all__ = ("Publish", "Tap", "broker", "find")

_PATIENCE = 10.0
# What `purista-fast mosquitto` writes as well; the default of 20 makes every client wait for the network.
_CONFIGURATION = """\
user {user}
log_type none
allow_anonymous true
max_inflight_messages 1000
max_queued_messages 100000
set_tcp_nodelay {nodelay}
listener {port} 127.0.0.1
"""


def find() -> str | None:
    """Where mosquitto is; ``None`` if it is not installed."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/local/sbin:/usr/sbin")


@contextmanager
def broker(folder: Path, *, nodelay: bool = True) -> Iterator[int]:
    """A broker that runs within the block; gives its port.

    :param nodelay: whether TCP_NODELAY is on, as in our configurations; mosquitto as it comes has it off.
    """
    program = find()
    assert program is not None, "mosquitto is not installed"
    port = _free_port()
    folder.mkdir()
    file = folder / "mosquitto.conf"
    file.write_text(
        _CONFIGURATION.format(user=getpass.getuser(), nodelay="true" if nodelay else "false", port=port), "utf-8"
    )
    process = subprocess.Popen([program, "-c", str(file)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + _PATIENCE
        while not _listens(port):
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError("mosquitto did not start")
            time.sleep(0.02)
        yield port
    finally:
        process.terminate()
        process.wait(_PATIENCE)


@dataclass(frozen=True, slots=True)
class Publish:
    """A PUBLISH as it was sent."""

    topic: str
    properties: bytes
    """With their length in front."""
    payload: bytes

    def as_dict(self) -> dict[str, str]:
        return {"topic": self.topic, "properties": self.properties.hex(), "payload": self.payload.hex()}


class Tap:
    """Stands between one client at a time and the broker, and keeps what the clients send."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._recorded: list[bytearray] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def published(self, topic_part: str) -> Publish:
        """The last PUBLISH of QoS 1 on a topic with this part.

        :raises LookupError: if there is none.
        """
        found = [
            publish
            for stream in self._recorded
            for header, packet in _packets(bytes(stream))
            if header & 0xF6 == 0x32 and topic_part in (publish := _publish(packet)).topic
        ]
        if not found:
            raise LookupError(f"nothing was published on a topic with {topic_part}")
        return found[-1]

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._to))
                stream = bytearray()
                self._recorded.append(stream)
                for pair in ((client, server, stream), (server, client, None)):
                    threading.Thread(target=_carry, args=pair, daemon=True).start()


def _carry(source: socket.socket, sink: socket.socket, stream: bytearray | None) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            if stream is not None:
                stream += data
            sink.sendall(data)
    sink.close()


def _packets(stream: bytes) -> Iterator[tuple[int, bytes]]:
    """First byte and body of each packet."""
    at = 0
    while at < len(stream):
        length, start = _variable(stream, at + 1)
        yield stream[at], stream[start : start + length]
        at = start + length


def _publish(packet: bytes) -> Publish:
    end = 2 + int.from_bytes(packet[:2], "big")
    start = end + 2  # the packet id
    length, first = _variable(packet, start)
    return Publish(packet[2:end].decode(), packet[start : first + length], packet[first + length :])


def _variable(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        number |= (data[at] & 0x7F) << shift
        at += 1
        if data[at - 1] < 0x80:
            return number, at
        shift += 7


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
