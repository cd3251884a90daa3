"""The benchmarks can be run, and measure what they are there for. What they measure is not looked at here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parents[1] / "bench"
LIMIT = 120  # seconds; generous, for a busy machine


def rows(*command: str) -> dict[str, list[str]]:
    """The table that a benchmark prints, without its head: each row's cells by the first of them."""
    done = subprocess.run([sys.executable, BENCHMARKS / command[0], *command[1:]], capture_output=True, text=True,
                          timeout=LIMIT, check=False)
    assert done.returncode == 0, done.stderr
    lines = [line.strip("| \n").split(" | ") for line in done.stdout.splitlines() if line.startswith("|")]
    return {name.strip(): [cell.strip() for cell in cells] for name, *cells in lines[2:]}


def test_the_costs_are_measured_for_each_number_of_jobs() -> None:
    found = rows("bench.py", "-n", "10,20", "--rounds", "1")
    assert list(found) == [
        "process start to first answer", "again, with the same files", "event that no job waits for",
        "start + stop of a service", "run a task", "one event starts 100 services", "initctl list", "initctl status",
        "memory, MiB",
    ]  # fmt: skip
    assert all(len(cells) == 5 for name, cells in found.items() if name != "memory, MiB")


def test_a_status_is_measured_at_rest_under_load_and_while_files_are_read() -> None:
    found = rows("bench_latency.py", "--seconds", "1", "--events", "100", "--jobs", "4", "--lines", "80", "-n", "10",
                 "--files", "200")
    assert len(found) == 7
    assert all(int(cells[0]) > 0 for cells in found.values())


def test_an_idle_daemon_does_nothing() -> None:
    found = rows("bench_idle.py", "--seconds", "0.5", "-n", "10")
    assert set(map(tuple, found.values())) == {("0",)}


def test_all_kinds_of_cycles_are_gone_through() -> None:
    found = rows("bench_cycles.py", "--cycles", "40")
    assert found["connection"][0] == "40"
    assert all(len(cells) == 15 for cells in found.values())


def test_the_cost_of_output_is_measured() -> None:
    assert len(rows("bench_logs.py", "--megabytes", "1", "--jobs", "4", "--lines", "20")) == 3


def test_every_benchmark_is_in_the_makefile_and_its_help() -> None:
    makefile = (BENCHMARKS.parents[1] / "Makefile").read_text()
    for program in BENCHMARKS.glob("bench*.py"):
        if program.name != "bench_daemon.py":
            target = program.stem.replace("_", "-")
            assert f"\n{target}: " in makefile
            assert f'\t@echo "make {target} ' in makefile
