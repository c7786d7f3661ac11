"""``[uplink]``: what is read, and what is said of it where it is wrong."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from purista_fast import ConfigError
from purista_fast.config import load
from purista_fast.uplink.patterns import Patterns
from purista_fast.uplink.settings import UplinkEventSettings
from tests.patience import patient

FILE = """
[bridge]
instance_id = "greenhouse_7"

[uplink]
url = "mqtts://device:hush@broker.example"
events = ["summaryReady", "alarm*"]
commands = ["Watch/1/setLimit"]
listen = ["fleetConfigChanged"]
keep_alive = 60
message_expiry = "2d"

[uplink.event."alarm*"]
priority = 10
ttl = "1h"

[uplink.outbox]
max_age = "7d"

[profile.bench.uplink]
enabled = false
"""
UP = {"url": "mqtts://broker.example", "events": ["a"]}


def test_all_of_it_is_read(tmp_path: Path) -> None:
    file = tmp_path / "purista.toml"
    file.write_text(FILE, "utf-8")
    settings = load(file, environ={"PURISTA_UPLINK__LISTEN": "one,two", "PURISTA_UPLINK__OUTBOX__HOLD": "5s"})
    uplink = settings.uplink
    assert uplink is not None
    assert (uplink.keep_alive, uplink.message_expiry, uplink.listen) == (60, 2 * 86400.0, ["one", "two"])
    assert (uplink.outbox.durability, uplink.outbox.overflow) == ("disk", "drop_oldest")
    assert (uplink.outbox.max_age, uplink.outbox.hold) == (7 * 86400.0, 5.0)
    assert uplink.policy("alarmHigh") == UplinkEventSettings(priority=10, ttl=3600.0)
    assert uplink.policy("summaryReady") is None
    assert uplink.enabled
    assert "hush" not in repr(settings)
    off = load(file, profile="bench", environ={}).uplink
    assert off is not None
    assert not off.enabled


def test_the_name_itself_counts_before_a_pattern() -> None:
    events = {"*": {"priority": 1}, "alarm*": {"priority": 2}, "alarmLow": {"priority": 3}}
    tree = {**UP, "events": ["*"], "event": events}
    uplink = load(environ={}, overrides={"uplink": tree}).uplink
    assert uplink is not None
    found = [uplink.policy(name) for name in ("alarmLow", "alarmHigh")]
    assert [policy and policy.priority for policy in found] == [3, 1], "of patterns the first one written"


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({}, "uplink.url '' begins with none of mqtt://, mqtts://"),
        ({**UP, "url": "memory://"}, "uplink.url 'memory://' begins with none of"),
        ({"url": "mqtts://broker.example"}, "none of uplink.events, uplink.listen, uplink.commands: nothing is shared"),
        ({**UP, "listen": ["fleet*"]}, "uplink.listen: 'fleet*': a broker cannot filter on a part of a name"),
        ({**UP, "listen": ["+"]}, "uplink.listen: the name of an event needs letters or digits"),
        ({**UP, "events": [""]}, "uplink.events: the name of an event must be a text that is not empty"),
        ({**UP, "commands": ["setLimit"]}, "uplink.commands: 'setLimit' is not of the form Service/version/command"),
        ({**UP, "event": {"b": {"priority": 1}}}, 'uplink.event."b": no such event goes up; uplink.events are a'),
        ({**UP, "event": {"a": {"ttl": "soon"}}}, "uplink.event[...].ttl: Expected `float | null`, got `str`"),
        ({**UP, "event": {"a": {"prio": 1}}}, "Object contains unknown field `prio`"),
        ({**UP, "outbox": {"overflow": "block"}}, "uplink.outbox.overflow: Invalid enum value 'block'"),
        ({**UP, "wait_for_broker": True}, "uplink.wait_for_broker: not for an uplink: an application never waits"),
        ({**UP, "event_s": 1}, "Object contains unknown field `event_s`; did you mean `event"),
        (5, "uplink: expected a table, such as [uplink]"),
    ],
)
def test_what_is_wrong_is_named(tree: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        load(environ={}, overrides={"uplink": tree})


def test_the_own_broker_is_no_uplink() -> None:
    tree = {"bridge": {"url": "mqtt://u:p@localhost:1884"}, "uplink": {**UP, "url": "mqtt://localhost:1884"}}
    with pytest.raises(ConfigError, match="is the broker of bridge"):
        load(environ={}, overrides=tree)
    load(environ={}, overrides={**tree, "uplink": {**tree["uplink"], "prefix": "cloud"}})


def test_a_pattern_is_text_beside_its_stars() -> None:
    patterns = Patterns(["a.c*", "*End", "*"])
    assert patterns.first("a.c") == patterns.first("a.cd") == "a.c*"
    assert patterns.first("abcd") == "*"
    assert not Patterns(["a.c*"]).match("abcd")
    assert not Patterns(["alarm"]).match("alarms")
    assert not Patterns([])


def test_an_application_without_one_imports_nothing_of_it() -> None:
    code = "import sys, purista_fast.config as c; c.load(environ={}); print(*(m for m in sys.modules if 'uplink' in m))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=patient(30))
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr
