"""What ``make footprint`` measures with. How much anything takes is nobody's business here."""

import os
import random
import subprocess
import sys
from pathlib import Path
from statistics import median

import pytest

from benches.footprint import stats
from benches.footprint.memory import SystemLibraries, read, sample
from benches.footprint.processes import Process


def naive_percentile(values: list[float], percent: float) -> float:
    return min(one for one in values if 100 * sum(other <= one for other in values) >= percent * len(values))


def naive_slopes(points: list[tuple[float, float]]) -> list[float]:
    return sorted((y2 - y1) / (x2 - x1) for x1, y1 in points for x2, y2 in points if x2 > x1)


@pytest.mark.parametrize("seed", range(20))
def test_percentiles_are_those_of_the_definition(seed: int) -> None:
    chance = random.Random(seed)
    values = [float(chance.randrange(50)) for _ in range(chance.randrange(1, 60))]
    for percent in (1, 50, 95, 100):
        assert stats.percentile(values, percent) == naive_percentile(values, percent)


@pytest.mark.parametrize("seed", range(20))
def test_the_slope_is_the_median_of_all_pairs(seed: int) -> None:
    chance = random.Random(seed)
    points = [(float(x), chance.gauss(3 * x, 5)) for x in range(chance.randrange(3, 40))]
    chance.shuffle(points)
    found, low, high = stats.slope(points)
    slopes = naive_slopes(points)
    assert found == pytest.approx(median(slopes))
    assert slopes[0] <= low <= found <= high <= slopes[-1]


def test_the_interval_holds_the_truth_so_often_as_it_says() -> None:
    chance = random.Random(7)
    held = 0
    for _ in range(300):
        _, low, high = stats.slope([(x, chance.gauss(0.5 * x, 1)) for x in range(30)])
        held += low <= 0.5 <= high
    assert 0.92 <= held / 300 <= 0.98


def test_an_outlier_does_not_tilt_the_slope() -> None:
    points = [(float(x), 2.0 * x) for x in range(30)]
    points[3] = (3.0, 1e9)
    assert stats.slope(points)[0] == pytest.approx(2.0)


def test_bins_are_medians() -> None:
    points = [(0.0, 1.0), (0.5, 9.0), (0.9, 2.0), (2.0, 5.0)]
    assert stats.binned(points, 1.0) == [(0.5, 2.0), (2.0, 5.0)]


def test_a_process_that_grows_is_seen_to_grow() -> None:
    code = "import sys\nprint('one', flush=True)\nsys.stdin.readline()\nx = bytearray(b'x') * 30_000_000\n"
    code += "print('two', flush=True)\nsys.stdin.readline()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin
        assert process.stdout
        process.stdout.readline()
        before = read(process.pid)
        print(file=process.stdin, flush=True)
        process.stdout.readline()
        series = sample({"it": process.pid}, 1.0, 0.2)["it"]
        process.kill()
    for one in series.samples:
        assert 30_000_000 <= one.alone - before.alone < 32_000_000
        assert one.proportional <= one.resident
        assert one.paired < one.alone < one.resident
    assert len(series.samples) >= 2
    places = [one.at for one in series.samples]
    assert places == sorted(places)


def test_what_others_map_too_counts_whole_but_for_the_c_library() -> None:
    """The same interpreter twice: the kernel divides its pages, this rule does not."""
    code = "print('on', flush=True)\ninput()"
    command = [sys.executable, "-c", code]
    with (
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as one,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other,
    ):
        for process in (one, other):
            assert process.stdout
            process.stdout.readline()
        found = read(one.pid)
        one.kill()
        other.kill()
    assert found.proportional < found.alone < found.resident
    assert found.paired < found.alone
    with open(f"/proc/{os.getpid()}/maps", encoding="utf-8") as maps:
        names = {line.split()[-1].rpartition("/")[2] for line in maps}
    assert 1 <= sum(name.startswith(SystemLibraries) for name in names) <= 2


def test_a_process_that_has_ended_is_an_error() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    with pytest.raises(OSError, match=str(process.pid)):
        read(process.pid)


def test_a_program_that_ends_too_early_says_why(tmp_path: Path) -> None:
    process = Process([sys.executable, "-c", "raise SystemExit('no luck')"], tmp_path / "one", {})
    with pytest.raises(RuntimeError, match="no luck"):
        process.wait_for("is ready")


def test_the_cpu_time_of_a_process(tmp_path: Path) -> None:
    code = "import time\nwhile time.process_time() < 0.3: pass\nprint('done', flush=True)\ntime.sleep(60)"
    process = Process([sys.executable, "-c", code], tmp_path / "one", {})
    try:
        process.wait_for("done")
        assert 0.25 <= process.cpu() < 2
    finally:
        process.kill()
