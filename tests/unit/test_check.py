"""``purista-fast check``: what it finds before deployment, and what it does not complain of."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from purista_fast import App, ConfigError, Context, Event, Service, remote
from purista_fast.check import Finding, Report, check
from purista_fast.policy import Retry
from tests.patience import patient

reading = Event("reading", float)
alarm = Event("alarm", float)
stored = Event("stored", int)


class Limits(Struct):
    limit: float


sensor = Service("Sensor")
fleet = Service("Fleet")


@fleet.command(success_event=stored, invokes=(), emits=())
async def store(ctx: Context, payload: float) -> int:
    return 1


@remote("Weather", "2")
async def forecast(ctx: Any) -> float: ...


@sensor.command(invokes=(), emits=())
async def calibrate(ctx: Context) -> None: ...


@sensor.every(60.0, invokes=[store, forecast], emits=[reading])
async def read(ctx: Context) -> None: ...


@fleet.subscription(reading, invokes=(), emits=[alarm])
async def keep(ctx: Context, payload: float) -> None: ...


app = App(sensor, fleet)
BOTH = """
[bridge]
url = "mqtts://broker.example"
[profile.edge.services]
enabled = ["Sensor"]
[profile.cloud.services]
enabled = ["Fleet"]
"""


def look(tmp_path: Path, text: str, app: App = app, **options: Any) -> Report:
    file = tmp_path / "purista.toml"
    file.write_text(text)
    return check(app, config=str(file), environ=options.pop("environ", {}), **options)


def only(report: Report) -> Finding:
    assert len(report.findings) == 1, report.findings
    return report.findings[0]


def test_what_fits_is_not_complained_of(tmp_path: Path) -> None:
    report = look(tmp_path, BOTH)
    assert report == Report(
        app="Sensor",
        profiles=["edge", "cloud"],
        findings=[],
        without_invokes=[],
        without_emits=[],
        any_message=[],
    )
    assert not list(tmp_path.glob("*/")), "nothing is written"


def test_a_configuration_without_profiles_is_one(tmp_path: Path) -> None:
    assert look(tmp_path, "").profiles == ["default"]
    assert not look(tmp_path, "").findings
    # What says itself what runs there is a place beside the profiles; else it is what they have in common.
    assert look(tmp_path, BOTH + '[services]\nenabled = ["Fleet"]').profiles == ["default", "edge", "cloud"]
    assert look(tmp_path, BOTH, environ={"PURISTA_PROFILE": "edge"}).profiles == ["edge", "cloud"]
    with pytest.raises(ConfigError, match="no profile 'fog'; it has: default, edge, cloud"):
        look(tmp_path, BOTH, profiles=["fog"])


def test_a_command_that_no_profile_serves(tmp_path: Path) -> None:
    found = look(tmp_path, BOTH, profiles=["edge"])
    assert only(found) == Finding(
        kind="command",
        profile="edge",
        handler="Sensor/1/read",
        about="Fleet/1/store",
        text="Sensor/1/read invokes Fleet/1/store, which no profile serves: Fleet is enabled in none of edge",
        change="add Fleet to services.enabled of a profile",
    )


def test_a_command_beyond_a_bridge_that_ends_here(tmp_path: Path) -> None:
    edge = look(tmp_path, BOTH + '[profile.edge.bridge]\nurl = "memory://"')
    assert {(f.kind, f.profile, f.about) for f in edge.findings} == {
        ("command", "edge", "Fleet/1/store"),
        ("event", "cloud", "reading"),
    }
    assert "only cloud serves, and the bridge of edge reaches no other process" in edge.findings[0].text
    assert "only edge emits, and the bridge there reaches no other process" in edge.findings[1].text
    cloud = look(tmp_path, BOTH + '[profile.cloud.bridge]\nurl = "memory://"')
    assert "only cloud serves, and the bridge there reaches no other process" in cloud.findings[0].text
    assert "only edge emits, and the bridge of cloud reaches no other process" in cloud.findings[1].text
    apart = look(tmp_path, BOTH + '[profile.cloud.bridge]\nprefix = "fleet"')
    assert "nothing of it is offered under the prefix 'purista' of edge" in apart.findings[0].text
    assert "cloud does not listen under the prefix where it is sent" in apart.findings[1].text


def test_commands_of_services_that_are_not_there(tmp_path: Path) -> None:
    other, caller = Service("Other"), Service("Caller")

    @other.command
    async def work(ctx: Context) -> None: ...

    @remote("Caller", "1")
    async def cal(ctx: Any) -> None: ...

    @caller.command(invokes=[work, cal, work.using(timeout=1.0), forecast], emits=())
    async def call(ctx: Context) -> None: ...

    found = look(tmp_path, "", App(caller)).findings
    assert [f.text for f in found] == [
        "Caller/1/call invokes Caller/1/cal, and Caller/1 has no such command; it has call",
        "Caller/1/call invokes Other/1/work, and this application has no such service",
    ]


def test_an_event_that_nobody_emits(tmp_path: Path) -> None:
    lonely = Service("Lonely")

    @lonely.subscription(Event("never", int), invokes=(), result_event=Event("result", int))
    async def on(ctx: Context, payload: int) -> int:
        return payload

    @lonely.subscription(Event("result", int), name="after", emits=())
    async def after(ctx: Context, payload: int) -> None: ...

    found = only(look(tmp_path, "", App(lonely)))
    assert (found.kind, found.handler, found.about) == ("event", "Lonely/1/on", "never")
    assert found.text == "Lonely/1/on listens to never, which no handler in default declares to emit"
    assert "Event('never', …, external=True)" in found.change
    # A name that the configuration emits.
    assert not look(tmp_path, '[dead_letters]\nevent = "never"', App(lonely)).findings


def test_events_from_outside(tmp_path: Path) -> None:
    gate = Service("Gate")

    @gate.subscription(Event("opened", int, external=True))
    async def first(ctx: Context, payload: int) -> None: ...

    @gate.subscription(Event("opened", int))
    async def again(ctx: Context, payload: int) -> None: ...

    @gate.subscription(Event("closed", int), sender={"service": "Door"})
    async def sent(ctx: Context, payload: int) -> None: ...

    @gate.subscription(message_type="infoServiceReady")
    async def ready(ctx: Context) -> None: ...

    @gate.subscription(event_name="anything")
    async def anything(ctx: Context) -> None: ...

    report = look(tmp_path, "", App(gate))
    assert not report.findings
    assert report.any_message == ["Gate/1/anything", "Gate/1/ready"]
    assert len(report.without_emits) == len(report.without_invokes) == 5


def test_what_a_bridge_cannot_give(tmp_path: Path) -> None:
    safe = Service("Safe")
    kept = Event("kept", int, durability="disk")

    @safe.subscription(kept, retry=Retry(attempts=2), needs={"durable"})
    async def on(ctx: Context, payload: int) -> None: ...

    @safe.command(emits=[kept])
    async def keep(ctx: Context) -> None: ...

    @safe.every(1.0, emits=[kept])
    async def tick(ctx: Context) -> None: ...

    text = '[profile.edge.bridge]\nurl = "memory://"\n[profile.cloud.bridge]\nurl = "mqtt://localhost"'
    found = look(tmp_path, text, App(safe)).findings
    assert {(f.kind, f.profile) for f in found} == {("bridge", "edge")}
    assert [f.text for f in found] == [
        "Safe/1/keep emits kept with durability='disk', and memory:// keeps nothing on disk",
        "Safe/1/tick emits kept with durability='disk', and memory:// keeps nothing on disk",
        "subscription Safe/1/on needs a bridge that is durable, retry; memory:// is shared",
    ]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('services.enabled = ["Sensors"]', "services.enabled: unknown Sensors; this application has Fleet, Sensor"),
        ("config.Sensor.limit = 1", "config.Sensor: the service takes no configuration"),
        ("config.Sensors.limit = 1", "config.Sensors: no service is called that; there are Fleet, Sensor"),
        ("bridge.ulr = 1", "bridge: Object contains unknown field `ulr`"),
        ('bridge.url = "http://localhost"', "begins with none of memory://, mqtt://, mqtts://"),
        ('bridge.url = "mqtt://broker.example"', "mqtt:// sends everything, passwords included, in clear text"),
        ('bridge.url = "mqtts://a"\nbridge.password = "x"', "bridge.username is missing"),
        ('bridge.url = "mqtts://a"\nbridge.prefix = "A-b"', "bridge.prefix 'A-b' would be"),
        ('bridge.url = "mqtts://a"\nbridge.instance_id = "a-1"', "bridge.instance_id 'a-1' cannot be a level"),
        ('bridge.url = "memory://"\napp.workers = 2', "app.workers: workers share nothing over memory://"),
    ],
)
def test_settings_of_a_profile_that_are_wrong(tmp_path: Path, text: str, what: str) -> None:
    found = [f for f in look(tmp_path, "[profile.edge]\n" + text).findings if f.kind == "configuration"]
    assert len(found) == 1
    assert found[0].profile == "edge"
    assert what in found[0].text


def test_a_configuration_that_lacks_a_key(tmp_path: Path) -> None:
    strict = Service("Strict", config=Limits)
    found = only(look(tmp_path, "", App(strict)))
    assert (found.kind, found.profile) == ("configuration", "default")
    assert "config.Strict: Object missing required field `limit`" in found.text
    assert not look(tmp_path, "", App(strict), environ={"PURISTA_CONFIG__Strict__limit": "1.5"}).findings


def test_a_time_that_the_configuration_gets_wrong(tmp_path: Path) -> None:
    slow = Service("Slow", config=Limits)

    @slow.every(lambda config: config.limit, emits=())
    async def tick(ctx: Context) -> None: ...

    found = only(look(tmp_path, "config.Slow.limit = 0", App(slow)))
    assert (found.kind, found.profile) == ("configuration", "default")
    assert found.text.startswith("Slow/1/tick: by its configuration the interval must be above 0 seconds")
    assert not look(tmp_path, "config.Slow.limit = 1", App(slow)).findings


def test_files_that_are_on_the_device_are_not_looked_for(tmp_path: Path) -> None:
    files = 'ca_file = "/nowhere/ca"\ncert_file = "/nowhere/cert"\nkey_file = "/nowhere/key"\n'
    assert not look(tmp_path, BOTH.replace("[profile.edge", files + "[profile.edge", 1)).findings


UPLINK = """
[bridge]
url = "mqtts://broker.example"
[profile.edge]
services.enabled = ["Sensor"]
bridge.url = "memory://"
[profile.cloud.services]
enabled = ["Fleet"]
[profile.edge.uplink]
url = "mqtts://broker.example"
"""


def test_an_uplink_takes_events_and_commands_over(tmp_path: Path) -> None:
    up = look(tmp_path, UPLINK + 'events = ["read*"]').findings
    assert [(f.kind, f.about) for f in up] == [("command", "Fleet/1/store")]

    watch, center = Service("Watch"), Service("Center")

    @watch.command(invokes=(), emits=())
    async def limit(ctx: Context) -> None: ...

    @watch.subscription(Event("changed", int), emits=())
    async def on(ctx: Context, payload: int) -> None: ...

    @center.every(1.0, invokes=[limit.using(instance_id="attic")], emits=["changed"])
    async def tell(ctx: Context) -> None: ...

    pair = App(watch, center)
    text = UPLINK.replace("Sensor", "Watch").replace("Fleet", "Center")
    assert not look(tmp_path, text + 'commands = ["Watch/1/*"]\nlisten = ["changed"]', pair).findings
    found = look(tmp_path, text + 'commands = ["Watch/1/*"]', pair).findings
    assert [(f.kind, f.profile, f.about) for f in found] == [("event", "edge", "changed")]
    assert "only cloud emits, and the bridge of edge reaches no other process" in found[0].text
    found = look(tmp_path, text + 'listen = ["changed"]', pair).findings
    assert [(f.kind, f.profile, f.about) for f in found] == [("command", "cloud", "Watch/1/limit")]


def test_an_uplink_names_what_is_there(tmp_path: Path) -> None:
    names = 'events = ["reading", "alarm*"]\ncommands = ["Sensor/1/calibrate", "Sensor/1/reset"]\nlisten = ["stored"]'
    found = [f for f in look(tmp_path, UPLINK + names).findings if f.kind == "uplink"]
    assert [(f.profile, f.about) for f in found] == [
        ("edge", "alarm*"),
        ("edge", "Sensor/1/reset"),
        ("edge", "stored"),
    ]
    assert found[0].text == "uplink.events: 'alarm*': no handler here declares to emit such an event; there are reading"
    assert "no command here is called that; there are Sensor/1/calibrate" in found[1].text
    assert "no handler here listens to it; there are none" in found[2].text
    off = look(tmp_path, UPLINK + names + "\nenabled = false").findings
    assert not [f for f in off if f.kind == "uplink"]


def test_the_example_fits() -> None:
    from purista_fast.demo import app as demo

    file = Path(__file__).parents[2] / "examples" / "device_health" / "purista.toml"
    report = check(demo, config=str(file), environ={})
    assert not report.findings
    assert not report.without_emits + report.without_invokes


HOUSE = """
from purista_fast import App, Context, Event, Service

house = Service("House")

@house.subscription(Event("rang", int))
async def on(ctx: Context, payload: int) -> None: ...

app = App(house)
"""


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PURISTA_")}
    line = [sys.executable, "-m", "purista_fast.cli", "check", *words]
    return subprocess.run(line, cwd=folder, env=environment, capture_output=True, text=True, timeout=patient(30))


def test_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "house.py").write_text(HOUSE)
    done = run(tmp_path, "house:app")
    assert done.returncode == 1
    first, change, count = done.stdout.splitlines()
    assert first == "default: House/1/on listens to rang, which no handler in default declares to emit"
    assert change.startswith("    change: ")
    assert count == "1 is wrong in profile default of House"
    assert "not checked: handlers that declare no emits=: 1 (--json names them)" in done.stderr
    report = json.loads(run(tmp_path, "house:app", "--json").stdout)
    assert (report["findings"][0]["about"], report["without_emits"]) == ("rang", ["House/1/on"])
    (tmp_path / "house.py").write_text(HOUSE.replace('"rang", int', '"rang", int, external=True'))
    done = run(tmp_path, "house:app")
    assert (done.returncode, done.stdout) == (0, "nothing is wrong in profile default of House\n")
    wrong = run(tmp_path, "house:app", "--profile", "edge")
    assert (wrong.returncode, "has no profile 'edge'" in wrong.stderr) == (2, True)
