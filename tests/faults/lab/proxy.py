"""A TCP proxy in place of a network, where namespaces are not to be had: it delays, stalls, and cuts."""

from __future__ import annotations

import random
import socket
import threading
import time
from collections import deque
from contextlib import suppress

from tests.patience import patient

__all__ = ("ProxyNetwork",)

_PATIENCE = patient(10.0)
_RETRANSMISSION = 0.3
"""What a lost packet costs, in seconds: TCP would send it again after about that time."""


class ProxyNetwork:
    """The edge connects through the proxy, the core does not. A pulled cable is silence, as it is on a real one."""

    kind = "proxy"
    core_host = "127.0.0.1"

    def __init__(self) -> None:
        self.core: list[str] = []
        self.edge: list[str] = []
        self._port = 0
        self._delay, self._loss = 0.0, 0.0
        self._random = random.Random(1)
        self._flows = threading.Event()
        self._flows.set()
        self._is_closed = False
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def attach(self, port: int) -> None:
        self._port = port

    def edge_url(self) -> str:
        return f"mqtt://127.0.0.1:{self._listener.getsockname()[1]}"

    def core_url(self) -> str:
        return f"mqtt://127.0.0.1:{self._port}"

    def down(self) -> None:
        self._flows.clear()

    def up(self) -> None:
        # TCP would have given up some connections by now; here all of those from before end.
        self._close_all()
        self._flows.set()

    def blackhole(self, on: bool) -> None:
        if on:
            self._flows.clear()
        else:
            self.up()

    def shape(self, *, delay: float = 0.0, loss: float = 0.0) -> None:
        self._delay, self._loss = delay, loss

    def close(self) -> None:
        self._is_closed = True
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._close_all()
        self._flows.set()
        for thread in self._threads:
            thread.join(_PATIENCE)

    def _close_all(self) -> None:
        for sock in self._sockets:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        self._sockets.clear()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                here, _ = self._listener.accept()
                there = None
                while there is None and not self._is_closed:
                    self._flows.wait()
                    try:
                        there = socket.create_connection(("127.0.0.1", self._port))
                    except ConnectionRefusedError:
                        break
                if there is None:
                    here.close()
                    continue
                self._sockets += [here, there]
                for source, sink in [(here, there), (there, here)]:
                    thread = threading.Thread(target=self._pump, args=(source, sink), daemon=True)
                    self._threads.append(thread)
                    thread.start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        """Reads at once and writes when it is due, so that a delay is no limit to the rate."""
        under_way: deque[tuple[float, bytes]] = deque()
        arrived = threading.Condition()

        def deliver() -> None:
            with suppress(OSError):
                while True:
                    with arrived:
                        arrived.wait_for(lambda: bool(under_way))
                        due, data = under_way.popleft()
                    time.sleep(max(0.0, due - time.monotonic()))
                    self._flows.wait()
                    if not data:
                        break
                    sink.sendall(data)
            with suppress(OSError):
                sink.shutdown(socket.SHUT_RDWR)
            sink.close()

        thread = threading.Thread(target=deliver, daemon=True)
        thread.start()
        data = b"-"
        while data:
            try:
                data = source.recv(65536)
            except OSError:
                data = b""
            lost = _RETRANSMISSION if self._random.random() < self._loss else 0.0
            with arrived:
                under_way.append((time.monotonic() + self._delay + lost, data))
                arrived.notify()
        thread.join(_PATIENCE)
