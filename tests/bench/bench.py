#!/usr/bin/env python3
"""Measures what the daemon costs, for several numbers of job files: the rows of the budget.

    bench.py [--daemon CMD] [--clients DIR] [-n 10,1000,5000] [--rounds N]

Each number of jobs gets a daemon of its own, in user mode over its private socket. Times are medians in milliseconds;
they are for people, on a machine that is otherwise at rest, and what misses its goal stands out. The counts beside
them are means, and hardly differ from run to run: the daemon's instructions (for a command the client's, then the
daemon's), and the daemon's system calls. The last column is how many times the work of the first number of jobs it
is at the last. Nothing is asserted here.
"""

from __future__ import annotations

import statistics
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import counts
from bench_daemon import Bench, arguments, change, emit, print_table, times, within

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from counts import Counter

COUNTS = (10, 1000, 5000)
# The goals for these numbers of jobs, in ms (memory: MiB).
GOALS = {
    "process start to first answer": (300, 500, 860),
    "again, with the same files": (300, 500, 860),
    "event that no job waits for": (0.4, 0.4, 0.4),
    "start + stop of a service": (6, 6, 6),
    "run a task": (5, 5, 5),
    "one event starts 100 services": (285, 285, 285),
    "initctl list": (90, 150, 350),
    "initctl status": (50, 50, 50),
    "memory, MiB": (34.06, 39.9, 63.3),
}


@dataclass(frozen=True, slots=True)
class Cost:
    """What one operation costs: milliseconds (or MiB); the work (of counts.py) of each who has a part in it; and the
    daemon's system calls. What is not counted is not there."""

    value: float
    work: tuple[float, ...] = ()
    system_calls: float | None = None

    @property
    def counts(self) -> str:
        """The counts, for people."""
        work = " + ".join(map(counts.work, self.work))
        calls = counts.calls(self.system_calls) if self.system_calls is not None else ""
        return ", ".join(filter(None, (work, calls)))


def measure(what: Callable[[], object], rounds: int, counters: Sequence[Counter],
            before: Callable[[], object] = lambda: None) -> tuple[float, list[float]]:
    """The median time of an operation in milliseconds, and by how much these counters went on in the mean.

    `before` is done before each, and once after the last.
    """
    before()
    what()  # What is made at the first time is no cost of the others.
    spent: list[float] = []
    counted: list[list[int]] = []
    for _ in range(rounds):
        before()
        begin = [counter.read() for counter in counters]
        spent += times(what, 1)
        counted.append([counter.read() - then for counter, then in zip(counters, begin, strict=True)])
    before()
    return statistics.median(spent), [statistics.mean(column) for column in zip(*counted, strict=True)]


def measure_start(start: Callable[[], float]) -> Cost:
    """What it costs until a daemon has answered; `start` starts it and gives the seconds that it took."""
    with counts.work_of_children() as work, counts.system_calls_of_children() as system_calls:
        return Cost(start() * 1000, (work.read(),), system_calls.read())


def costs(count: int, options: argparse.Namespace) -> dict[str, Cost]:
    """The rows of the table for one number of job files."""
    with Bench(count, options) as bench:
        first = measure_start(bench.start)
        bench.settle()
        memory = Cost(bench.memory())
        operations = costs_of_operations(bench, options.rounds)
        again = []
        for _ in range(3):
            bench.stop()
            again.append(measure_start(bench.start))
        return operations | {
            "process start to first answer": first,
            "again, with the same files": sorted(again, key=lambda cost: cost.value)[1],
            "memory, MiB": memory,
        }


def costs_of_operations(bench: Bench, rounds: int) -> dict[str, Cost]:
    """The rows that are about a daemon that is there."""
    call = bench.peer.call
    nobody, start_many, stop_many = emit("nobody-waits"), emit("start-many"), emit("stop-many")
    start, stop, run_task = change("Start", "probe"), change("Stop", "probe"), change("Start", "task")
    with counts.work_of(bench.daemon.pid) as daemon, counts.work_of_children() as clients, \
            counts.system_calls_of(bench.daemon.pid) as system_calls:

        def operation(what: Callable[[], object], rounds: int, before: Callable[[], object] = lambda: None) -> Cost:
            spent, (work, calls) = measure(what, rounds, [daemon, system_calls], before)
            return Cost(spent, (work,), calls)

        def command(*argv: str) -> Cost:
            spent, work = measure(lambda: bench.client(*argv), rounds, [clients, daemon])
            return Cost(spent, tuple(work))

        return {
            "event that no job waits for": operation(lambda: call(nobody), rounds * 20),
            "start + stop of a service": operation(lambda: (call(start), call(stop)), rounds * 5),
            "run a task": operation(lambda: call(run_task), rounds * 5),
            "one event starts 100 services": operation(
                lambda: call(start_many), max(3, rounds // 3), lambda: call(stop_many)),
            "initctl list": command("initctl", "list"),
            "initctl status": command("initctl", "status", "probe"),
        }


def growth(cost: Cost, first: Cost) -> str:
    """How many times the work of `first` it is."""
    return f"x {sum(cost.work) / sum(first.work):.3g}" if cost.work else ""


def main() -> int:
    parser = arguments(__doc__)
    parser.add_argument("-n", "--jobs", default=",".join(map(str, COUNTS)), help="numbers of job files, with commas")
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    numbers = [int(count) for count in options.jobs.split(",")]
    columns = [costs(count, options) for count in numbers]
    head = ["", *(title for count in numbers for title in (f"N = {count}: ms (goal)", "count")), "last / first"]
    rows = []
    for name, goals in GOALS.items():
        cells = [name]
        for count, column in zip(numbers, columns, strict=True):
            goal = dict(zip(COUNTS, goals, strict=True)).get(count)
            cells += [within(column[name].value, goal), column[name].counts]
        rows.append([*cells, growth(columns[-1][name], columns[0][name])])
    print_table(head, rows)
    print(f"\n{counts.legend()} Of a command: the client's + the daemon's.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
