"""The contract on ``memory://``."""

from tests.contract.bridges import Memory
from tests.contract.cases.batches import BatchCases
from tests.contract.cases.bounds import BoundsCases
from tests.contract.cases.deadlines import DeadlineCases
from tests.contract.cases.events import EventCases
from tests.contract.cases.failures import FailureCases
from tests.contract.cases.filters import FilterCases
from tests.contract.cases.guards import AllowListCases, GuardCases
from tests.contract.cases.handlers import ConfigCases, IsolationCases
from tests.contract.cases.health import HealthCases
from tests.contract.cases.invoke import InvokeCases
from tests.contract.cases.lifecycle import StopCases
from tests.contract.cases.listen import ListenCases
from tests.contract.cases.presence import AliveCases
from tests.contract.cases.propagation import PropagationCases
from tests.contract.cases.threads import ThreadCases
from tests.contract.cases.timers import TimerCases


class TestInvoke(Memory, InvokeCases): ...


class TestFailures(Memory, FailureCases): ...


class TestDeadlines(Memory, DeadlineCases): ...


class TestThreads(Memory, ThreadCases): ...


class TestFilters(Memory, FilterCases): ...


class TestEvents(Memory, EventCases): ...


class TestPropagation(Memory, PropagationCases): ...


class TestIsolation(Memory, IsolationCases): ...


class TestGuards(Memory, GuardCases): ...


class TestAllowLists(Memory, AllowListCases): ...


class TestConfig(Memory, ConfigCases): ...


class TestStop(Memory, StopCases): ...


class TestTimers(Memory, TimerCases): ...


class TestListen(Memory, ListenCases): ...


class TestBounds(Memory, BoundsCases): ...


class TestAlive(Memory, AliveCases): ...


class TestHealth(Memory, HealthCases): ...


class TestBatches(Memory, BatchCases): ...
