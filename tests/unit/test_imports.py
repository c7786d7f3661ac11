"""What is imported with the MQTT bridge, and that ``urllib.request``, which is not, works for those who use it."""

import subprocess
import sys

import pytest

from tests.patience import patient

UNWANTED = {"click", "ctypes", "email", "http", "random", "secrets", "shutil", "tempfile"}


def run(code: str) -> str:
    """What an interpreter of its own prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=patient(30))
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_bridge_brings_what_it_needs() -> None:
    bridge = "import sys, purista_fast.bridges.mqtt, purista_fast.bridges.mqtt.transports"
    modules = set(run(f"{bridge}.native; print(*sys.modules)").split())
    assert not [name for name in modules if name.startswith("paho")]
    modules = set(run(f"{bridge}.paho; print(*sys.modules)").split())
    assert "paho.mqtt.client" in modules
    assert not UNWANTED & modules
    assert "urllib.request" not in modules


@pytest.mark.parametrize(
    "use",
    [
        "import urllib.request; print(urllib.request.Request.__module__)",
        "from urllib.request import Request; print(Request.__module__)",
        "from urllib import request; print(request.Request.__module__)",
        "import paho.mqtt.client as paho; print(paho.urllib.request.Request.__module__)",
    ],
)
def test_urllib_request_is_there_for_others(use: str) -> None:
    assert run(f"import purista_fast.bridges.mqtt.transports.paho\n{use}") == "urllib.request"


def test_what_is_imported_already_stays() -> None:
    before = "import sys, urllib.request; before = urllib.request"
    after = "print(before is urllib.request is sys.modules['urllib.request'])"
    assert run(f"{before}\nimport purista_fast.bridges.mqtt.transports.paho\n{after}") == "True"


def test_paho_finds_proxies_as_ever() -> None:
    code = """
import os, sys, types
sys.modules["socks"] = types.SimpleNamespace(HTTP=3, SOCKS4=1, SOCKS5=2)
os.environ["mqtt_proxy"] = "socks://proxy:1080"
import purista_fast.bridges.mqtt.transports.paho
import paho.mqtt.client as paho
client = paho.Client(paho.CallbackAPIVersion.VERSION2)
client._host = "broker"
print(client._get_proxy()["proxy_addr"])
"""
    assert run(code) == "proxy"


def test_another_thread_that_imports_meanwhile_gets_the_real_one() -> None:
    code = """
import importlib, sys
real = importlib.import_module
from purista_fast.bridges.mqtt.transports import proxies
for name in [name for name in sys.modules if name.startswith(("paho", "urllib.request", "purista_fast.bridges.mqtt"))]:
    del sys.modules[name]
sys.modules["purista_fast.bridges.mqtt.transports.proxies"] = proxies

def import_module(name):
    if name == "paho.mqtt.client":
        from urllib.request import Request
        print(Request.__module__)
    return real(name)

proxies.importlib.import_module = import_module
proxies.import_paho()
"""
    assert run(code) == "urllib.request"


def test_who_keeps_nothing_pays_for_no_store() -> None:
    code = """
import sys, anyio
from purista_fast import App, Context, Service
service = Service("Quiet")
@service.command
async def quiet(ctx: Context) -> int:
    return 1
async def main():
    async with App(service).serve(bridge="memory://") as client:
        await client.invoke(quiet)
anyio.run(main)
print(*(name for name in sys.modules if name.startswith(("sqlite3", "purista_fast.storage", "purista_fast.stores."))))
"""
    assert run(code) == ""
