#!/usr/bin/env python3
"""Measures what the output of jobs costs: one job that writes very much, and very many that write at once.

    bench_logs.py [--daemon CMD] [--clients DIR] [--megabytes 200] [--jobs 500] [--lines 2000]

While the output comes, the status of another job is asked for again and again, over one connection and by
`initctl status`. Told are the times that this took (at rest, and meanwhile), the rate at which output reached the
logs, and what the daemon's memory grew to. Nothing of the output may be missing in the end; nothing else is
asserted: times are for people, on a machine that is otherwise at rest.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bench_daemon import JOB, ROOT, Bench, Peer, arguments, call_of, change, emit, print_table

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

FLOOD = "task\nexec yes " + "x" * 99 + " | head -c {size}\n"
# Each waits for the pipe to be opened, so that what is measured is output, and not the start of so many.
WRITER = """\
start on get-ready
script
  read nothing <{gate} || true
  i=0
  while [ $i -lt {lines} ]; do echo "line $i of {n}, about as long as lines in logs are"; i=$((i+1)); done
end script
"""
ASKED_BETWEEN = 20  # calls over a connection for each run of initctl
AT_REST = 10  # such rounds

Times = tuple[list[float], list[float]]


def ask(bench: Bench, is_over: Callable[[], bool]) -> Times:
    """How long a status takes, in milliseconds, over a connection and by initctl, until it is over."""
    calls: list[float] = []
    commands: list[float] = []
    peer = Peer(bench.address)
    get_instances = call_of(f"{ROOT}/jobs/probe", JOB, "GetAllInstances")

    def call() -> None:
        peer.call(get_instances)

    def command() -> None:
        bench.client("initctl", "status", "probe")

    while not is_over():
        for what, times in [(call, calls)] * ASKED_BETWEEN + [(command, commands)]:
            began = time.perf_counter()
            what()
            times.append((time.perf_counter() - began) * 1000)
    peer.close()
    return calls, commands


def while_it_lasts(bench: Bench, what: Callable[[], object]) -> tuple[float, Times]:
    """Do something and ask meanwhile: the seconds that it took, and the times of the status."""
    took: list[float] = []

    def carry_out() -> None:
        began = time.perf_counter()
        what()
        took.append(time.perf_counter() - began)

    thread = threading.Thread(target=carry_out)
    thread.start()
    times = ask(bench, lambda: not thread.is_alive())
    return took[0], times


def row(what: str, rate: str, times: Times, memory: float) -> list[str]:
    """A row of the table."""
    return [what, rate, *(f"{statistics.median(each):.2f}, {max(each):.1f}" for each in times), f"{memory:.1f}"]


def measure(bench: Bench, options: argparse.Namespace, gate: Path) -> list[list[str]]:
    """The rows of the table."""
    flood_size = options.megabytes * 1_000_000
    logs = [bench.logs / f"writer{n}.log" for n in range(options.jobs)]

    def flood() -> None:
        Peer(bench.address).call(change("Start", "flood"))

    def open_gate() -> None:
        gate.write_bytes(b"")
        while any(not log.exists() or log.read_bytes().count(b"\n") < options.lines for log in logs):
            time.sleep(0.1)

    rounds = iter(range(AT_REST))
    rows = [row("at rest", "", ask(bench, lambda: next(rounds, None) is None), bench.memory())]
    seconds, times = while_it_lasts(bench, flood)
    assert (bench.logs / "flood.log").stat().st_size == flood_size
    rows.append(row(f"one job writes {options.megabytes} MB", f"{flood_size / seconds / 1e6:.0f}", times,
                    bench.memory("VmHWM")))
    bench.peer.call(emit("get-ready"))
    seconds, times = while_it_lasts(bench, open_gate)
    size = sum(log.stat().st_size for log in logs)
    rows.append(row(f"{options.jobs} jobs write {options.lines} lines each at once", f"{size / seconds / 1e6:.0f}",
                    times, bench.memory("VmHWM")))
    return rows


def main() -> int:
    parser = arguments(__doc__)
    parser.add_argument("--megabytes", type=int, default=200, help="what the one job writes")
    parser.add_argument("--jobs", type=int, default=500, help="how many jobs write at once")
    parser.add_argument("--lines", type=int, default=2000, help="what each of them writes")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="upstartd-bench-gate-") as folder:
        gate = Path(folder) / "gate"
        os.mkfifo(gate)
        jobs = {f"writer{n}": WRITER.format(n=n, lines=options.lines, gate=gate) for n in range(options.jobs)}
        jobs["flood"] = FLOOD.format(size=options.megabytes * 1_000_000)
        with Bench(0, options, jobs) as bench:
            bench.start()
            rows = measure(bench, options, gate)
    print_table(["", "MB/s", "status, ms: median, longest", "initctl status, ms: median, longest", "memory, MiB"], rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
