"""Finds the application that ``module:app`` names."""

from __future__ import annotations

import importlib
import os
import sys
from typing import TYPE_CHECKING

from ..app import App
from ..service import Service

if TYPE_CHECKING:
    import click

__all__ = ("find_app",)


def find_app(name: str) -> App:
    """Imports ``module:app``; modules of the current folder are found first.

    What the module raises by itself while it is imported is passed on.

    :raises click.BadParameter: if there is no such module or attribute, or it is no application.
    """
    module_name, colon, attribute = name.partition(":")
    if not module_name or not colon or not attribute:
        shape = module_name.removesuffix(".py").replace("/", ".").strip(".") or "greenhouse"
        raise _wrong(f"{name!r} is not of the form module:app, such as {shape}:app")
    here = os.getcwd()
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise  # the module is there; something that it imports is not
        raise _wrong(f"there is no module {error.name!r} in the current folder or installed") from None
    apps = [key for key, value in vars(module).items() if isinstance(value, App)]
    known = f"; it has {', '.join(f'{module_name}:{key}' for key in apps)}" if apps else ""
    try:
        app = getattr(module, attribute)
    except AttributeError:
        raise _wrong(f"module {module_name!r} has no {attribute!r}{known}") from None
    if not isinstance(app, App):
        hint = known or (f"; write `app = App({attribute})`" if isinstance(app, Service) else "")
        raise _wrong(f"{name} is a {type(app).__name__}, not an App{hint}")
    return app


def _wrong(text: str) -> click.BadParameter:
    # Imported for those who have made a mistake: an application that runs does without.
    import click

    return click.BadParameter(text)
