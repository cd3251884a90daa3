#!/usr/bin/env python3
"""Measures how long a `status` takes while the daemon has much else to do.

    bench_latency.py [--daemon CMD] [--clients DIR] [--seconds S] [--events N] [--jobs N] [--lines N] [-n N] [--files N]

First with N job files, at rest and then while events arrive and jobs write, at an even rate (load.py): a status is the
three calls that `initctl status` makes, over a connection that stays, over a new one each time, and by the command
itself. It is due at even times, and its time counts from then, so that whatever keeps the daemon from answering
counts for everyone who would have asked meanwhile. Then with more job files, while these are read again: one status
after the other. Times are in milliseconds, for people, on a machine that is otherwise at rest; what misses its goal
stands out. Beside them is the daemon's work while one waits, which says how long others can keep it, and no other
process adds to it.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import counts
from bench_daemon import (
    INSTANCE,
    JOB,
    PROPERTIES,
    ROOT,
    UPSTART,
    Bench,
    Peer,
    arguments,
    call_of,
    change,
    emit,
    print_table,
    within,
)
from load import TICKS

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

STATUS_GOAL = 20.0  # ms, of 99 in a hundred, under load
RELOAD_GOAL = 50.0  # ms, of the longest, while job files are read again
COMMAND_GOAL = 50.0  # ms, of the median of `initctl status`, at rest
BETWEEN_CALLS = 0.01  # seconds from one status to the next
BETWEEN_COMMANDS = 0.25
RELOADS = 5

LOAD = Path(__file__).with_name("load.py")
WRITER = """\
start on start-writers
script
  while read tick; do
{lines}
  done <{pipe}
end script
"""
LINE = '    echo "line {number} of {job}, about as long as lines in logs are"\n'

PROBE_PATH = f"{ROOT}/jobs/probe"
GET_JOB = call_of(ROOT, UPSTART, "GetJobByName", "s", "probe")
GET_INSTANCES = call_of(PROBE_PATH, JOB, "GetAllInstances")
GET_ALL = call_of(f"{PROBE_PATH}/_", PROPERTIES, "GetAll", "s", INSTANCE)
RELOAD = call_of(ROOT, UPSTART, "ReloadConfiguration")


def status(peer: Peer) -> None:
    """Ask where the probe stands, as `initctl status` does."""
    assert peer.call(GET_JOB) == PROBE_PATH
    assert peer.call(GET_INSTANCES) == [f"{PROBE_PATH}/_"]
    assert peer.call(GET_ALL)


class Waits:
    """How long somebody had to wait each time, and what the daemon did meanwhile."""

    def __init__(self, bench: Bench) -> None:
        self.milliseconds: list[float] = []
        self.work: list[int] = []
        self._counter = counts.work_of(bench.daemon.pid)

    def add(self, what: Callable[[], object], due: float | None = None) -> None:
        """Do something and wait for it. `due` is when that should have begun, on the clock of time.perf_counter()."""
        begin = self._counter.read()
        began = time.perf_counter()
        what()
        self.milliseconds.append((time.perf_counter() - (due or began)) * 1000)
        self.work.append(self._counter.read() - begin)

    def add_evenly(self, what: Callable[[], object], between: float, seconds: float) -> Waits:
        """Do something every `between` seconds, for so long in all; gives itself."""
        began = time.perf_counter()
        for number in range(round(seconds / between)):
            due = began + number * between
            time.sleep(max(0.0, due - time.perf_counter()))
            self.add(what, due)
        return self

    def row(self, what: str, *, median_goal: float | None = None, p99_goal: float | None = None,
            longest_goal: float | None = None) -> list[str]:
        """A row of the table."""
        self._counter.close()
        found = sorted(self.milliseconds)
        p99 = found[min(len(found) * 99 // 100, len(found) - 1)]
        return [what, str(len(found)), within(statistics.median(found), median_goal), within(p99, p99_goal),
                within(found[-1], longest_goal), counts.work(statistics.median(self.work)), counts.work(max(self.work))]


def ask_in_every_way(bench: Bench, when: str, seconds: float, goal: float | None) -> list[list[str]]:
    """The rows for a status, asked in every way for so long each."""
    kept = Peer(bench.address)

    def on_a_new_connection() -> None:
        peer = Peer(bench.address)
        status(peer)
        peer.close()

    def by_command() -> None:
        bench.client("initctl", "status", "probe")

    command_goal = COMMAND_GOAL if goal is None else None
    rows = [
        Waits(bench).add_evenly(lambda: status(kept), BETWEEN_CALLS, seconds).row(
            f"{when}, one connection", p99_goal=goal),
        Waits(bench).add_evenly(on_a_new_connection, BETWEEN_CALLS, seconds).row(
            f"{when}, a new connection each", p99_goal=goal),
        Waits(bench).add_evenly(by_command, BETWEEN_COMMANDS, seconds).row(
            f"{when}, initctl status", median_goal=command_goal),
    ]
    kept.close()
    return rows


def under_load(options: argparse.Namespace, folder: Path) -> tuple[list[list[str]], str]:
    """The rows at rest and under load, and what the load was in the end."""
    pipes = [folder / f"pipe{number}" for number in range(options.jobs)]
    lines = round(options.lines / options.jobs / TICKS)
    jobs = {}
    for number, pipe in enumerate(pipes):
        os.mkfifo(pipe)
        said = "".join(LINE.format(number=number, job=f"writer{number}") for number in range(lines))
        jobs[f"writer{number}"] = WRITER.format(pipe=pipe, lines=said.rstrip("\n"))
    with Bench(options.number, options, jobs) as bench:
        bench.start()
        bench.settle()
        bench.peer.call(change("Start", "probe"))
        rows = ask_in_every_way(bench, "at rest", options.seconds / 4, None)
        bench.peer.call(emit("start-writers"))
        load = subprocess.Popen([sys.executable, str(LOAD), bench.address, str(options.events), *map(str, pipes)],
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        time.sleep(1)  # until it goes evenly
        used, began = counts.processor_time(bench.daemon.pid), time.monotonic_ns()
        rows += ask_in_every_way(bench, "under load", options.seconds, STATUS_GOAL)
        share = (counts.processor_time(bench.daemon.pid) - used) / (time.monotonic_ns() - began)
        reached = json.loads(load.communicate()[0])
        logged = sum((bench.logs / f"{job}.log").read_bytes().count(b"\n") for job in jobs)
    seconds = reached["seconds"]
    return rows, (
        f"Load: {reached['answered'] / seconds:.0f} events/s answered, of {options.events} sent; "
        f"{logged / seconds:.0f} lines/s in {options.jobs} logs, of {reached['ticks'] * lines / seconds:.0f} written. "
        f"Of a processor, the daemon had {share:.0%}, and what makes the load {reached['used'] / seconds:.0%}.")


def while_files_are_read(options: argparse.Namespace) -> list[list[str]]:
    """The rows for a daemon that reads its job files again."""
    with Bench(options.files, options) as bench:
        bench.start()
        bench.settle()
        bench.peer.call(change("Start", "probe"))
        asker = Peer(bench.address)

        waits = Waits(bench)
        for _ in range(RELOADS):
            reloader = Peer(bench.address)
            reloader.send(RELOAD)
            while not reloader.count_replies():
                waits.add(lambda: status(asker))
            reloader.close()
        asker.close()
        return [waits.row(f"{options.files} files read again", longest_goal=RELOAD_GOAL)]


def main() -> int:
    parser = arguments(__doc__)
    parser.add_argument("--seconds", type=float, default=20, help="for how long to ask in each way, under load")
    parser.add_argument("--events", type=int, default=1000, help="how many arrive in a second")
    parser.add_argument("--jobs", type=int, default=100, help="how many write")
    parser.add_argument("--lines", type=int, default=10_000, help="how many these write together in a second")
    parser.add_argument("-n", "--number", type=int, default=1000, help="job files beside those")
    parser.add_argument("--files", type=int, default=5000, help="job files that are read again")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="upstartd-bench-pipes-") as folder:
        rows, load = under_load(options, Path(folder))
    rows += while_files_are_read(options)
    print_table(["status, ms (goal)", "asked", "median", "99 %", "longest", "work, median", "most"], rows)
    print(f"\nWork is the daemon's while one waits. {counts.legend()}\n{load}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
