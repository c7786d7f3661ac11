"""Start-up: from the start of the process until it says that it is ready."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

from purista_fast.bench.startup import Start, observe

from .. import idle
from ..mqtt_broker import broker
from ..peers import PYTHON as PEERS

__all__ = ("starts",)

STARTS = 20


def starts(script: Path, folder: Path, *, with_peer: bool) -> list[dict[str, Any]]:
    """Each of them in turn, so that all see the same machine."""
    with ExitStack() as stack:
        folder.mkdir(parents=True)
        port = stack.enter_context(broker(folder / "broker"))
        python = str(script.with_name("python"))
        program = [str(script), "run", "purista_fast.bench.idle:app"]
        ready = " is ready as instance "
        sides = {
            "purista-fast, memory://": lambda: observe([*program, "--bridge=memory://"], ready, python),
            "purista-fast, mqtt://": lambda: observe([*program, f"--bridge=mqtt://127.0.0.1:{port}"], ready, python),
        }
        if with_peer:
            sides["FastStream, MQTT"] = lambda: observe([str(idle.FASTSTREAM), str(port)], "is ready", str(PEERS))
        found: dict[str, list[Start]] = {name: [] for name in sides}
        for number in range(STARTS + 1):
            for name, side in sides.items():
                start = side()
                if number:  # the first one warms up
                    found[name].append(start)
    return [
        {
            "what": name,
            "least": round(min(one.ready for one in all) * 1e3, 1),
            "median": round(median(one.ready for one in all) * 1e3, 1),
            "starts": len(all),
        }
        for name, all in found.items()
    ]
