"""Settings: defaults, ``purista.toml``, its chosen profile, ``PURISTA_*`` environment, arguments; the last one wins."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import msgspec

from .errors import ConfigError
from .kept_settings import (
    ConfigsSettings,
    Count,
    DeadLetterSettings,
    OutboxSettings,
    RetrySettings,
    Seconds,
    SecretsSettings,
    StatesSettings,
)
from .tree import PREFIX, Text, environment, is_setting, lay, profiles_of, read_file
from .urls import public_url

if TYPE_CHECKING:
    from pathlib import Path

    from .uplink.settings import UplinkSettings as Uplink
else:
    Uplink = Any  # its module is imported by those who have one

__all__ = (
    "AppSettings",
    "BridgeSettings",
    "DeadLetterSettings",
    "OutboxSettings",
    "RetrySettings",
    "ServicesSettings",
    "Settings",
    "StorageSettings",
    "fill",
    "load",
    "seconds",
    "typed",
)

S = TypeVar("S", bound=msgspec.Struct)

FILE = "purista.toml"
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


class BridgeSettings(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """``[bridge]``: how messages travel. Durations are seconds; in TOML and environment also ``"500ms"``, ``"30d"``."""

    url: str = "memory://"
    """``memory://``, ``mqtt://host:port`` or ``mqtts://host:port``."""
    instance_id: str | None = None
    """MQTT client id and address of answers, stable over restarts; unset: made once and kept in the state directory."""
    local_commands: Literal["prefer", "broker"] = "prefer"
    """Whether commands that are served in this process stay in it, or travel through the broker as well."""
    transport: Literal["paho", "native"] = "paho"
    """What makes and reads the packets of connecting and subscribing: paho-mqtt, or our own codec, without paho."""
    prefix: str = "purista"
    """The first level of every topic."""
    command_timeout: Seconds = 30.0
    """How long a caller waits for an answer."""
    queue_timeout: Seconds = 5.0
    """How long an ``emit`` inside a handler waits for room."""
    emit_timeout: Seconds = 30.0
    """How long an ``emit`` waits for the broker's acknowledgement, reconnects included."""
    message_expiry: Seconds = 30 * 86400.0
    """How long the broker keeps an event for those who are away."""
    session_expiry: Seconds = 30 * 86400.0
    """How long the broker keeps an instance's session while it is away."""
    keep_alive: Annotated[int, msgspec.Meta(ge=5, le=65535)] = 30
    """Seconds of silence after which the broker is asked whether it is still there."""
    receive_maximum: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 100
    """How many events may be under way here unacknowledged."""
    max_commands: Count = 1000
    """How many commands run here at the same time; a further one is answered with 503."""
    max_packet_size: Annotated[int, msgspec.Meta(ge=1024, le=268_435_455)] = 16 * 1024 * 1024
    """The largest MQTT packet taken or sent, in bytes."""
    max_payload_size: Annotated[int, msgspec.Meta(ge=1024, le=268_435_455)] = 8 * 1024 * 1024
    """The largest message taken or sent, in bytes of its JSON with all fields."""
    connect_timeout: Seconds = 10.0
    """How long one attempt to connect may take."""
    wait_for_broker: bool = True
    """Whether the start waits for the broker, and fails without; with ``false`` it is looked for while running."""
    username: str | None = None
    password: str | None = None
    password_file: str | None = None
    """A file that holds the password, read at each connect."""
    ca_file: str | None = None
    """The certificates to trust, instead of the system's."""
    cert_file: str | None = None
    """The client's certificate, for brokers that ask for one."""
    key_file: str | None = None
    """The key of the client's certificate."""
    insecure: bool = False
    """Allows mqtt:// without TLS to a host that is not this one."""

    def __repr__(self) -> str:
        return f"BridgeSettings(url={public_url(self.url)!r}, instance_id={self.instance_id!r}, …)"

    __str__ = __repr__


class StorageSettings(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """``[storage]``: what is kept on disk."""

    state_dir: str | None = None
    """Default: ``$STATE_DIRECTORY``, else a folder of the user's."""

    def directory(self) -> Path:
        """The state directory; it is made when something is first written to it."""
        from pathlib import Path

        chosen = self.state_dir or os.environ.get("STATE_DIRECTORY", "").split(":")[0]
        if chosen:
            return Path(chosen)
        base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
        return Path(base) / "purista-fast"


class ServicesSettings(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """``[services]``: what this instance runs."""

    enabled: list[str] | None = None
    """Names of services; unset runs all."""


class AppSettings(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """``[app]``: how the process behaves."""

    threads: Count = 8
    """How many plain ``def`` handlers run at the same time."""
    drain_timeout: Seconds = 10.0
    """How long a stop waits for what is under way."""
    workers: Annotated[int, msgspec.Meta(ge=1, le=999)] | None = None
    """How many processes ``purista-fast run`` starts, which share the load; unset: none but itself."""
    worker: Annotated[int, msgspec.Meta(ge=0, le=999)] = 0
    """Which of them this process is, as ``run`` tells them; 0 where there are none. Its instance id ends with it."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"


class Settings(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """All settings of an application. ``config`` holds one table for each service that has a configuration."""

    bridge: BridgeSettings = msgspec.field(default_factory=BridgeSettings)
    storage: StorageSettings = msgspec.field(default_factory=StorageSettings)
    outbox: OutboxSettings = msgspec.field(default_factory=OutboxSettings)
    retries: RetrySettings = msgspec.field(default_factory=RetrySettings)
    dead_letters: DeadLetterSettings = msgspec.field(default_factory=DeadLetterSettings)
    services: ServicesSettings = msgspec.field(default_factory=ServicesSettings)
    states: StatesSettings = msgspec.field(default_factory=StatesSettings)
    configs: ConfigsSettings = msgspec.field(default_factory=ConfigsSettings)
    secrets: SecretsSettings = msgspec.field(default_factory=SecretsSettings)
    app: AppSettings = msgspec.field(default_factory=AppSettings)
    uplink: Uplink | None = None
    config: dict[str, dict[str, Any]] = msgspec.field(default_factory=dict)
    source: str = ""
    """Where they come from, for error messages."""


def load(
    file: str | os.PathLike[str] | None = None,
    *,
    profile: str | None = None,
    environ: Mapping[str, str] = os.environ,
    overrides: Mapping[str, Any] | None = None,
) -> Settings:
    """Reads the settings.

    >>> load(environ={"PURISTA_BRIDGE__URL": "mqtt://localhost"}, file=None).bridge.url
    'mqtt://localhost'

    :param file: a TOML file; ``None`` reads ``purista.toml`` of the current folder if there is one.
    :param profile: which ``[profile.<name>]`` to lay over the rest; ``None`` reads ``PURISTA_PROFILE``.
    :param environ: ``PURISTA_BRIDGE__URL=…`` sets ``bridge.url``.
    :param overrides: a tree that is laid over all else.
    :raises ConfigError: for a file that is missing or no TOML, an unknown profile or key, a value of a wrong type.
    """
    path = os.fspath(file) if file is not None else FILE
    tree = read_file(path) if file is not None or os.path.isfile(path) else {}
    source = path if tree else "the defaults"
    found = profiles_of(tree, source)
    tree.pop("profile", None)
    profile = profile or environ.get(PREFIX + "PROFILE") or None
    if profile is not None:
        if profile not in found:
            raise ConfigError(f"{source} has no profile {profile!r}; it has: {', '.join(sorted(found)) or 'none'}")
        tree = lay(tree, found[profile])
        source += f" with profile {profile}"
    from_environment = environment(environ)
    if from_environment:
        tree = lay(tree, from_environment)
        source += f" and {', '.join(sorted(k for k in environ if is_setting(k)))}"
    tree = lay(tree, overrides or {})
    settings = fill(Settings, tree, source)
    settings.source = source
    if settings.uplink is not None:
        from .uplink.settings import read

        settings.uplink = read(tree["uplink"], settings)
    return settings


def fill(kind: type[S], tree: Mapping[str, Any], source: str, where: str = "") -> S:
    """Makes a struct of a tree of settings.

    :param where: the key of the tree, for error messages.
    :raises ConfigError: with source, key and what was expected.
    """
    known = {field.encode_name for field in msgspec.structs.fields(kind)} | {kind.__struct_config__.tag_field}
    unknown = next((key for key in tree if key not in known), None)
    if unknown is not None:
        # Also for structs of users that do not forbid it themselves.
        message = f"Object contains unknown field `{unknown}`"
        raise ConfigError(f"{source}: {where or 'top level'}: {message}{_unknown_hint(message, kind)}")
    try:
        return msgspec.convert(_convert(kind, tree), kind)
    except msgspec.ValidationError as error:
        text = str(error)
        message, _, at = text.partition(" - at `$")
        key = ".".join(part for part in (where, at.rstrip("`").lstrip(".")) if part)
        hint = _unknown_hint(message, kind)
        raise ConfigError(f"{source}: {key or 'top level'}: {message}{hint}") from None


def typed(value: Any, kind: Any, source: str, where: str) -> Any:
    """One value as another type.

    :raises ConfigError: with source, key and what was expected.
    """
    try:
        return msgspec.convert(_convert(kind, value), kind)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{source}: {where}: {error}") from None


def seconds(text: str) -> float | None:
    """A duration such as ``"500ms"`` or ``"7d"`` in seconds; ``None`` if it is none.

    >>> seconds("7d"), seconds("often")
    (604800.0, None)
    """
    found = _DURATION.fullmatch(text)
    return float(found[1]) * _UNITS[found[2]] if found else None


def _convert(kind: Any, value: Any) -> Any:
    """Durations and texts of the environment as what the type of the field wants."""
    from typing import get_args, get_origin

    if isinstance(value, Mapping):
        fields = {f.encode_name: f.type for f in msgspec.structs.fields(kind)} if _is_struct(kind) else {}
        # What these tables want is known when their structs are filled, or a config is asked for.
        own = ("config", "uplink") if kind is Settings else ("values",) if kind is ConfigsSettings else ()
        each = get_args(kind)[1] if get_origin(kind) is dict else Any
        return {key: part if key in own else _convert(fields.get(key, each), part) for key, part in value.items()}
    if not isinstance(value, str):
        return value
    wants = _plain_types(kind)
    duration = seconds(value)
    if duration is not None and float in wants:
        return duration
    if isinstance(value, Text):
        return _from_text(value, wants)
    return value


def _from_text(text: str, wants: set[Any]) -> Any:
    if str in wants:
        return str(text)
    if list in wants:
        return [part.strip() for part in text.split(",") if part.strip()]
    if bool in wants and text.lower() in ("true", "false", "1", "0", "yes", "no"):
        return text.lower() in ("true", "1", "yes")
    try:
        return msgspec.json.decode(str(text))
    except msgspec.DecodeError:
        return str(text)


def _plain_types(kind: Any) -> set[Any]:
    """The types that an annotation is made of: ``float | None`` of float and NoneType."""
    from typing import get_args, get_origin

    origin = get_origin(kind)
    if origin is None:
        return {kind}
    if origin in (list, dict, tuple, set):
        return {origin}
    if origin is Literal:
        return {type(choice) for choice in get_args(kind)}
    arguments = get_args(kind)[:1] if hasattr(kind, "__metadata__") else get_args(kind)
    return set().union(*(_plain_types(argument) for argument in arguments))


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _unknown_hint(message: str, kind: type[msgspec.Struct]) -> str:
    found = re.search(r"unknown field `(\w+)`", message)
    if not found:
        return ""
    import difflib

    known = _all_keys(kind)
    close = difflib.get_close_matches(found[1], known, n=1)
    return f"; did you mean `{close[0]}`?" if close else ""


def _all_keys(kind: type[msgspec.Struct]) -> list[str]:
    keys: list[str] = []
    for field in msgspec.structs.fields(kind):
        keys.append(field.encode_name)
        if _is_struct(field.type):
            keys += _all_keys(field.type)
    return keys
