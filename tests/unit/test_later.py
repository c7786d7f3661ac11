"""OpenSSL comes with the first use of TLS, and then works as ever for asyncio, for anyio, and for everybody else."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.mosquitto import make_certificates
from tests.patience import patient

OPENSSL = {"ssl", "_ssl", "hashlib", "_hashlib"}
SERVE = """
import sys
import purista_fast.bridges.mqtt
assert "_ssl" not in sys.modules
import asyncio, anyio
import anyio.streams.tls as tls
certificate, key, ca = sys.argv[1:]

def contexts():
    import ssl
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    return server, ssl.create_default_context(cafile=ca)
"""
ASYNCIO = """
async def answer(reader, writer):
    writer.write(await reader.readline())
    writer.close()

async def main():
    server, client = contexts()
    async with await asyncio.start_server(answer, "127.0.0.1", 0, ssl=server) as listening:
        port = listening.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client, server_hostname="localhost")
        writer.write(b"over TLS\\n")
        print((await reader.readline()).decode().strip())
        writer.close()
        await writer.wait_closed()

asyncio.run(main())
"""
ANYIO = """
async def main():
    server, client = contexts()
    plain = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = plain.listeners[0].extra(anyio.abc.SocketAttribute.local_port)
    listener = tls.TLSListener(plain, server)

    async def answer(stream):
        async with stream:
            await stream.send(await stream.receive())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, answer)
        async with await anyio.connect_tcp("127.0.0.1", port, ssl_context=client, tls_hostname="localhost") as stream:
            await stream.send(b"over TLS")
            print((await stream.receive()).decode())
        tasks.cancel_scope.cancel()
    await listener.aclose()

anyio.run(main)
"""


def run(code: str, *arguments: str) -> str:
    """What an interpreter of its own prints."""
    command = [sys.executable, "-W", "error", "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=patient(30))
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("module", ["purista_fast", "purista_fast.cli", "purista_fast.bridges.mqtt"])
def test_an_application_comes_without_it(module: str) -> None:
    assert not OPENSSL & set(run(f"import sys, {module}; print(*sys.modules)").split())


def test_nothing_is_done_where_asyncio_is_there_already() -> None:
    code = "import asyncio, ssl\nimport purista_fast, purista_fast.bridges.mqtt\n"
    code += "from asyncio import base_events\nimport paho.mqtt.client as paho\n"
    code += "print(ssl is base_events.ssl is paho.ssl)"
    assert run(code) == "True"


def test_everybody_else_gets_the_real_one() -> None:
    code = "import sys, types, purista_fast, ssl, asyncio.sslproto\nfrom ssl import SSLContext\n"
    code += "print(type(ssl) is type(asyncio.sslproto) is types.ModuleType)\n"
    code += "print(SSLContext is asyncio.base_events.ssl.SSLContext)"
    assert run(code) == "True\nTrue"


def test_a_socket_with_tls_is_known_to_asyncio() -> None:
    code = """
import asyncio, purista_fast, socket, ssl

async def main():
    with ssl.create_default_context().wrap_socket(socket.socket(), server_hostname="a") as sock:
        sock.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_recv(sock, 1)
        except TypeError as error:
            print(error)

asyncio.run(main())
"""
    code = code.replace("asyncio, purista_fast", "purista_fast, asyncio")
    assert "SSLSocket" in run(code)


@pytest.mark.parametrize("program", [ASYNCIO, ANYIO], ids=["asyncio", "anyio"])
def test_tls_works_afterwards(program: str, tmp_path: Path) -> None:
    made = make_certificates(tmp_path)
    assert run(SERVE + program, str(made.server), str(made.server_key), str(made.ca)) == "over TLS"
