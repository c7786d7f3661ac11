"""What an application finds by name: configs, which may be seen, and secrets, which may not."""

import copy
import io
import logging
import pickle
import traceback
from pathlib import Path
from typing import Any

import msgspec
import pytest

from purista_fast import App, ConfigError, Context, PayloadError, Service, UnhandledError, connect, testing
from purista_fast.config import load
from purista_fast.kept_settings import SecretsSettings
from purista_fast.stores import Stores
from purista_fast.stores.configs import Configs
from purista_fast.stores.secrets import Secret, Secrets

pytestmark = pytest.mark.anyio
HUSH = "hush-Sw0rdfish"


def stores(tmp_path: Path, environ: dict[str, str] | None = None, **tree: Any) -> Stores:
    tree.setdefault("storage", {"state_dir": str(tmp_path)})
    return Stores(load(environ=environ or {}, overrides=tree), "app")


def configs(tmp_path: Path, environ: dict[str, str] | None = None, **section: Any) -> Configs:
    return stores(tmp_path, environ, configs=section).configs


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


async def test_configs_come_from_file_and_environment(tmp_path: Path) -> None:
    environ = {"PURISTA_CONFIGS__VALUES__siteName": "north", "PURISTA_CONFIGS__VALUES__Limit": "31.5"}
    found = configs(tmp_path, environ, values={"interval": "5m", "tags": ["a", "b"]})
    assert await found.get("siteName") == "north"
    assert await found.get("Limit", type=float) == 31.5
    assert await found.get("Limit", type=str) == "31.5", "a text stays one where a text is wanted"
    assert await found.get("interval", type=float) == 300.0
    assert await found.get("tags", type=list[str]) == ["a", "b"]
    assert await found.get("missing", default=3) == 3
    assert not names(tmp_path), "no store of states is opened for it"


async def test_a_config_of_another_type_names_its_place(tmp_path: Path) -> None:
    found = configs(tmp_path, {"PURISTA_CONFIGS__VALUES__limit": "hot"})
    with pytest.raises(ConfigError, match=r"PURISTA_CONFIGS__VALUES__limit: configs.values.limit: Expected `float`"):
        await found.get("limit", type=float)


async def test_configs_are_read_only_unless_allowed(tmp_path: Path) -> None:
    found = configs(tmp_path, values={"limit": 30})
    with pytest.raises(ConfigError, match=r"configs.allow_set is false, so 'limit' cannot be changed"):
        await found.set("limit", 31)
    with pytest.raises(ConfigError, match=r"configs.allow_remove is false"):
        await found.remove("limit")


async def test_what_was_set_goes_first_and_is_kept(tmp_path: Path) -> None:
    tree = {"configs": {"values": {"limit": 30}, "allow_set": True, "allow_remove": True}}
    opened = stores(tmp_path, **tree)
    await opened.configs.set("limit", "12s")
    await opened.configs.set("off", None)
    await opened.close()
    opened = stores(tmp_path, **tree)
    assert await opened.configs.get("limit", type=float) == 12.0
    assert await opened.configs.get("off", default=1) is None
    assert await opened.states("limit").get("limit") is None, "no service sees it as a state"
    with pytest.raises(PayloadError):
        await opened.configs.set("limit", object())
    with pytest.raises(ConfigError, match="configs: limit, as it was set: Expected `int`"):
        await opened.configs.get("limit", type=int)
    assert (await opened.configs.remove("limit"), await opened.configs.remove("limit")) == (True, False)
    assert await opened.configs.get("limit") == 30
    await opened.close()


# --- secrets


async def test_secrets_are_looked_for_in_order(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("systemd", "own")]
    for folder in folders:
        folder.mkdir()
    environ = {"CREDENTIALS_DIRECTORY": str(folders[0]), "PURISTA_SECRET_BROKER_PASSWORD": "environment"}
    found = Secrets(SecretsSettings(directory=str(folders[1])), "test", environ)

    async def get() -> str | None:
        secret = await found.get("broker-password")
        return None if secret is None else secret.reveal()

    assert await get() == "environment"
    (folders[1] / "broker-password").write_text("own\n\n")
    assert await get() == "own\n", "one line break is taken off"
    (folders[0] / "broker-password").write_text("systemd")
    assert await get() == "systemd", "and it is read at each time"
    assert await found.get("other") is None


@pytest.mark.parametrize("name", ["", ".", "..", "../a", "a/b", "/etc/passwd", ".hidden", "-x", "a\0", "ü", 7])
async def test_names_lead_nowhere_else(name: Any, tmp_path: Path) -> None:
    found = Secrets(SecretsSettings(directory=str(tmp_path), allow_set=True, allow_remove=True), "test", {})
    for call in (lambda: found.get(name), lambda: found.set(name, "x"), lambda: found.remove(name)):
        with pytest.raises(ValueError, match="the name of a secret is made of"):
            await call()


async def test_secrets_are_read_only_unless_allowed(tmp_path: Path) -> None:
    found = Secrets(SecretsSettings(directory=str(tmp_path)), "purista.toml", {})
    with pytest.raises(ConfigError, match=r"purista.toml: secrets.allow_set is false, so 'a' cannot be changed"):
        await found.set("a", HUSH)
    with pytest.raises(ConfigError, match=r"secrets.allow_remove is false"):
        await found.remove("a")
    for key in ("allow_set", "allow_remove"):
        with pytest.raises(ConfigError, match=rf"secrets.{key} needs secrets.directory"):
            Secrets(SecretsSettings(**{key: True}), "purista.toml", {})


async def test_a_secret_is_written_whole_and_for_nobody_else(tmp_path: Path) -> None:
    found = Secrets(SecretsSettings(directory=str(tmp_path), allow_set=True, allow_remove=True), "test", {})
    for text in (HUSH, "with\nbreaks\n", ""):
        await found.set("a", text)
        assert await found.get("a") == Secret(text)
    await found.set("a", Secret(HUSH))
    assert names(tmp_path) == ["a"]
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600
    assert (await found.remove("a"), await found.remove("a")) == (True, False)
    with pytest.raises(ValueError, match="secret 'a' has 65537 bytes; 65536 are allowed"):
        await found.set("a", "x" * 65537)


async def test_a_file_that_cannot_be_used(tmp_path: Path) -> None:
    found = Secrets(SecretsSettings(directory=str(tmp_path), allow_set=True, allow_remove=True), "test", {})
    (tmp_path / "folder").mkdir()
    (tmp_path / "large").write_bytes(b"x" * 65537)
    (tmp_path / "binary").write_bytes(b"\xff" + HUSH.encode())
    for name, why in (("folder", "directory"), ("large", "more than 65536 bytes"), ("binary", "no text")):
        with pytest.raises(UnhandledError, match=rf"503 the secret in .*/{name} cannot be used: .*{why}") as raised:
            await found.get(name)
        assert HUSH not in "".join(traceback.format_exception(raised.value))
    with pytest.raises(UnhandledError, match=r"503 the secret in .*/folder cannot be used"):
        await found.set("folder", HUSH)
    with pytest.raises(UnhandledError, match="503"):
        await found.remove("folder")
    assert names(tmp_path) == ["binary", "folder", "large"]


def test_a_secret_shows_itself_to_nobody() -> None:
    secret = Secret(HUSH)
    log = io.StringIO()
    handler = logging.StreamHandler(log)
    logger = logging.Logger("test")
    logger.addHandler(handler)
    logger.error("%s %r %s", secret, secret, {"a": [secret]})
    for shown in (log.getvalue(), str(secret), repr([secret]), f"{secret}", f"{secret!s:>20}", "%s" % secret):  # noqa: UP031
        assert HUSH not in shown
    for use in (pickle.dumps, copy.copy, copy.deepcopy, msgspec.json.encode, vars):
        with pytest.raises(TypeError) as raised:
            use(secret)
        assert HUSH not in str(raised.value)
    assert secret == Secret(HUSH)
    assert secret != Secret("other")
    assert secret != HUSH
    assert len({secret, Secret(HUSH)}) == 1


async def test_handlers_and_clients_have_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    service = Service("Keeper")

    @service.command
    async def look(ctx: Context) -> list[Any]:
        secret = await ctx.secrets.get("token")
        assert isinstance(secret, Secret)
        return [await ctx.configs.get("site"), secret.reveal() == HUSH, repr(ctx.configs), repr(ctx.secrets)]

    @service.command
    async def send_it(ctx: Context) -> Any:
        return await ctx.secrets.get("token")

    overrides = {"storage": {"state_dir": str(tmp_path)}, "configs": {"values": {"site": "north"}}}
    monkeypatch.setenv("PURISTA_SECRET_TOKEN", HUSH)
    monkeypatch.setenv("PURISTA_SECRET_WITH__TWO", HUSH)  # is no setting
    async with App(service).serve(bridge="memory://", overrides=overrides) as client:
        assert await client.invoke(look) == ["north", True, "<configs ['site']>", "<secrets>"]
        assert await client.configs.get("site") == "north"
        assert await client.secrets.get("with__two") == Secret(HUSH)
        with pytest.raises(UnhandledError, match="500"):
            await client.invoke(send_it)
    async with connect("memory://", overrides=overrides) as client:
        assert await client.secrets.get("token") == Secret(HUSH)
    ctx = testing.context(configs={"site": "north"}, secrets={"token": HUSH})
    assert await look(ctx) == ["north", True, "<configs ['site']>", "<secrets>"]
    await ctx.configs.set("site", "south")
    assert await ctx.configs.get("site") == "south"
