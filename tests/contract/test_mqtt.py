"""The contract on ``mqtt://``, every command through the broker."""

from tests.contract.bridges import Mqtt
from tests.contract.cases.batches import BatchCases
from tests.contract.cases.deadlines import DeadlineCases, LateAnswerCases
from tests.contract.cases.events import EventCases
from tests.contract.cases.failures import FailureCases
from tests.contract.cases.filters import FilterCases
from tests.contract.cases.guards import AllowListCases, GuardCases
from tests.contract.cases.handlers import ConfigCases, IsolationCases
from tests.contract.cases.health import HealthCases
from tests.contract.cases.invoke import InvokeCases
from tests.contract.cases.keeping import KeepingCases
from tests.contract.cases.lifecycle import StopCases
from tests.contract.cases.listen import ListenCases
from tests.contract.cases.presence import AliveCases
from tests.contract.cases.propagation import PropagationCases
from tests.contract.cases.remote import DurableCases, ProcessCases
from tests.contract.cases.threads import ThreadCases
from tests.contract.cases.timers import TimerCases


class TestInvoke(Mqtt, InvokeCases): ...


class TestFailures(Mqtt, FailureCases): ...


class TestDeadlines(Mqtt, DeadlineCases): ...


class TestThreads(Mqtt, ThreadCases): ...


class TestFilters(Mqtt, FilterCases): ...


class TestEvents(Mqtt, EventCases): ...


class TestPropagation(Mqtt, PropagationCases): ...


class TestIsolation(Mqtt, IsolationCases): ...


class TestGuards(Mqtt, GuardCases): ...


class TestAllowLists(Mqtt, AllowListCases): ...


class TestConfig(Mqtt, ConfigCases): ...


class TestStop(Mqtt, StopCases): ...


class TestTimers(Mqtt, TimerCases): ...


class TestListen(Mqtt, ListenCases): ...


class TestLateAnswers(Mqtt, LateAnswerCases): ...


class TestProcesses(Mqtt, ProcessCases): ...


class TestDurable(Mqtt, DurableCases): ...


class TestAlive(Mqtt, AliveCases): ...


class TestHealth(Mqtt, HealthCases): ...


class TestKeeping(Mqtt, KeepingCases): ...


class TestBatches(Mqtt, BatchCases): ...
