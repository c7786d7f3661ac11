"""Carries IP packets between two TUN devices, each in a network namespace, late or not at all: netem in user space.

The kernels at both ends run their real TCP over it: retransmissions, congestion windows, keep-alives. Its arguments are
the device's name and two namespaces; its input are lines of JSON with ``delay`` (seconds, each way) and ``loss`` (a
probability), each answered by ``ok``; it ends when its input does.
"""

from __future__ import annotations

import ctypes
import fcntl
import heapq
import json
import os
import random
import selectors
import struct
import sys
import time
from itertools import count

_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000
_CLONE_NEWNET = 0x40000000
_LARGEST = 65536
_QUEUE = 20000
"""How many packets are under way at most; more are dropped, as by any router."""


def open_tun(device: str, namespace: str) -> int:
    """A TUN device in a namespace; it lives as long as its file is open."""
    libc = ctypes.CDLL(None, use_errno=True)
    handle = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    if libc.setns(handle, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), f"setns {namespace}")
    os.close(handle)
    file = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(file, _TUNSETIFF, struct.pack("16sH22x", device.encode(), _IFF_TUN | _IFF_NO_PI))
    return file


class Carrier:
    """Packets under way, by when they arrive."""

    def __init__(self, first: int, second: int) -> None:
        self.delay, self.loss = 0.0, 0.0
        self._other = {first: second, second: first}
        self._under_way: list[tuple[float, int, int, bytes]] = []
        self._numbers = count()
        self._random = random.Random(1)

    def take(self, source: int) -> None:
        """Reads what the kernel sends, until there is no more."""
        while True:
            try:
                packet = os.read(source, _LARGEST)
            except BlockingIOError:
                return
            if len(self._under_way) >= _QUEUE or self._random.random() < self.loss:
                continue
            if self.delay:
                due = time.monotonic() + self.delay
                heapq.heappush(self._under_way, (due, next(self._numbers), self._other[source], packet))
            else:
                self._put(self._other[source], packet)

    def deliver(self) -> float | None:
        """Hands over what is due; seconds until the next."""
        now = time.monotonic()
        while self._under_way and self._under_way[0][0] <= now:
            _, _, target, packet = heapq.heappop(self._under_way)
            if self.loss < 1:
                self._put(target, packet)
        return self._under_way[0][0] - now if self._under_way else None

    def _put(self, target: int, packet: bytes) -> None:
        try:
            os.write(target, packet)
        except OSError as error:
            if error.errno not in (5, 11):  # EIO: the device is down; EAGAIN: its queue is full. Both lose a packet.
                raise


def main(device: str, first: str, second: str) -> None:
    carrier = Carrier(*(ends := [open_tun(device, first), open_tun(device, second)]))
    selector = selectors.DefaultSelector()
    for end in ends:
        selector.register(end, selectors.EVENT_READ)
    selector.register(sys.stdin, selectors.EVENT_READ)
    os.write(1, b"ok\n")
    wait: float | None = None
    while True:
        for key, _ in selector.select(wait):
            if key.fileobj is not sys.stdin:
                carrier.take(key.fd)
                continue
            line = sys.stdin.readline()
            if not line:
                return
            wanted = json.loads(line)
            carrier.delay, carrier.loss = wanted["delay"], wanted["loss"]
            os.write(1, b"ok\n")
        wait = carrier.deliver()


if __name__ == "__main__":
    main(*sys.argv[1:])
