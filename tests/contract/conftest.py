"""The brokers that the suite runs against: started once, each test with topics of its own."""

from collections.abc import Iterator

import pytest

from tests.mosquitto import Mosquitto, make_certificates, mosquitto


@pytest.fixture(scope="session")
def mqtt_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    with mosquitto(tmp_path_factory.mktemp("mqtt")) as broker:
        yield broker


@pytest.fixture(scope="session")
def mqtts_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    folder = tmp_path_factory.mktemp("mqtts")
    with mosquitto(folder, tls=make_certificates(folder)) as broker:
        yield broker


@pytest.fixture(scope="session")
def narrow_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    """A broker that has one unacknowledged message under way to each session, and takes one."""
    with mosquitto(tmp_path_factory.mktemp("narrow"), lines=["max_inflight_messages 1"]) as broker:
        yield broker
