"""The text of a systemd unit that runs an application, each part with its reason."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from math import ceil
from pathlib import Path
from textwrap import wrap

import msgspec

from ._core import __version__
from .config import Settings
from .errors import ConfigError
from .urls import scheme, split

__all__ = ("Plan", "render")

_WIDTH = 110
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,30}")
_ACCOUNT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]*")
_SPARE_THREADS = 24
"""Threads beside those of plain ``def`` handlers: storage, connects, and what libraries start."""
_STATE = Path("/var/lib")
_SECRETS = ("password_file", "key_file")
_GROUPS = {"i2c-": "i2c", "spidev": "spi", "gpio": "gpio", "tty": "dialout", "serial": "dialout", "video": "video"}
"""Groups that Debian and Raspberry Pi OS give to devices, by how their names begin."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be written."""

    name: str
    """Of the unit, its account and its state directory."""
    application: str
    """As ``module:app``."""
    program: Path
    """``purista-fast`` of the virtual environment, absolute."""
    directory: Path
    """Where the module is, absolute."""
    options: tuple[str, ...] = ()
    """What else ``purista-fast run`` gets."""
    user: str | None = None
    """An account that exists; ``None`` for one that systemd makes."""
    environment_file: Path | None = None
    """Absolute."""
    memory: str = "128M"
    """The limit, as systemd writes it."""
    watchdog: int = 30
    """After how many seconds without a sign of life it is started anew; 0 for never."""
    start_limit: int = 0
    """After how many starts within ten minutes it is given up; 0 for never."""
    devices: tuple[Path, ...] = ()
    groups: tuple[str, ...] = ()


def render(plan: Plan, settings: Settings) -> str:
    """The text of the unit.

    :raises ConfigError: for a name, a path or a state directory that cannot work.
    """
    if not _NAME.fullmatch(plan.name):
        raise ConfigError(
            f"{plan.name!r} cannot name a unit and its account: up to 31 of a-z, 0-9, _ and -, a letter first, were "
            "expected; choose another with --name"
        )
    for word in (*plan.options, plan.application):
        if not word.isprintable():
            raise ConfigError(f"{word!r} cannot be written in a unit")
    for word in (*plan.groups, *([] if plan.user is None else [plan.user])):
        if not _ACCOUNT.fullmatch(word):  # an empty one would be root
            raise ConfigError(f"{word!r} is no name of an account or a group")
    lines = [
        f"# {plan.application}, by purista-fast {__version__}. Made by `purista-fast systemd-unit`.",
        "# `systemd-analyze verify` with this file checks it, `systemd-analyze security` says what it could still do.",
    ]
    for section, parts in (
        ("Unit", _unit(plan, settings)),
        ("Service", _service(plan, settings)),
        ("Install", [("", ["WantedBy=multi-user.target"])]),
    ):
        lines += ["", f"[{section}]"]
        for comment, directives in parts:
            lines += [*(f"# {line}" for line in wrap(comment, _WIDTH)), *directives]
    return "\n".join(lines) + "\n"


Parts = Iterable[tuple[str, list[str]]]


def _unit(plan: Plan, settings: Settings) -> Iterator[tuple[str, list[str]]]:
    yield "", [f"Description={_plain(plan.application)} (purista-fast)"]
    if scheme(settings.bridge.url) != "memory":
        if split(settings.bridge.url).hostname in ("localhost", "127.0.0.1", "::1"):
            yield "The broker of this machine comes first, if it is this one.", ["After=mosquitto.service"]
        elif settings.bridge.wait_for_broker:
            yield (
                "Its start finds no broker without a network; with bridge.wait_for_broker = false it need not wait.",
                ["Wants=network-online.target", "After=network-online.target"],
            )
    if plan.start_limit:
        yield "Given up after so many starts.", ["StartLimitIntervalSec=10min", f"StartLimitBurst={plan.start_limit}"]
    else:
        yield "Never given up: nobody may be there to start it.", ["StartLimitIntervalSec=0"]


def _service(plan: Plan, settings: Settings) -> Iterator[tuple[str, list[str]]]:
    command = ["run", plan.application, *plan.options]
    yield (
        "It says itself when it is ready and that it is alive; a wrapper script would have to `exec` it.",
        ["Type=notify", "NotifyAccess=main", f"ExecStart={' '.join((_bare(plan.program), *map(_word, command)))}"],
    )
    yield "", [f"WorkingDirectory={_plain(str(plan.directory))}"]
    yield from _environment(plan, settings)
    yield from _restarts(plan, settings)
    yield (
        "Limits.",
        [
            f"MemoryMax={plan.memory}",
            f"TasksMax={(settings.app.threads + _SPARE_THREADS) * (settings.app.workers or 1)}",
            "LimitCORE=0",
        ],
    )
    yield from _account(plan, settings)
    yield from _sandbox(plan)


def _environment(plan: Plan, settings: Settings) -> Parts:
    yield (
        "Nothing is written beside the code, and what is printed is in the journal at once.",
        ["Environment=PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1"],
    )
    if plan.environment_file is not None:
        yield "", [f"EnvironmentFile={_plain(str(plan.environment_file))}"]
    sections = {"bridge": settings.bridge, "uplink": settings.uplink}
    secrets = {f"{name}__{key}": getattr(section, key, None) for name, section in sections.items() for key in _SECRETS}
    named = {key: plan.directory / value for key, value in secrets.items() if value}
    if named:
        yield (
            "Secrets belong to root alone; systemd hands out copies that this service alone can read.",
            [
                line
                for key, file in named.items()
                for line in (
                    f"LoadCredential={key}:{_plain(str(file))}",
                    f"Environment=PURISTA_{key.upper()}=%d/{key}",
                )
            ],
        )


def _restarts(plan: Plan, settings: Settings) -> Parts:
    yield (
        "Started anew whatever happens, the pauses growing to a minute (from systemd 254 on); not if it is configured "
        "wrongly (2).",
        ["Restart=always", "RestartSec=5s", "RestartSteps=5", "RestartMaxDelaySec=1min", "RestartPreventExitStatus=2"],
    )
    if plan.watchdog:
        yield (
            "A loop that is blocked or a bridge that hangs misses it; a broker that is away does not.",
            [f"WatchdogSec={plan.watchdog}s"],
        )
    yield (
        "A start looks for the broker; a stop asks for more time itself, if app.drain_timeout needs it.",
        [f"TimeoutStartSec={max(90, ceil(3 * settings.bridge.connect_timeout))}s", "TimeoutStopSec=30s"],
    )


def _account(plan: Plan, settings: Settings) -> Parts:
    if plan.user is None:
        yield "An account of its own, which exists while it runs.", ["DynamicUser=yes"]
    else:
        yield "", [f"User={plan.user}"]
    state = plan.directory / settings.storage.state_dir if settings.storage.state_dir else _STATE / plan.name
    if _STATE in state.parents:
        yield (
            f"All that it writes is in {state}.",
            [f"StateDirectory={_bare(state.relative_to(_STATE))}", "StateDirectoryMode=0700"],
        )
    elif plan.user is None:
        raise ConfigError(
            f"storage.state_dir is {state}, where an account that systemd makes cannot write: leave it unset, for "
            f"{_STATE / plan.name}, choose a folder in {_STATE}, or name an account with --user"
        )
    else:
        yield "", [f"ReadWritePaths={_bare(state)}"]


def _sandbox(plan: Plan) -> Parts:
    yield (
        "",
        ["UMask=0077", "ProtectSystem=strict", f"ProtectHome={_home(plan)}", "PrivateTmp=yes", "PrivateMounts=yes"],
    )
    yield from _access(plan)
    yes = (
        *("NoNewPrivileges", "LockPersonality", "MemoryDenyWriteExecute", "PrivateUsers", "ProtectClock"),
        *("ProtectControlGroups", "ProtectHostname", "ProtectKernelLogs", "ProtectKernelModules"),
        *("ProtectKernelTunables", "RemoveIPC", "RestrictNamespaces", "RestrictRealtime", "RestrictSUIDSGID"),
    )
    # Supplementary groups are nobody's in a user namespace of its own.
    yield "", [f"{key}=yes" for key in yes if key != "PrivateUsers" or not plan.devices]
    yield (
        "No capability, no other address family, and the system calls of an ordinary service.",
        [
            "CapabilityBoundingSet=",
            "AmbientCapabilities=",
            "ProtectProc=invisible",
            "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6",
            "SystemCallArchitectures=native",
            "SystemCallFilter=@system-service",
            "SystemCallFilter=~@privileged @resources",
            "SystemCallErrorNumber=EPERM",
        ],
    )


def _access(plan: Plan) -> Parts:
    if not plan.devices:
        yield "", ["PrivateDevices=yes", "DevicePolicy=closed"]
        return
    groups = dict.fromkeys((*plan.groups, *filter(None, map(_group, plan.devices))))
    yield (
        "Only these devices, through the groups that they belong to.",
        [
            "DevicePolicy=closed",
            *(f"DeviceAllow={_bare(device)} rw" for device in plan.devices),
            *([f"SupplementaryGroups={' '.join(groups)}"] if groups else []),
        ],
    )


def _group(device: Path) -> str | None:
    """The group of a device: where it is, the one that it has; else the one that Debian gives to its kind."""
    try:
        found = device.group()
    except (OSError, KeyError):
        found = None
    if found is not None and found != "root":
        return found
    return next((group for start, group in _GROUPS.items() if device.name.startswith(start)), None)


def _home(plan: Plan) -> str:
    """Folders of users stay hidden, unless the application is in one."""
    homes = (Path("/home"), Path("/root"), Path("/run/user"))
    inside = any(home in (path, *path.parents) for path in (plan.program, plan.directory) for home in homes)
    return "read-only" if inside else "yes"


def _plain(text: str) -> str:
    """A value that systemd takes as it is, but for its specifiers.

    :raises ConfigError: for one that does not end where its line does.
    """
    if not text.isprintable() or text.endswith("\\"):
        raise ConfigError(f"{text!r} cannot be written in a unit")
    return text.replace("%", "%%")


def _bare(path: Path) -> str:
    """A path where systemd reads words.

    :raises ConfigError: for one that would not be one word.
    """
    if re.search(r"[\s\"'\\$]", str(path)):
        raise ConfigError(f"a path with a space, quote, backslash or $ cannot be written in a unit: {str(path)!r}")
    return _plain(str(path))


def _word(text: str) -> str:
    """One word of a command line.

    >>> _word("module:app"), _word("50% of $it")
    ('module:app', '"50%% of $$it"')
    """
    text = text.replace("%", "%%").replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$")
    return f'"{text}"' if re.search(r"[\s\"'\\;]", text) or not text else text
