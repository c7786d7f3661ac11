"""Getting in: credentials, certificates, refusals, and another process with the same name."""

import logging
import os
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from purista_fast import BridgeError, ConfigError, Context, Service
from tests.broker.helpers import Bench
from tests.mosquitto import Certificates, Mosquitto, free_port
from tests.patience import patient

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("transport")]


def ping_service(name: str = "Ping") -> Service:
    service = Service(name)

    @service.command
    async def ping(ctx: Context) -> str:
        return name

    return service


async def works(bench: Bench, **bridge: object) -> None:
    service = ping_service()
    async with bench.serve(service, **bridge) as client:
        assert await client.invoke(service.commands["ping"]) == "Ping"


async def test_a_wrong_password_ends_the_start_at_once(own_bench: Callable[..., Bench], tmp_path: Path) -> None:
    bench = own_bench(users={"edge": "s3cret"})
    await works(bench, username="edge", password="s3cret")
    (tmp_path / "password").write_text("s3cret\n")
    await works(bench, username="edge", password_file=str(tmp_path / "password"))
    await works(bench, url=bench.broker.url.replace("//", "//edge:s3cret@"))
    began = anyio.current_time()
    for password in ("wr0ng", None):
        with pytest.raises(BridgeError, match=r"refuses: .*Not authorized.*check bridge\.username") as caught:
            await works(bench, username="edge", password=password)
        assert "wr0ng" not in str(caught.value)
    assert anyio.current_time() - began < 5


async def test_no_broker(bench: Bench) -> None:
    port = free_port()
    with pytest.raises(BridgeError, match=rf"no broker at 127\.0\.0\.1:{port}: Connection refused \(tried for"):
        await works(bench, url=f"mqtt://127.0.0.1:{port}", connect_timeout=0.3)
    with pytest.raises(BridgeError, match=r"no broker at 127\.0\.0\.1"):
        async with bench.connect(url=f"mqtt://127.0.0.1:{port}", connect_timeout=0.1):
            pass


async def test_a_broker_that_comes_up_in_time(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> None:
    late = Mosquitto(tmp_path_factory.mktemp("late"))
    done = anyio.Event()

    async def start() -> None:
        await works(bench, url=late.url)
        done.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(start)
        await anyio.wait_all_tasks_blocked()
        await anyio.to_thread.run_sync(late.start)
        with anyio.fail_after(patient(10)):
            await done.wait()
    late.stop()


async def test_tls_with_verification(own_bench: Callable[..., Bench], certificates: Certificates) -> None:
    bench = own_bench(tls=certificates)
    await works(bench)
    await works(bench, url=bench.broker.url.replace("127.0.0.1", "localhost"))
    began = anyio.current_time()
    with pytest.raises(BridgeError, match=r"certificate of .* is not trusted: .*bridge\.ca_file"):
        await works(bench, ca_file=None)
    assert anyio.current_time() - began < 5
    with pytest.raises(BridgeError, match=r"no broker at|no TLS"):
        await works(bench, url=bench.broker.url.replace("mqtts", "mqtt"), ca_file=None, connect_timeout=0.5)


async def test_tls_with_a_client_certificate(own_bench: Callable[..., Bench], certificates: Certificates) -> None:
    bench = own_bench(tls=certificates, lines=["per_listener_settings false"])
    await works(bench, cert_file=str(certificates.client), key_file=str(certificates.client_key))
    with pytest.raises(ConfigError, match=r"bridge\.cert_file .* cannot be used"):
        await works(bench, cert_file=str(certificates.client), key_file=str(certificates.server_key))
    with pytest.raises(ConfigError, match="key_file needs"):
        await works(bench, key_file=str(certificates.client_key))


async def test_tls_where_there_is_none(bench: Bench) -> None:
    with pytest.raises(BridgeError, match=r"no (TLS with the )?broker at 127\.0\.0\.1"):
        await works(bench, url=bench.broker.url.replace("mqtt:", "mqtts:"), connect_timeout=0.5)


async def test_a_second_process_with_the_same_id_is_refused_here(bench: Bench) -> None:
    async with bench.serve(ping_service(), instance_id="twin"):
        with pytest.raises(BridgeError, match="another process runs as instance 'twin'"):
            await works(bench, instance_id="twin")
    await works(bench, instance_id="twin")


async def two_at_once(bench: Bench, elsewhere: Bench) -> None:
    """Two applications with one id, until one of them gives up."""
    async with (
        bench.serve(ping_service(), instance_id="twin"),
        elsewhere.serve(ping_service(), instance_id="twin"),
    ):
        await anyio.sleep_forever()


async def test_a_session_that_is_taken_over_ends_the_application(bench: Bench, tmp_path: Path) -> None:
    elsewhere = Bench(bench.broker, tmp_path / "elsewhere", prefix=bench.prefix)
    with pytest.raises(BridgeError, match=r"another process has connected to .* as 'twin_c'.*bridge\.instance_id"):
        await two_at_once(bench, elsewhere)
    await works(elsewhere, instance_id="twin")


async def test_a_client_touches_no_disk_and_disturbs_no_service(bench: Bench) -> None:
    service = ping_service()
    async with bench.serve(service, instance_id="device") as served:
        for _ in range(2):
            async with bench.connect(instance_id="device") as client:
                assert client.instance_id not in ("device", served.instance_id)
                assert await client.invoke(service.commands["ping"]) == "Ping"
        assert sorted(path.name for path in bench.state_dir.iterdir()) == ["Ping"]


async def test_the_id_is_made_once_and_kept(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        async with bench.serve(ping_service()) as client:
            first = client.instance_id
            with pytest.raises(BridgeError, match="another process runs as instance"):
                await works(bench)
        async with bench.serve(ping_service()) as client:
            assert client.instance_id == first
    file = bench.state_dir / "Ping" / "instance_id"
    assert file.read_text().strip() == first
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("instance_id", ["greenhouse-7", "Greenhouse7", "a/b", "+", "..", ""])
async def test_an_id_that_the_topic_would_change_is_refused(bench: Bench, instance_id: str) -> None:
    with pytest.raises(ConfigError, match=r"bridge\.instance_id") as caught:
        await works(bench, instance_id=instance_id)
    assert instance_id != "greenhouse-7" or "use 'greenhouse_7'" in str(caught.value)


async def test_a_state_directory_that_cannot_be_written(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    bad = Bench(bench.broker, tmp_path / "file", prefix=bench.prefix)
    with pytest.raises(BridgeError, match=r"instance id cannot be kept: .*storage\.state_dir"):
        await works(bad)
    with pytest.raises(BridgeError, match=r"cannot be written.*storage\.state_dir"):
        await works(bad, instance_id="node")


@pytest.mark.parametrize(
    ("bridge", "text"),
    [
        ({"url": "mqtt://broker.example"}, r"clear text.*mqtts://.*bridge\.insecure"),
        ({"url": "mqtt://127.0.0.1/path"}, "expected mqtt://host"),
        ({"url": "mqtt://"}, "expected mqtt://host"),
        ({"url": "mqtt://127.0.0.1:99999"}, "the port must be a number from 0 to 65535"),
        ({"url": "mqtt://a:hush@127.0.0.1", "username": "b"}, r"bridge\.username is given twice"),
        ({"url": "mqtt://a:hush@127.0.0.1", "password": "hush2"}, r"bridge\.password is given twice"),
        ({"password": "hush"}, r"bridge\.username is missing"),
        ({"username": "a", "password_file": "/does/not/exist"}, r"bridge\.password_file '/does/not/exist': No such"),
        ({"url": "mqtts://127.0.0.1", "ca_file": "/does/not/exist"}, r"bridge\.ca_file '/does/not/exist'"),
        ({"ca_file": "/some/file"}, "without TLS; use mqtts://"),
        ({"prefix": "a/b"}, r"bridge\.prefix"),
    ],
)
async def test_settings_that_cannot_work(bench: Bench, bridge: dict[str, str], text: str) -> None:
    with pytest.raises(ConfigError, match=text) as caught:
        await works(bench, **bridge)
    assert "hush" not in str(caught.value)


async def test_nothing_is_left_open(bench: Bench) -> None:
    await works(bench)
    before = set(os.listdir("/proc/self/fd"))
    for _ in range(3):
        await works(bench)
        with pytest.raises(BridgeError):
            await works(bench, url=f"mqtt://127.0.0.1:{free_port()}", connect_timeout=0.05)
    assert len(set(os.listdir("/proc/self/fd"))) <= len(before)
