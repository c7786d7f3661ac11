"""``purista-fast mosquitto bridge``."""

from __future__ import annotations

from pathlib import Path

import click

from ..config import load
from ..errors import ConfigError
from ..mosquitto import folder, links, rights
from ..mosquitto.routes import routes
from . import options
from .find import find_app
from .output import note, printable

__all__ = ("command",)


_PATH = click.Path(path_type=Path)


@click.command("bridge")
@click.argument("application", metavar="[MODULE:APP]", required=False)
@click.option(
    "--output", metavar="FILE", type=click.Path(path_type=Path), help="Where to write.  [default: standard output]"
)
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@click.option("--force-inbound", is_flag=True, help="Write listen and commands for a mosquitto that can lose there.")
@click.option("--mosquitto-version", metavar="X.Y.Z", help="The broker of the device.  [default: that of this machine]")
@click.option("--user", metavar="NAME", default="mosquitto", show_default=True, help="The account of the broker.")
@options.settings
@options.verbose
def command(
    application: str | None,
    output: Path | None,
    force: bool,
    force_inbound: bool,
    mosquitto_version: str | None,
    user: str,
    bridge: str | None,
    profile: str | None,
    config: str | None,
    verbose: bool,
) -> None:
    """Write a bridge for the broker of a device: it carries what [uplink] says to a broker elsewhere.

    The application itself then has none: leave it out by uplink.enabled = false. Patterns of events, and commands,
    need the application.
    """
    del verbose  # remembered where errors are reported
    settings = load(config, profile=profile, overrides={"bridge": {"url": bridge}} if bridge else {})
    uplink = settings.uplink
    if uplink is None:
        raise ConfigError(f"{settings.source} has no [uplink], which says what the bridge is to carry")
    release = links.read_release(mosquitto_version) if mosquitto_version else links.find_release()
    if (uplink.listen or uplink.commands) and not force_inbound:
        _check_inbound(release)
    device, instances = links.instances_of(settings, uplink)
    services = rights.enabled_services(find_app(application), settings) if application else None
    found = routes(uplink, instances, services, settings.source)
    link = links.link_of(settings, device, release, found)
    if link.password is not None and output is None:
        raise click.UsageError(
            "the password of uplink.username has to stand in the file, and is not shown here: write it by --output FILE"
        )
    text = links.render(link)
    if output is None:
        click.echo(text, nl=False)
    else:
        folder.write_secret(output, text, user=user, force=force)
        note(printable(f"put it beside the mosquitto.conf that says include_dir {output.absolute().parent}"))
    if uplink.enabled:
        note("the application has this uplink itself as well, and all would go twice: give it uplink.enabled = false")
    for warning in links.warnings(link):
        note(printable(f"warning: {warning}"))


def _check_inbound(release: links.Release | None) -> None:
    if release is not None and release >= links.INBOUND:
        return
    which = "the version of mosquitto is not known" if release is None else f"this is mosquitto {links.shown(release)}"
    raise ConfigError(
        f"uplink.listen and uplink.commands: {which}, and before 2.1 the session of a bridge at the other broker ends "
        "with its connection: what is published there while the link is down never comes. Use mosquitto 2.1 "
        "(--mosquitto-version says which one the device has), or the uplink of the application itself, or accept that "
        "by --force-inbound"
    )
