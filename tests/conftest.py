"""What all tests share."""

import pytest
from hypothesis import HealthCheck, settings

pytest.register_assert_rewrite("tests.contract.cases", "tests.contract.helpers")


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """The event loop of a test that is marked ``anyio``: each of them runs on both."""
    backend: str = request.param
    return backend


@pytest.fixture(params=["paho", "native"])
def transport(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """``bridge.transport`` of whatever the test starts: each test that asks for it runs with both."""
    kind: str = request.param
    monkeypatch.setenv("PURISTA_BRIDGE__TRANSPORT", kind)
    return kind


# No test judges how fast a machine is.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")
