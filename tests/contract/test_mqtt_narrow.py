"""The contract on ``mqtt://`` at receive maximum 1."""

from tests.contract.bridges import MqttNarrow
from tests.contract.cases.keeping import KeepingCases
from tests.contract.cases.remote import NarrowCases


class TestNarrow(MqttNarrow, NarrowCases): ...


class TestKeeping(MqttNarrow, KeepingCases): ...
