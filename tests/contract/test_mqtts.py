"""The contract on ``mqtts://``, every command through the broker."""

from tests.contract.bridges import Mqtts
from tests.contract.cases.batches import BatchCases
from tests.contract.cases.deadlines import DeadlineCases, LateAnswerCases
from tests.contract.cases.events import EventCases
from tests.contract.cases.failures import FailureCases
from tests.contract.cases.filters import FilterCases
from tests.contract.cases.guards import AllowListCases, GuardCases
from tests.contract.cases.handlers import ConfigCases, IsolationCases
from tests.contract.cases.invoke import InvokeCases
from tests.contract.cases.keeping import KeepingCases
from tests.contract.cases.lifecycle import StopCases
from tests.contract.cases.listen import ListenCases
from tests.contract.cases.propagation import PropagationCases
from tests.contract.cases.remote import DurableCases, ProcessCases
from tests.contract.cases.threads import ThreadCases
from tests.contract.cases.timers import TimerCases


class TestInvoke(Mqtts, InvokeCases): ...


class TestFailures(Mqtts, FailureCases): ...


class TestDeadlines(Mqtts, DeadlineCases): ...


class TestThreads(Mqtts, ThreadCases): ...


class TestFilters(Mqtts, FilterCases): ...


class TestEvents(Mqtts, EventCases): ...


class TestPropagation(Mqtts, PropagationCases): ...


class TestIsolation(Mqtts, IsolationCases): ...


class TestGuards(Mqtts, GuardCases): ...


class TestAllowLists(Mqtts, AllowListCases): ...


class TestConfig(Mqtts, ConfigCases): ...


class TestStop(Mqtts, StopCases): ...


class TestTimers(Mqtts, TimerCases): ...


class TestListen(Mqtts, ListenCases): ...


class TestLateAnswers(Mqtts, LateAnswerCases): ...


class TestProcesses(Mqtts, ProcessCases): ...


class TestDurable(Mqtts, DurableCases): ...


class TestKeeping(Mqtts, KeepingCases): ...


class TestBatches(Mqtts, BatchCases): ...
