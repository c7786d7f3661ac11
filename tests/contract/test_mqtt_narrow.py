"""The contract on ``mqtt://`` at receive maximum 1."""

from tests.contract.bridges import MqttNarrow
from tests.contract.cases.processes import NarrowCases


class TestNarrow(MqttNarrow, NarrowCases): ...
