"""Runs the handlers that run by the clock, and remembers over restarts when they did."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from .definition import Timer
from .schedules import Cron, Every, chance, check_times

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

    from .config import Settings
    from .policy import Trust
    from .runtime import Runtime
    from .scope import Scope
    from .stores import Stores

__all__ = ("Timers",)


class Timers:
    """The timers of one run of an application."""

    def __init__(self, runtime: Runtime, stores: Stores, settings: Settings) -> None:
        self._runtime = runtime
        self._stores = stores
        self._trust: Trust = settings.states.trust_clock
        self._timers: list[tuple[Timer, Scope]] = []
        self._scope = anyio.CancelScope()
        self._ended: anyio.Event | None = None
        """Set once none runs any more; ``None`` before they have begun."""

    def add(self, timer: Timer, scope: Scope) -> None:
        """Adds one; before :meth:`start`.

        :raises ConfigError: if the configuration does not say when it runs.
        """
        check_times(timer.schedule, scope.config, scope.label)
        self._timers.append((timer, scope))

    def start(self, tasks: TaskGroup) -> None:
        """Runs them until :meth:`cancel`."""
        self._ended = anyio.Event()
        tasks.start_soon(self._run, self._ended, name="timers")

    def cancel(self) -> None:
        """Begins none any more, and cancels those that run."""
        self._scope.cancel()

    async def ended(self, timeout: float) -> None:
        """Waits for the end of those that run, at most so many seconds."""
        if self._ended is not None:
            # One whose time had come when it was cancelled runs once more, and must find the bridge.
            with anyio.move_on_after(timeout):
                await self._ended.wait()

    async def _run(self, ended: anyio.Event) -> None:
        try:
            with self._scope:
                async with anyio.create_task_group() as tasks:
                    kept: list[tuple[Timer, Scope]] = []
                    for timer, scope in self._timers:
                        if isinstance(timer.schedule, Cron) or timer.schedule.missed == "run_once":
                            kept.append((timer, scope))
                        else:
                            tasks.start_soon(self._repeat, timer.schedule, timer, scope)
                    if kept:
                        from .timers_kept import KeptTimers  # most applications have none

                        await KeptTimers(self._runtime, self._stores, self._trust).run(kept)
        finally:
            ended.set()

    async def _repeat(self, schedule: Every, timer: Timer, scope: Scope) -> None:
        """The plain case, of which nothing is kept: by the monotonic clock."""
        interval, jitter = schedule.interval_for(scope.config, scope.label), schedule.jitter
        due = anyio.current_time() + interval
        while True:
            await anyio.sleep_until(due + chance(jitter))
            await self._runtime.tick(timer, scope)
            # What came due during the run is left out.
            due += interval * max(1, -(-(anyio.current_time() - due) // interval))
