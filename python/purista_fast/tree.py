"""Trees of settings before they have types: read from a file, a profile, the environment, laid over each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .errors import ConfigError

__all__ = ("PREFIX", "Text", "environment", "is_setting", "lay", "profiles_of", "read_file")

PREFIX = "PURISTA_"
_SECRET = "PURISTA_SECRET_"  # noqa: S105 - where secrets are, see purista_fast.stores.secrets


def read_file(path: str) -> dict[str, Any]:
    """The tree of a TOML file.

    :raises ConfigError: if it does not exist, cannot be read or is no TOML.
    """
    import tomllib

    try:
        with open(path, "rb") as file:
            return tomllib.load(file)
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist; it was named as the configuration file") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is no TOML: {error}") from None


def profiles_of(tree: Mapping[str, Any], source: str) -> dict[str, dict[str, Any]]:
    """The profiles of a file's tree, by name.

    >>> profiles_of({"profile": {"edge": {"bridge": {"url": "memory://"}}}}, "purista.toml")
    {'edge': {'bridge': {'url': 'memory://'}}}

    :raises ConfigError: if what is called so are none.
    """
    profiles = tree.get("profile", {})
    if not isinstance(profiles, dict):
        raise ConfigError(f"{source}: profile: Expected sections such as [profile.edge.bridge]")
    wrong = next((name for name, part in profiles.items() if not isinstance(part, dict)), None)
    if wrong is not None:
        raise ConfigError(f"{source}: profile.{wrong}: Expected sections such as [profile.{wrong}.bridge]")
    return profiles


def lay(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """One tree over the other: what both have is of the upper one.

    >>> lay({"bridge": {"url": "memory://", "prefix": "home"}}, {"bridge": {"url": "mqtt://localhost"}})
    {'bridge': {'url': 'mqtt://localhost', 'prefix': 'home'}}
    """
    result = dict(under)
    for key, value in over.items():
        below = result.get(key)
        both = isinstance(value, Mapping) and isinstance(below, Mapping)
        result[key] = lay(below, value) if both else value  # type: ignore[arg-type] # `both` has said so
    return result


def is_setting(name: str) -> bool:
    """Whether a variable of the environment is one.

    >>> is_setting("PURISTA_BRIDGE__URL"), is_setting("PURISTA_PROFILE")
    (True, False)
    """
    return name.startswith(PREFIX) and "__" in name and not name.startswith(_SECRET)


def environment(environ: Mapping[str, str]) -> dict[str, Any]:
    """``PURISTA_CONFIG__Thermo__limit=30`` as a tree. Names of services and of configs keep their case.

    :raises ConfigError: if two variables give a value to the same key, or inside of it.
    """
    tree: dict[str, Any] = {}
    for name, value in environ.items():
        if not is_setting(name):
            continue
        first, *rest = name[len(PREFIX) :].split("__")
        keys = [first.lower(), *(rest if first.lower() == "config" else [key.lower() for key in rest])]
        if keys[:2] == ["configs", "values"]:
            keys[2:] = rest[1:]
        branch = tree
        for key in keys[:-1]:
            branch = branch.setdefault(key, {})
            if not isinstance(branch, dict):
                raise ConfigError(f"{name}: a variable gives `{key}` a value, and this one a value inside of it")
        if keys[-1] in branch:
            raise ConfigError(f"{name}: another variable gives a value to `{keys[-1]}`, or inside of it")
        branch[keys[-1]] = Text(value)
    return tree


class Text(str):
    """A value from the environment: text that may stand for a number, a bool or a list."""
