"""The harness of each kind of bridge, as fixtures for the classes of the suite."""

from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.contract.harness import Harness, MemoryHarness, MqttHarness
from tests.mosquitto import Mosquitto

_numbers = count(1)


def mqtt_harness(broker: Mosquitto, state_dir: Path, **bridge: Any) -> MqttHarness:
    """A harness on this broker, with topics and a state of its own."""
    settings = {**broker.bridge, "prefix": f"contract{next(_numbers)}", "local_commands": "broker", **bridge}
    return MqttHarness(broker.url, settings, state_dir)


class Memory:
    @pytest.fixture
    def harness(self, tmp_path: Path) -> Harness:
        return MemoryHarness("memory://", {}, tmp_path)


class Mqtt:
    """``mqtt://``, with every command through the broker."""

    @pytest.fixture
    def harness(self, tmp_path: Path, mqtt_broker: Mosquitto, transport: str) -> Harness:
        return mqtt_harness(mqtt_broker, tmp_path)


class Mqtts:
    """``mqtts://``, with every command through the broker."""

    @pytest.fixture
    def harness(self, tmp_path: Path, mqtts_broker: Mosquitto, transport: str) -> Harness:
        return mqtt_harness(mqtts_broker, tmp_path)


class MqttLocal:
    """``mqtt://`` as it is by default: what is served in this process does not travel."""

    @pytest.fixture
    def harness(self, tmp_path: Path, mqtt_broker: Mosquitto) -> Harness:
        harness = mqtt_harness(mqtt_broker, tmp_path, local_commands="prefer")
        return LocalHarness(harness.url, harness.bridge, harness.state_dir)


class LocalHarness(MqttHarness):
    """A local command runs in the task of its caller, as in memory."""

    reaches_the_handler = True


class MqttNarrow:
    """``mqtt://`` at receive maximum 1, here and at the broker."""

    @pytest.fixture
    def harness(self, tmp_path: Path, narrow_broker: Mosquitto, transport: str) -> Harness:
        return mqtt_harness(narrow_broker, tmp_path, receive_maximum=1)
