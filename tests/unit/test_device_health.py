"""The demo: its sensors on made-up machines, its services by themselves, and whole runs."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import anyio
import pytest

from purista_fast import App, HandledError, testing
from purista_fast.config import load
from purista_fast.demo import app
from purista_fast.demo.digest import DigestConfig, close_windows, read_latency, take
from purista_fast.demo.figures import Figures, process_memory
from purista_fast.demo.messages import Alarm, Latency, Sample, SensorDigest, Threshold, WindowDigest
from purista_fast.demo.sensors import Sensors
from purista_fast.demo.state import State, summary
from purista_fast.demo.view import Lines, Table, choose_view
from purista_fast.demo.watch import WatchConfig, compare, read_thresholds, set_threshold, tell_later
from tests.mosquitto import mosquitto
from tests.patience import patient

EXAMPLE = Path(__file__).parents[2] / "examples" / "device_health"

STAT = """cpu  {0} 0 0 {1} 0 0 0 0 0 0
cpu0 {0} 0 0 {1} 0 0 0 0 0 0
intr 1 2 3
"""
DISKS = """ 254 0 vda 1 0 {0} 0 1 0 {1} 0 0 0 0
 254 1 vda1 1 0 {0} 0 1 0 {1} 0 0 0 0
 7 0 loop0 1 0 99 0 1 0 99 0 0 0 0
"""
NETWORK = """Inter-|   Receive |  Transmit
 face |bytes    packets errs|bytes
    lo: 77 1 0 0 0 0 0 0 77 1 0 0 0 0 0 0
  eth0:{0} 1 0 0 0 0 0 0 {1} 1 0 0 0 0 0 0
"""


class Machine:
    """A folder that looks like the /proc and /sys of a machine."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def count(self, busy: int, idle: int, sectors: int, octets: int) -> None:
        """Sets all counters."""
        self.write("proc/stat", STAT.format(busy, idle))
        self.write("proc/diskstats", DISKS.format(sectors, sectors * 2))
        self.write("proc/net/dev", NETWORK.format(octets, octets * 2))


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    made = Machine(tmp_path)
    made.count(100, 100, 0, 0)
    made.write("proc/meminfo", "MemTotal: 1000 kB\nMemFree: 1 kB\nMemAvailable: 750 kB\n")
    for disk in ("vda", "loop0"):
        made.write(f"sys/block/{disk}/size", "1")
    made.write("sys/class/thermal/thermal_zone0/temp", "41500\n")
    made.write("sys/class/thermal/thermal_zone0/type", "cpu-thermal\n")
    made.write("sys/class/hwmon/hwmon0/name", "nvme\n")
    made.write("sys/class/hwmon/hwmon0/temp1_input", "30000\n")
    made.write("sys/class/hwmon/hwmon0/temp1_label", "Composite\n")
    made.write("sys/class/hwmon/hwmon1/name", "nvme\n")
    made.write("sys/class/hwmon/hwmon1/temp1_input", "31000\n")
    made.write("sys/class/hwmon/hwmon1/temp1_label", "Composite\n")
    return made


def test_sensors_of_a_whole_machine(machine: Machine) -> None:
    sensors = Sensors(machine.root)
    assert sensors.missing == []
    began = time.monotonic()
    machine.count(100 + 30, 100 + 10, 1000, 512_000)
    time.sleep(0.01)
    found = {reading.sensor: reading for reading in sensors.read()}
    elapsed = time.monotonic() - began
    assert found["cpu"].value == found["cpu0"].value == pytest.approx(75.0)
    assert (found["memory"].value, found["memory"].unit) == (pytest.approx(25.0), "%")
    assert (found["cpu-thermal"].value, found["cpu-thermal"].unit) == (41.5, "°C")
    assert found["nvme Composite"].value == 30
    assert found["nvme Composite #2"].value == 31
    # vda alone: 1000 sectors of 512 bytes; the time since the counters were first read is at least `elapsed`.
    assert 0 < found["disk read"].value <= 512 / 0.01
    assert found["disk written"].value == pytest.approx(2 * found["disk read"].value)
    assert found["network received"].value == pytest.approx(found["disk read"].value)
    assert found["network sent"].value == pytest.approx(2 * found["network received"].value)
    assert elapsed > 0
    assert len(found) == 10


def test_an_idle_machine_and_a_counter_that_goes_back(machine: Machine) -> None:
    sensors = Sensors(machine.root)
    machine.count(100, 200, 50, 50)
    sensors.read()
    machine.count(100, 300, 0, 0)
    found = {reading.sensor: reading.value for reading in sensors.read()}
    assert found["cpu"] == found["disk read"] == found["network sent"] == 0


def test_a_machine_without_sensors_says_so(tmp_path: Path) -> None:
    sensors = Sensors(tmp_path)
    assert sensors.read() == []
    assert [text.partition(" ")[0] for text in sensors.missing] == [
        *("processors", "memory", "disk", "network", "temperatures")
    ]
    assert sensors.missing[-1] == "temperatures (nothing in /sys/class/thermal and /sys/class/hwmon)"


def test_a_sensor_that_is_unplugged_is_left_out(machine: Machine) -> None:
    sensors = Sensors(machine.root)
    (machine.root / "sys/class/thermal/thermal_zone0/temp").unlink()
    (machine.root / "proc/meminfo").write_text("nonsense\n")
    names = {reading.sensor for reading in sensors.read()}
    assert "nvme Composite" in names
    assert not names & {"cpu-thermal", "memory"}


def test_this_machine_has_something_to_tell() -> None:
    sensors = Sensors()
    readings = {reading.sensor: reading for reading in sensors.read()}
    assert 0 < readings["memory"].value < 100


def test_median_and_percentile() -> None:
    assert summary([]) == Latency(0, 0.0, 0.0, 0.0)
    assert summary([0.002]) == Latency(1, 2.0, 2.0, 2.0)
    assert summary([n / 1000 for n in range(100, 0, -1)]) == Latency(100, 50.0, 95.0, 100.0)


def context(config: Any, tmp_path: Path) -> Any:
    return testing.context(config=config, resources=State(device="d", sensors=Sensors(tmp_path)))


@pytest.mark.anyio
async def test_digest(tmp_path: Path) -> None:
    ctx = context(DigestConfig(window=60.0, lateness=5.0, band=10.0, max_silence=300.0), tmp_path)
    state = ctx.resources
    state.now = lambda: moment
    moment = 1000.0
    for sensor, at, value in [("cpu", 970.0, 1.0), ("cpu", 980.0, 3.0), ("memory", 990.0, 5.0)]:
        await take(ctx, Sample("d", sensor, value, "%", at))
    moment = 1024.0
    await close_windows.function(ctx)
    assert testing.emitted(ctx) == [], "a sample may be late"
    moment = 1025.0
    await close_windows.function(ctx)
    ((name, payload),) = testing.emitted(ctx)
    assert name == "digest"
    assert payload == WindowDigest(
        "d",
        960.0,
        1020.0,
        [
            SensorDigest("cpu", "%", count=2, mean=2.0, min=1.0, max=3.0, last=3.0),
            SensorDigest("memory", "%", count=1, mean=5.0, min=5.0, max=5.0, last=5.0),
        ],
    )
    for sensor, value in [("cpu", 9.0), ("memory", 5.1)]:
        await take(ctx, Sample("d", sensor, value, "%", 1030.0))
    moment = 1200.0
    for _ in range(2):
        await close_windows.function(ctx)
    assert len(testing.emitted(ctx)) == 2, "an empty window has no digest"
    assert [found.sensor for found in testing.emitted(ctx)[1][1].sensors] == ["cpu"], "what has changed"
    assert (await read_latency(ctx)).count == 5


@pytest.mark.anyio
async def test_digest_when_the_clock_is_set_back(tmp_path: Path) -> None:
    ctx = context(DigestConfig(window=60.0), tmp_path)
    state = ctx.resources
    state.now = lambda: moment
    moment = 1000.0
    await take(ctx, Sample("d", "cpu", 1.0, "%", moment))
    await close_windows.function(ctx)
    moment = 100.0
    await close_windows.function(ctx)
    await take(ctx, Sample("d", "cpu", 9.0, "%", moment))
    moment = 200.0
    await close_windows.function(ctx)
    assert [(payload.since, payload.sensors[0].mean) for _, payload in testing.emitted(ctx)] == [
        (960.0, 1.0),
        (60.0, 9.0),
    ]


def digest_of(mean: float) -> WindowDigest:
    return WindowDigest("d", 0.0, 1.0, [SensorDigest("cpu", "%", 1, mean, mean, mean, mean)])


@pytest.mark.anyio
async def test_watch(tmp_path: Path) -> None:
    ctx = context(WatchConfig(thresholds={"cpu": 50.0}), tmp_path)
    state = ctx.resources
    state.now = lambda: moment

    def alarms() -> list[tuple[float, bool]]:
        return [(found.mean, found.raised) for name, found in testing.emitted(ctx) if name == "alarm"]

    moment = 0.0
    for mean in (50.0, 51.0, 99.0, 20.0, 10.0):
        moment += 1
        await compare(ctx, digest_of(mean))
    assert alarms() == [(51.0, True), (20.0, False)]
    assert await read_thresholds(ctx) == [Threshold("cpu", 50.0)]
    await set_threshold(ctx, Threshold("cpu", 5.0))
    assert testing.emitted(ctx)[-1] == ("alarm", Alarm("d", "cpu", "%", 10.0, 5.0, raised=True)), "at once"
    moment += 0.5
    for mean in (1.0, 7.0, 2.0):
        await compare(ctx, digest_of(mean))
    await tell_later.function(ctx)
    assert alarms()[2:] == [(10.0, True)], "not twice in a second"
    moment += 0.5
    await tell_later.function(ctx)
    assert alarms()[2:] == [(10.0, True), (2.0, False)], "the latest is told in the end"
    with pytest.raises(HandledError, match="there is no sensor 'gpu'") as caught:
        await set_threshold(ctx, Threshold("gpu", 1.0))
    assert (caught.value.status, caught.value.data) == (404, {"sensors": ["cpu"]})
    assert ctx.config.thresholds == {"cpu": 50.0}, "the configuration stays what it was"


@pytest.mark.anyio
async def test_the_application_by_itself() -> None:
    overrides = {
        "config": {"Probe": {"interval": 0.05}, "Digest": {"window": 0.3}, "Watch": {"thresholds": {"memory": 0}}}
    }
    async with app.serve(bridge="memory://", overrides=overrides) as client:
        with anyio.fail_after(patient(20)):
            async with client.listen("alarm") as alarms:
                message = await anext(alarms)
    assert message.sender.service_name == "Watch"
    assert json.loads(message.payload or b"")["sensor"] == "memory"


def figures() -> Figures:
    one = Sample("d", "cpu", 12.34, "%", 0.0)
    return Figures(
        samples=10,
        sample_bytes=4000,
        digests=1,
        digest_bytes=500,
        readings={"cpu": one},
        windows={"cpu": digest_of(9.87).sensors[0]},
    )


def test_the_view_of_a_file() -> None:
    lines: list[str] = []
    view = choose_view(lines.append)
    assert isinstance(view, Lines)
    view.show(figures(), 1.0, 15)
    view.say("alarm")
    assert lines == ["  1.0 of 15 s     10 samples   1 digests  cpu 12.3 %", "alarm"]


def test_the_view_of_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[str] = []
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "24")
    view = Table(drawn.append)
    view.show(figures(), 1.0, 15)
    view.say("alarm")
    view.show(figures(), 1.25, 15)
    assert "cpu" in drawn[0]
    assert drawn[0].splitlines()[1].split() == ["cpu", "12.3", "9.9", "9.9", "9.9", "%"]
    height = len(drawn[0].split("\n"))
    assert drawn[1].startswith(f"\x1b[{height}F\x1b[J")
    assert drawn[1].endswith("\nalarm")
    monkeypatch.setenv("LINES", "5")
    view.show(figures(), 1.5, 15)
    assert len(drawn[2].split("\n")) <= 5


def test_memory_of_this_process() -> None:
    rss, pss = process_memory()
    assert rss is not None
    assert rss > 1000
    assert pss is None or 0 < pss <= rss


def check_summary(found: dict[str, Any], bridge: str) -> None:
    """What must be true of a run of three seconds, whatever the machine."""
    assert found["bridge"] == bridge
    assert 3 <= found["seconds"] < 10
    assert found["sensors"] >= 1
    # Readings every 0.2 s: fifteen in theory.
    assert 5 * found["sensors"] <= found["samples"] <= 17 * found["sensors"]
    assert found["digests"] >= 1
    assert found["fewerMessages"] == pytest.approx(found["samples"] / found["digests"], abs=0.01)
    assert found["fewerBytes"] == pytest.approx(found["sampleBytes"] / found["digestBytes"], abs=0.01)
    assert found["sampleBytes"] > 300 * found["samples"]
    assert found["fewerBytes"] > 5
    assert found["sampleToDigest"]["count"] >= found["samples"] - 2 * found["sensors"]
    for latency in (found["sampleToDigest"], found["commandRoundTrip"]):
        assert latency["count"] > 5
        assert 0 < latency["median"] <= latency["p95"] <= latency["max"]
    assert (found["failedCalls"], found["dropped"]) == (0, 0)
    assert found["rssKib"] > 5000


def demo(tmp_path: Path, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "purista_fast.cli", "demo", *arguments],
        cwd=tmp_path,
        env={**os.environ, "STATE_DIRECTORY": str(tmp_path / "state"), "PYTHONUTF8": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_demo_in_memory(tmp_path: Path, backend: str) -> None:
    # Settings of another application in the folder do not disturb it.
    (tmp_path / "purista.toml").write_text('[services]\nenabled = ["Thermo"]\n')
    process = demo(tmp_path, "--seconds", "3", "--json", "--backend", backend)
    printed, errors = process.communicate(timeout=patient(30))
    assert (process.returncode, errors) == (0, "")
    check_summary(json.loads(printed), "memory://")


def test_the_demo_over_a_broker(tmp_path: Path) -> None:
    folder = tmp_path / "broker"
    folder.mkdir()
    with mosquitto(folder) as broker:
        process = demo(tmp_path, "--seconds", "3", "--json", "--bridge", broker.url)
        printed, errors = process.communicate(timeout=patient(30))
        assert (process.returncode, errors) == (0, "")
        check_summary(json.loads(printed), broker.url)
        assert "digest" in broker.log


def test_the_demo_ends_early_with_its_summary(tmp_path: Path) -> None:
    process = demo(tmp_path, "--seconds", "60")
    assert process.stdout is not None
    # The first window may be over before the first second is.
    assert any(" of 60 s" in line for line in process.stdout)
    process.send_signal(signal.SIGINT)
    printed, errors = process.communicate(timeout=patient(20))
    assert (process.returncode, errors) == (0, "")
    assert " s on memory://, " in printed
    for label in ("samples in", "digests out", "reduction", "sample to digest", "command and answer", "RSS "):
        assert label in printed


def test_the_example_is_the_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.util.spec_from_file_location("device_health_app", EXAMPLE / "app.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert isinstance(module.app, App)
    assert module.app is app
    known = {service.name for service in app.services}
    for profile in (None, "edge", "cloud"):
        settings = load(EXAMPLE / "purista.toml", profile=profile, environ={})
        assert set(settings.config) <= known
        assert set(settings.services.enabled or known) <= known
