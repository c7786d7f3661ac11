"""The contract on ``mqtt://`` by default: commands that are served here do not travel."""

from tests.contract.bridges import MqttLocal
from tests.contract.cases.batches import BatchCases
from tests.contract.cases.deadlines import DeadlineCases
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
from tests.contract.cases.threads import ThreadCases
from tests.contract.cases.timers import TimerCases


class TestInvoke(MqttLocal, InvokeCases): ...


class TestFailures(MqttLocal, FailureCases): ...


class TestDeadlines(MqttLocal, DeadlineCases): ...


class TestThreads(MqttLocal, ThreadCases): ...


class TestFilters(MqttLocal, FilterCases): ...


class TestEvents(MqttLocal, EventCases): ...


class TestPropagation(MqttLocal, PropagationCases): ...


class TestIsolation(MqttLocal, IsolationCases): ...


class TestGuards(MqttLocal, GuardCases): ...


class TestAllowLists(MqttLocal, AllowListCases): ...


class TestConfig(MqttLocal, ConfigCases): ...


class TestStop(MqttLocal, StopCases): ...


class TestTimers(MqttLocal, TimerCases): ...


class TestListen(MqttLocal, ListenCases): ...


class TestKeeping(MqttLocal, KeepingCases): ...


class TestBatches(MqttLocal, BatchCases): ...
