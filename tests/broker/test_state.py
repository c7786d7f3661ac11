"""What an instance keeps on disk."""

import multiprocessing
import os
from pathlib import Path

import pytest

from purista_fast import BridgeError
from purista_fast._core import snake_case
from purista_fast.bridges.mqtt.state import State, Subscribed, random_id


def test_an_id_is_stable_under_the_topic_conversion_and_never_the_same() -> None:
    ids = {random_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(snake_case(made) == made and len(made) >= 23 for made in ids)


def _open(folder: str) -> str:
    return State.open(Path(folder), "App", None).instance_id


def test_processes_that_start_together_agree_on_one_id(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        assert len(set(pool.map(_open, [str(tmp_path)] * 8))) == 1
    assert sorted(os.listdir(tmp_path / "App")) == ["instance_id"], "no temporary files are left"


def test_the_lock_is_one_process_s_at_a_time(tmp_path: Path) -> None:
    first, second = State(tmp_path, "node"), State(tmp_path, "node")
    first.lock()
    with pytest.raises(BridgeError, match=r"another process runs as instance 'node' .* own bridge\.instance_id"):
        second.lock()
    first.release()
    second.lock()
    second.release()


def test_what_an_ended_process_had_begun_is_removed(tmp_path: Path) -> None:
    state = State(tmp_path, "node")
    state.lock()
    state.save({"a": 1}, {})
    state.release()
    for name in (".new-abc123", ".new-messages.db"):
        (tmp_path / "node" / name).write_text("half")
    state.lock()
    assert sorted(os.listdir(tmp_path / "node")) == ["lock", "subscriptions.json"]
    state.release()


@pytest.mark.parametrize("name", ["..", ".", "a/b", "../../up", "Thermo", "Ümläut \0"])
def test_no_name_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    state = State.open(tmp_path, name, None)
    state.lock()
    state.save({"a/b": 5}, {})
    state.release()
    assert [path.parent.parent.parent for path in tmp_path.rglob("subscriptions.json")] == [tmp_path]


def test_subscriptions_are_kept_and_forgotten(tmp_path: Path) -> None:
    state = State(tmp_path, "node")
    assert state.load() is None
    state.lock()
    state.save({"a": 1}, {"b": 2})
    kept = State(tmp_path, "node").load()
    assert kept == Subscribed({"a": 1}, {"b": 2})
    assert (tmp_path / "node" / "subscriptions.json").stat().st_mode & 0o777 == 0o600
    state.forget()
    assert state.load() is None
    state.release()


def test_what_is_damaged_is_named(tmp_path: Path) -> None:
    (tmp_path / "node").mkdir()
    (tmp_path / "node" / "subscriptions.json").write_text("{")
    with pytest.raises(BridgeError, match=r"subscriptions\.json is damaged: .* Remove the file"):
        State(tmp_path, "node").load()
    (tmp_path / "App").mkdir()
    (tmp_path / "App" / "instance_id").write_text("not a level!\n")
    with pytest.raises(BridgeError, match="instance_id holds no instance id; remove it"):
        State.open(tmp_path, "App", None)
