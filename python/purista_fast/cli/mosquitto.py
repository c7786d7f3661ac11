"""``purista-fast mosquitto``: what concerns the broker itself."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import click

from ..bridges.mqtt.state import check_instance_id
from ..config import Settings, load
from ..errors import ConfigError
from ..mosquitto import acl, devices, folder, passwords, rights, writer
from . import mosquitto_bridge, options
from .find import find_app
from .output import line, note, printable

__all__ = ("command",)

_SIZE = re.compile(r"(\d+)\s*(B|KiB|MiB|GiB)?", re.IGNORECASE)
_SIZES = {"b": 1, "kib": 1024, "mib": 1024**2, "gib": 1024**3}
_DURATION = re.compile(r"(\d+)(s|m|h)?")
_SECONDS = {"s": 1, "m": 60, "h": 3600}


@click.group("mosquitto")
def command() -> None:
    """The broker mosquitto: its configuration."""


command.add_command(mosquitto_bridge.command)


def _whole_seconds(_: click.Context, __: click.Parameter, value: str) -> int:
    found = _DURATION.fullmatch(value)
    seconds = int(found[1]) * _SECONDS[found[2] or "s"] if found else 0
    if seconds < 1:
        raise click.BadParameter(f"{value!r} is no duration of at least a second, such as 10s or 1m")
    return seconds


def _bytes(_: click.Context, __: click.Parameter, value: str) -> int:
    found = _SIZE.fullmatch(value)
    size = int(found[1]) * _SIZES[(found[2] or "B").lower()] if found else 0
    if size < 1024 * 1024:
        raise click.BadParameter(f"{value!r} is no size of at least 1MiB, such as 256MiB")
    return size


_PORT = click.IntRange(0, 65_535)
_PATH = click.Path(path_type=Path)


@command.command("config")
@click.argument("applications", metavar="[MODULE:APP]...", nargs=-1)
@click.option("--out", metavar="DIR", type=_PATH, default="mosquitto", show_default=True, help="Where to write.")
@click.option("--force", is_flag=True, help="Replace files that are there.")
@click.option("--data", metavar="DIR", type=_PATH, help="Where the broker keeps its database.  [default: OUT/data]")
@click.option("--user", metavar="NAME", default="mosquitto", show_default=True, help="The account of the broker.")
@click.option("--port", type=_PORT, default=1883, show_default=True, help="Plain, on loopback; 0 for none.")
@click.option("--tls", is_flag=True, help="Listen with TLS as well; needs --certfile and --keyfile.")
@click.option("--mtls", is_flag=True, help="As --tls; clients need a certificate, its common name is their user name.")
@click.option("--tls-port", type=_PORT, default=8883, show_default=True)
@click.option("--tls-address", metavar="ADDRESS", default="", help="Where to listen with TLS.  [default: everywhere]")
@click.option("--cafile", metavar="FILE", type=_PATH, help="The authority of the clients' certificates.")
@click.option("--certfile", metavar="FILE", type=_PATH, help="The broker's certificate.")
@click.option("--keyfile", metavar="FILE", type=_PATH, help="The key of the broker's certificate.")
@click.option("--anonymous", is_flag=True, help="Let everybody on this machine in, without a name.")
@click.option(
    "--instance",
    "instances",
    metavar="ID[=MODULE:APP]",
    multiple=True,
    help="An instance, by its id, which is its user name; of all applications unless one is named. Repeat it.",
)
@click.option("--client", "clients", metavar="NAME", multiple=True, help="A user that calls and listens. Repeat it.")
@click.option(
    "--devices",
    "fleet",
    metavar="FILE|all",
    help="Devices with an uplink: a file with a line for each, ID [TENANT], or all for whoever logs in.",
)
@click.option("--listen", metavar="EVENT", multiple=True, help="An event that comes down to devices. Repeat it.")
@click.option("--passwords", metavar="generate|prompt|FILE", help="Make a password file; FILE has lines name:password.")
@click.option("--save-every", metavar="TIME", default="10s", show_default=True, callback=_whole_seconds)
@click.option("--save-on-changes", is_flag=True, help="Save at each change instead: safest, and slow (see the file).")
@click.option("--queue-messages", type=click.IntRange(min=1), default=100_000, show_default=True)
@click.option("--queue-bytes", metavar="SIZE", default="256MiB", show_default=True, callback=_bytes)
@options.settings
@options.verbose
def config(
    applications: tuple[str, ...],
    out: Path,
    force: bool,
    instances: tuple[str, ...],
    clients: tuple[str, ...],
    fleet: str | None,
    listen: tuple[str, ...],
    bridge: str | None,
    profile: str | None,
    config: str | None,
    verbose: bool,
    **wanted: Any,
) -> None:
    """Write a configuration for mosquitto that keeps what purista-fast promises.

    A folder gets mosquitto.conf, with the reason for each line, access rules (acl) derived from the services of the
    applications, and a password file. Sizes and times follow the settings of [bridge].
    """
    del verbose  # remembered where errors are reported
    settings = load(config, profile=profile, overrides={"bridge": {"url": bridge}} if bridge else {})
    plan = _plan(out, applications, wanted)
    writer.check(plan)
    apps = {name: _needs(name, settings) for name in applications}
    blocks = _blocks(settings, apps, instances, clients, fleet, listen, anonymous=plan.anonymous)
    users = [block.user for block in blocks if block.user]
    text = writer.render(plan, settings.bridge)
    files = {writer.CONFIG_FILE: text, writer.ACL_FILE: acl.render(blocks, _acl_head(plan.about))}
    secrets: dict[str, str] = {}
    if "\npassword_file " in text:
        # A file of somebody's is not replaced by an empty one.
        if wanted["passwords"] or not (out / writer.PASSWORD_FILE).exists():
            files[writer.PASSWORD_FILE], secrets = _passwords(wanted["passwords"], users, out)
    elif wanted["passwords"]:
        raise click.UsageError("--passwords: nobody logs in with a password in this configuration")
    written = folder.write(out, files, secrets, user=plan.user, force=force)
    folder.make_data_folder(plan.data, plan.user)
    for path in written:
        line(printable(str(path)))
    _next_steps(plan, users, has_passwords=bool(wanted["passwords"]))


def _plan(out: Path, applications: tuple[str, ...], wanted: dict[str, Any]) -> writer.Plan:
    tls = None
    if wanted["tls"] or wanted["mtls"]:
        if wanted["certfile"] is None or wanted["keyfile"] is None:
            raise click.UsageError(
                "--tls and --mtls need --certfile and --keyfile, the broker's certificate and its key"
            )
        tls = writer.Tls(
            port=wanted["tls_port"],
            address=wanted["tls_address"],
            ca_file=_absolute(wanted["cafile"]),
            cert_file=wanted["certfile"].absolute(),
            key_file=wanted["keyfile"].absolute(),
            mutual=wanted["mtls"],
        )
    return writer.Plan(
        folder=out.absolute(),
        data=(wanted["data"] or out / "data").absolute(),
        user=wanted["user"] or None,
        port=wanted["port"],
        tls=tls,
        anonymous=wanted["anonymous"],
        save_every=wanted["save_every"],
        save_on_changes=wanted["save_on_changes"],
        queue_messages=wanted["queue_messages"],
        queue_bytes=wanted["queue_bytes"],
        about=", ".join(applications),
    )


def _needs(name: str, settings: Settings) -> list[rights.Receives]:
    services = rights.enabled_services(find_app(name), settings)
    return list(rights.receives(services, settings.bridge.prefix))


def _blocks(
    settings: Settings,
    apps: dict[str, list[rights.Receives]],
    instances: tuple[str, ...],
    clients: tuple[str, ...],
    fleet: str | None,
    listen: tuple[str, ...],
    *,
    anonymous: bool,
) -> list[acl.Block]:
    prefix, workers = settings.bridge.prefix, settings.app.workers or 0
    if listen and fleet is None:
        raise click.UsageError("--listen says what comes down to devices: name them by --devices FILE or --devices all")
    if anonymous:
        if fleet is not None:
            raise click.UsageError("--devices: nobody has a name in this configuration, so none can be told apart")
        return [acl.everybody(prefix)]
    if workers and not (instances or fleet):
        raise ConfigError(
            f"{settings.source}: app.workers: each worker has an id of its own, which is not its user name, and rules "
            "for everybody go by user names: name the instances with --instance, without the numbers of their workers"
        )
    everything = [need for needs in apps.values() for need in needs] if apps else None
    blocks = []
    for given in instances:
        instance, equals, name = given.partition("=")
        check_instance_id(acl.check_name(instance, "--instance"))
        if equals and name not in apps:
            apps[name] = _needs(name, settings)
        title = f"instance {instance}{f' of {name}' if name else ''}"
        blocks.append(
            acl.of_instance(prefix, instance, apps[name] if equals else everything, title=title, workers=workers)
        )
    if fleet is not None:
        named = None if fleet == devices.ALL else devices.read(Path(fleet))
        blocks += devices.blocks(prefix, named, listen)
    elif not instances:
        title = "every instance: %u is its user name, which must be its bridge.instance_id"
        blocks.append(acl.of_instance(prefix, "%u", everything, title=title, pattern=True))
    blocks += [acl.of_client(prefix, acl.check_name(name, "--client")) for name in clients]
    names = [block.user for block in blocks]
    if len(set(names)) < len(names):
        raise ConfigError("a name is given twice by --instance, --client and --devices: each user needs its own")
    return blocks


def _acl_head(about: str) -> str:
    return (
        f"Who may publish and receive what{f': {about}' if about else ''}. Made by `purista-fast mosquitto config`.\n"
        "mosquitto grants every subscription and judges each message instead: what a user may not read never arrives.\n"
        "A publish that is not allowed is answered with 0x87 (not authorized), and nobody receives it."
    )


def _passwords(how: str | None, users: list[str], out: Path) -> tuple[str, dict[str, str]]:
    """The text of the password file, and the passwords that were made now."""
    if how is None:
        return "", {}
    passwords.find_program()
    if not users:
        raise click.UsageError("--passwords: for whom? Name the users with --instance and --client")
    if how == "generate":
        made = passwords.generate(users, out / folder.SECRETS)
    elif how == "prompt":
        made = {user: click.prompt(f"password of {user}", hide_input=True, confirmation_prompt=True) for user in users}
    else:
        made = passwords.from_file(Path(how), users)
    out.mkdir(mode=0o750, parents=True, exist_ok=True)
    others = passwords.others(out / writer.PASSWORD_FILE, users)
    return passwords.hashed(made, out) + others, made if how == "generate" else {}


def _next_steps(plan: writer.Plan, users: list[str], *, has_passwords: bool) -> None:
    """What is left to do, beside the files."""
    note(f"start it: mosquitto -c {plan.folder / writer.CONFIG_FILE}")
    if has_passwords:
        made = plan.folder / folder.SECRETS
        if made.is_dir():
            note(f"passwords in clear text, for bridge.password_file of each instance: {made}")
    elif not plan.anonymous and (plan.port or not (plan.tls and plan.tls.mutual)):
        who = ", ".join(users) or "each instance id"
        file = plan.folder / writer.PASSWORD_FILE
        note(f"nobody has a password yet: mosquitto_passwd {file} NAME, for {who} (or --passwords generate)")
    if plan.user and os.geteuid() != 0:
        note(f"if root starts the broker, it becomes {plan.user}, who must be able to read {plan.folder}")


def _absolute(path: Path | None) -> Path | None:
    return None if path is None else path.absolute()
