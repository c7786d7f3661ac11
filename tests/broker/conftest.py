"""Brokers for the tests of this folder."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.broker.helpers import Bench
from tests.mosquitto import Certificates, Mosquitto, make_certificates, mosquitto

_numbers = count(1)


@pytest.fixture(scope="session")
def shared_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    """A broker that nobody restarts."""
    with mosquitto(tmp_path_factory.mktemp("mosquitto")) as broker:
        yield broker


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def new_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Mosquitto]]:
    """Makes brokers for one test alone."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(mosquitto(tmp_path_factory.mktemp("mosquitto"), **options))


@pytest.fixture
def bench(shared_broker: Mosquitto, tmp_path: Path) -> Bench:
    """The shared broker, with topics and a state of one's own."""
    return Bench(shared_broker, tmp_path, prefix=f"test{next(_numbers)}")


@pytest.fixture
def own_bench(new_broker: Callable[..., Mosquitto], tmp_path: Path) -> Callable[..., Bench]:
    """Makes a bench with a broker of its own."""

    def make(bridge: dict[str, Any] | None = None, **options: Any) -> Bench:
        return Bench(new_broker(**options), tmp_path, **(bridge or {}))

    return make
