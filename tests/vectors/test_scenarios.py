"""What goes over the broker in the scenarios that were recorded from PURISTA: the same, field by field.

Aside stay ids, timestamps, the wording of validation errors, and the slips that ``docs/wire.md`` names.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import paho.mqtt.client as paho
import pytest
from msgspec import UNSET, Struct, UnsetType
from paho.mqtt.enums import CallbackAPIVersion

from purista_fast import App, Client, Context, Event, HandledError, Service, UnhandledError, connect
from purista_fast.definition import untyped
from tests.broker.helpers import until
from tests.mosquitto import Mosquitto, mosquitto

RECORDED = {
    scenario["scenario"]: scenario
    for scenario in json.loads((Path(__file__).parent / "wire_messages.json").read_text("utf-8"))["scenarios"]
}
# The ids of the recording would be changed by the topic conversion, so ours are others.
INSTANCES = {"4bf92f3577b34da6a3ce929d0e0e4736": "serving", "0af7651916cd43dd8448eb211c80319c": "invoking"}
LEVELS = {"4_bf92_f3577_b34_da6_a3_ce929_d0_e0_e4736": "serving", "0_af7651916_cd43_dd8448_eb211_c80319_c": "invoking"}
A_MONTH = 30 * 86400


class Sample(Struct):
    id: int
    name: str
    value: float


class ById(Struct):
    id: int


class How(Struct):
    how: str


class Confirmed(Struct):
    orderId: int  # noqa: N815 - as recorded


user = Service("UserService", version="1")
new_user = Event("newUserRegistered", Sample)
sign_up_event = Event("userSignUp", Sample)
order_placed = Event("orderPlaced", Sample)
order_confirmed = Event("orderConfirmed", Confirmed)


@user.command
async def echo(ctx: Context, payload: Sample, *, verbose: bool | UnsetType = UNSET) -> Sample:
    return payload


@user.command(name="userSignUp", success_event=new_user)
async def user_sign_up(ctx: Context, payload: Sample) -> Sample:
    return payload


@user.command(name="getUserById")
async def get_user_by_id(ctx: Context, payload: ById) -> Sample:
    raise HandledError(404, "user not found", {"id": payload.id, "hint": "no such user"})


@user.command
async def crash(ctx: Context, payload: How) -> Sample:
    if payload.how == "error":
        raise RuntimeError("a secret of the inside")
    if payload.how == "output":
        return {"wrong": True}  # type: ignore[return-value]
    sample = Sample(1, "n", 0.5)
    await ctx.emit(Event("somethingHappened", Sample), sample)
    return sample


@user.command
async def relay(ctx: Context, payload: Sample) -> Sample:
    return await ctx.invoke(echo, payload, verbose=True)


@user.subscription(order_placed, name="onOrderPlaced", result_event=order_confirmed)
async def on_order_placed(ctx: Context, payload: Sample) -> Confirmed:
    return Confirmed(payload.id)


SAMPLE = Sample(4711, "sensor-temperature-01", 23.4375)
TRACE = "e0811bd26329e416bfd2407825f6e9f2"
UNICODE = Sample(9007199254740991, 'Grüße 🚀 "quoted" \\ \u2028', 1e-7)
raw_echo = untyped("UserService", "1", "echo", parameters=["verbose"])
unknown = untyped("UserService", "1", "doesNotExist")

Act = Callable[[Client], Awaitable[Any]]
ACTS: dict[str, Act] = {
    "invoke_success_plain": lambda c: c.invoke(echo, SAMPLE),
    "invoke_success_principal_tenant": lambda c: c.acting(
        principal_id="Principal_42", tenant_id="tenant-1", trace_id=TRACE
    ).invoke(echo, SAMPLE, verbose=True),
    "invoke_success_with_event_name": lambda c: c.invoke(user_sign_up, SAMPLE),
    "invoke_command_with_event_name": lambda c: c.invoke(echo.using(event_name="echoRequested"), SAMPLE),
    "invoke_handled_error_404": lambda c: c.invoke(get_user_by_id, ById(99)),
    "invoke_unhandled_error": lambda c: c.invoke(crash, How("error")),
    "invoke_input_payload_validation_error": lambda c: c.invoke(raw_echo, {"id": "x", "name": 5}),
    "invoke_input_parameter_validation_error": lambda c: c.invoke(raw_echo, SAMPLE, verbose="yes"),
    "invoke_output_validation_error": lambda c: c.invoke(crash, How("output")),
    "custom_event_emitted": lambda c: c.emit(sign_up_event, SAMPLE),
    "custom_event_emitted_principal_tenant": lambda c: c.acting(
        principal_id="Principal_42", tenant_id="tenant-1", trace_id=TRACE
    ).emit(sign_up_event, SAMPLE),
    "custom_event_from_command_context": lambda c: c.acting(principal_id="Principal_42", tenant_id="tenant-1").invoke(
        crash, How("emit")
    ),
    "subscription_returns_value": lambda c: c.acting(
        principal_id="Principal_42", tenant_id="tenant-1", trace_id=TRACE
    ).emit(order_placed, SAMPLE),
    "subscription_unhandled_error": lambda c: c.emit("failingEvent", {"handled": False}),
    "invoke_from_context": lambda c: c.acting(principal_id="Principal_42").invoke(relay, SAMPLE),
    "invoke_short_timeout_unknown_command": lambda c: c.invoke(unknown.using(timeout=0.4), SAMPLE),
    "invoke_timeout_1500_unknown_command": lambda c: c.invoke(unknown.using(timeout=1.5), SAMPLE),
    "invoke_odd_ids": lambda c: c.acting(principal_id="Über-Mensch 42", tenant_id="ACME Corp. (DE)").invoke(
        echo, SAMPLE
    ),
    "invoke_unicode_payload": lambda c: c.invoke(echo, UNICODE),
}


class Sent(NamedTuple):
    """A PUBLISH as another subscriber sees it."""

    topic: str
    body: dict[str, Any]
    expiry: int
    content_type: str
    correlation: str | None
    user: list[tuple[str, str]]
    qos: int
    retain: bool


class Recorder:
    """Sees every PUBLISH."""

    def __init__(self, broker: Mosquitto) -> None:
        self.sent: list[Sent] = []
        self._client = paho.Client(CallbackAPIVersion.VERSION2, "recorder", protocol=paho.MQTTv5)
        self._client.on_message = self._record
        self._client.connect("127.0.0.1", broker.port)
        self._client.subscribe("purista/#", qos=1)
        self._client.loop_start()

    def _record(self, _client: object, _data: object, message: paho.MQTTMessage) -> None:
        found: Any = message.properties
        correlation = getattr(found, "CorrelationData", None)
        sent = Sent(
            message.topic,
            json.loads(message.payload),
            found.MessageExpiryInterval,
            found.ContentType,
            correlation.decode() if correlation is not None else None,
            found.UserProperty,
            message.qos,
            message.retain,
        )
        assert not hasattr(found, "ResponseTopic")
        assert not hasattr(found, "PayloadFormatIndicator")
        if not sent.body["messageType"].startswith("info"):
            self.sent.append(sent)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    with mosquitto(tmp_path_factory.mktemp("scenarios")) as running:
        yield running


@pytest.fixture
def recorder(broker: Mosquitto) -> Iterator[Recorder]:
    recorder = Recorder(broker)
    yield recorder
    recorder.close()


@asynccontextmanager
async def two_processes(broker: Mosquitto, state_dir: Path) -> AsyncIterator[Client]:
    bridge = {"url": broker.url, "local_commands": "broker"}
    storage = {"state_dir": str(state_dir)}
    serving = {"bridge": {**bridge, "instance_id": "serving"}, "storage": storage}
    async with (
        App(user).serve(overrides=serving),
        connect(overrides={"bridge": bridge}, name="TestClient", target="runTests") as client,
    ):
        yield client


def recorded_as_sent(message: dict[str, Any], invoking: str) -> Sent:
    """A recorded message, with our instance ids."""
    ours = {"serving": "serving", "invoking": invoking}
    text, topic = message["payload"], message["topic"]
    for theirs, name in INSTANCES.items():
        text = text.replace(theirs, ours[name])
    for theirs, name in LEVELS.items():
        topic = topic.replace(theirs, ours[name])
    found = message["properties"]
    user_properties = [
        (key, ours[INSTANCES[value]] if value in INSTANCES else value) for key, value in found["user_properties"]
    ]
    return Sent(
        topic,
        json.loads(text),
        found["message_expiry_interval"],
        found["content_type"],
        found.get("correlation_data"),
        user_properties,
        message["qos"],
        message["retain"],
    )


def comparable(sent: Sent) -> dict[str, Any]:
    """A message without what differs from run to run."""
    body = dict(sent.body)
    assert sent.correlation == body.get("correlationId")
    for key in ("id", "correlationId", "timestamp", "otp"):
        if key in body:
            body[key] = f"<{key}>"
    if body.get("traceId") != TRACE and "traceId" in body:
        body["traceId"] = "<traceId>"
    if body["messageType"] == "commandErrorResponse":
        payload = body["payload"] = {**body["payload"], "traceId": "<traceId>"}
        if payload["status"] == 400:
            payload["data"] = [problem["path"] for problem in payload["data"]]
    properties = sorted((key, "<traceparent>" if key == "traceparent" else value) for key, value in sent.user)
    return {**sent._asdict(), "body": body, "correlation": None, "user": properties, "expiry": None}


def without_slips(recorded: Sent, cause: Sent) -> Sent:
    """What PURISTA should have sent."""
    if recorded.body["messageType"] != "customMessage" or "id" in recorded.body:
        return recorded
    # The event made of a subscription's return value inherits nothing.
    inherited = {key: cause.body[key] for key in ("traceId", "principalId", "tenantId")}
    body = {**recorded.body, "id": "", "timestamp": 0, **inherited}
    levels = recorded.topic.split("/")
    levels[2:4] = cause.topic.split("/")[2:4]
    user_properties = [*recorded.user, *((key, inherited[key]) for key in ("principalId", "tenantId"))]
    return recorded._replace(body=body, topic="/".join(levels), user=user_properties)


def expected_expiry(sent: Sent) -> range:
    kind, is_event = sent.body["messageType"], "eventName" in sent.body
    if kind == "command":
        timeout = {"doesNotExist": 1}.get(sent.body["receiver"]["serviceTarget"], 30)
        return range(1, 3) if timeout == 1 else range(30, 31)
    if kind in ("commandSuccessResponse", "commandErrorResponse") and not is_event:
        return range(1, 31)
    return range(A_MONTH, A_MONTH + 1)


def test_every_recorded_scenario_is_replayed() -> None:
    aside = {
        "service_start",  # info messages: see test_messages.py, and the next test
        "invoke_dotdot_id",  # we refuse to build such a topic
    }
    assert ACTS.keys() | aside == RECORDED.keys()


@pytest.mark.anyio
@pytest.mark.parametrize("name", ACTS)
async def test_scenario(name: str, broker: Mosquitto, recorder: Recorder, tmp_path: Path) -> None:
    scenario = RECORDED[name]
    expected_error = (scenario["caller_result"] or {}).get("error")
    async with two_processes(broker, tmp_path) as client:
        expected = [recorded_as_sent(message, client.instance_id) for message in scenario["messages"]]
        expected = [without_slips(message, expected[0]) for message in expected]
        if expected_error is None:
            result = await ACTS[name](client)
            if "invoke" in name:
                assert Sample(**scenario["caller_result"]["ok"]) in (result, Sample(**vars_of(result)))
        else:
            kind = HandledError if expected_error["name"] == "HandledError" else UnhandledError
            with pytest.raises(kind) as caught:
                await ACTS[name](client)
            assert int(caught.value.status) == expected_error["errorCode"]
            assert caught.value.message == expected_error["message"]
        await until(lambda: len(recorder.sent) >= len(expected))
    assert [comparable(message) for message in recorder.sent] == [comparable(message) for message in expected]
    for sent in recorder.sent:
        assert sent.expiry in expected_expiry(sent)
    # All messages of one cause have one W3C trace.
    assert len({dict(sent.user)["traceparent"][3:35] for sent in recorder.sent}) == 1
    for sent in recorder.sent:
        assert json.loads(sent.body["otp"])["traceparent"][3:35] == dict(sent.user)["traceparent"][3:35]


def vars_of(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {name: getattr(value, name) for name in ("id", "name", "value")}


@pytest.mark.anyio
async def test_a_forging_id_is_refused(broker: Mosquitto, tmp_path: Path) -> None:
    async with two_processes(broker, tmp_path) as client:
        with pytest.raises(UnhandledError, match="principalId"):
            await client.acting(principal_id="..").invoke(echo, SAMPLE)
