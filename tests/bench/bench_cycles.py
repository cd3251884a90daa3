#!/usr/bin/env python3
"""Measures what the daemon still has in memory of what is long over.

    bench_cycles.py [--daemon CMD] [--clients DIR] [--cycles N] [--only WORD]

Each kind of cycle (a service started and stopped, a connection opened and closed, ...) is gone through so many times,
or a part of that where it takes long, with a daemon of its own. Many of them have names that never were before, which
nothing may keep for good. Told is the memory, in MiB, after each tenth of the cycles, and what it has grown by since
the first tenth; and how many more objects and blocks of memory there are at the end than in the middle. For that, the
daemon is upstartd as counting_daemon.py runs it; where another one is given, objects are not counted. Nothing is
asserted here.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import shlex
import signal
import sys
import time
from typing import TYPE_CHECKING

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
)
from counting_daemon import command, count

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import TypeAlias

    from bench_daemon import Call

    # Goes through one cycle whenever it is asked for the next.
    Cycles: TypeAlias = Generator[None, None, None]

MARKS = 10
JOBS = {
    "named": "instance $NAME\nexec sleep 1000\n",
    "speaking": "task\ninstance $NAME\nexec echo $NAME\n",
    "waiting": "start on go-on NAME=one\nstop on go-off\nexec sleep 1000\n",
    "half": "start on go-on and never\nexec sleep 1000\n",
    "failing": "task\nexec false\n",
    "missing": "exec /nonexistent/program\n",
    "respawning": "respawn\nrespawn limit unlimited\nexec sleep 1000\n",
}
READER = "script\n  while read line; do echo a line; done <{pipe}\nend script\n"


def fail(bench: Bench, call: Call) -> None:
    """Make a call that is answered with an error."""
    with contextlib.suppress(RuntimeError):
        raise AssertionError(f"there is no error, but {bench.peer.call(call)}")


def services(bench: Bench) -> Cycles:
    start, stop = change("Start", "probe"), change("Stop", "probe")
    while True:
        yield
        bench.peer.call(start)
        bench.peer.call(stop)


def restarts(bench: Bench) -> Cycles:
    bench.peer.call(change("Start", "probe"))
    restart = change("Restart", "probe")
    while True:
        yield
        bench.peer.call(restart)


def instances(bench: Bench) -> Cycles:
    for number in itertools.count():
        yield
        bench.peer.call(change("Start", "named", f"NAME=name-{number}"))
        bench.peer.call(change("Stop", "named", f"NAME=name-{number}"))


def tasks_that_write(bench: Bench) -> Cycles:
    for number in itertools.count():
        yield
        bench.peer.call(change("Start", "speaking", f"NAME=name-{number}"))


def failing_tasks(bench: Bench) -> Cycles:
    call = change("Start", "failing")
    while True:
        yield
        fail(bench, call)


def missing_programs(bench: Bench) -> Cycles:
    call = change("Start", "missing")
    while True:
        yield
        fail(bench, call)


def respawns(bench: Bench) -> Cycles:
    bench.peer.call(change("Start", "respawning"))
    ask = call_of(f"{ROOT}/jobs/respawning/_", PROPERTIES, "Get", "ss", INSTANCE, "processes")
    previous = 0
    while True:
        yield
        while not (processes := bench.peer.call(ask)[1]) or processes[0][1] == previous:  # type: ignore[index]
            pass
        previous = processes[0][1]
        os.kill(previous, signal.SIGKILL)


def strange_events(bench: Bench) -> Cycles:
    for number in itertools.count():
        yield
        bench.peer.call(emit(f"stranger-{number}", f"NUMBER={number}", f"NAME{number}=x"))


def awaited_events(bench: Bench) -> Cycles:
    go_on, go_off = emit("go-on", "NAME=one", wait=False), emit("go-off")
    for number in itertools.count():
        yield
        bench.peer.call(emit("go-on", f"NAME={number}", wait=False))
        bench.peer.call(go_on)
        bench.peer.call(go_off)


def connections(bench: Bench) -> Cycles:
    ask = call_of(f"{ROOT}/jobs/probe", JOB, "GetAllInstances")
    while True:
        yield
        peer = Peer(bench.address)
        peer.call(ask)
        peer.close()


def unknown_names(bench: Bench) -> Cycles:
    for number in itertools.count():
        yield
        fail(bench, call_of(ROOT, UPSTART, "GetJobByName", "s", f"nothing-{number}"))
        fail(bench, call_of(f"{ROOT}/jobs/nothing_{number}", JOB, "GetAllInstances"))
        fail(bench, call_of(f"{ROOT}/jobs/probe", JOB, f"Method{number}"))


def variables(bench: Bench) -> Cycles:
    for number in itertools.count():
        yield
        bench.peer.call(call_of(ROOT, UPSTART, "SetEnv", "assb", [], f"NAME{number}={number}", True))
        bench.peer.call(call_of(ROOT, UPSTART, "UnsetEnv", "ass", [], f"NAME{number}"))


def rewritten_files(bench: Bench) -> Cycles:
    ask = call_of(ROOT, UPSTART, "GetJobByName", "s", "probe")
    for number in itertools.count():
        yield
        bench.write_job("probe", f"description {number}\nstart on event-{number}\nexec sleep 1000\n")
        bench.peer.call(ask)


def new_files(bench: Bench) -> Cycles:
    for number in itertools.count():
        yield
        ask = call_of(ROOT, UPSTART, "GetJobByName", "s", f"new-{number}")
        bench.write_job(f"new-{number}", f"description {number}\nstart on event-{number}\nexec sleep 1000\n")
        bench.peer.call(ask)
        (bench.conf / f"new-{number}.conf").unlink()
        fail(bench, ask)


def reloads(bench: Bench) -> Cycles:
    call = call_of(ROOT, UPSTART, "ReloadConfiguration")
    while True:
        yield
        bench.peer.call(call)


def lines_of_output(bench: Bench) -> Cycles:
    pipe = bench.folder / "pipe"
    os.mkfifo(pipe)
    bench.write_job("reader", READER.format(pipe=pipe))
    bench.peer.call(change("Start", "reader"))
    log = bench.logs / "reader.log"
    with pipe.open("wb", buffering=0) as writer:
        for number in itertools.count():
            yield
            writer.write(b"\n")
            while not log.exists() or log.stat().st_size < (number + 1) * len("a line\n"):
                pass


# What each kind is called, and of how many cycles it goes through one.
KINDS: dict[str, tuple[Callable[[Bench], Cycles], int]] = {
    "service started and stopped": (services, 1),
    "service restarted": (restarts, 1),
    "instance of a new name started and stopped": (instances, 1),
    "task, of a new name, that writes": (tasks_that_write, 1),
    "task that fails": (failing_tasks, 1),
    "program that is not there": (missing_programs, 1),
    "process killed and respawned": (respawns, 4),
    "event of a new name": (strange_events, 1),
    "event that starts a service, and one that stops it": (awaited_events, 1),
    "connection": (connections, 1),
    "calls that fail, with new names": (unknown_names, 1),
    "variable of a new name set and unset": (variables, 1),
    "job file with a new text": (rewritten_files, 1),
    "job file of a new name, deleted": (new_files, 1),
    "reload": (reloads, 20),
    "line of output": (lines_of_output, 1),
}


def measure(kind: Callable[[Bench], Cycles], cycles: int, options: argparse.Namespace) -> list[str]:
    """The numbers of a kind's row."""
    answers, theirs = os.pipe()
    is_counted = options.daemon is None
    chosen = argparse.Namespace(**vars(options) | {"daemon": options.daemon or shlex.join(command(theirs))})
    with Bench(0, chosen, JOBS, pass_files=(theirs,)) as bench:
        bench.start()
        under_way = kind(bench)
        next(under_way)
        memory, counted = [], []
        began = time.monotonic()
        for mark in range(1, MARKS + 1):
            for _ in range(cycles // MARKS):
                next(under_way)
            memory.append(bench.memory())
            if is_counted and mark in (MARKS // 2, MARKS):
                counted.append(count(bench.daemon.pid, answers))
        each = (time.monotonic() - began) * 1000 / cycles
        under_way.close()
    os.close(answers)
    os.close(theirs)
    more = [str(end - middle) for middle, end in zip(*counted, strict=True)] if is_counted else ["", ""]
    return [str(cycles), f"{each:.2g}", *(f"{mib:.1f}" for mib in memory), f"{(memory[-1] - memory[0]) * 1024:.0f}",
            *more]


def main() -> int:
    parser = arguments(__doc__)
    parser.set_defaults(daemon=None)
    parser.add_argument("--cycles", type=int, default=20_000)
    parser.add_argument("--only", metavar="WORD", default="", help="only those kinds of cycle that have this word")
    options = parser.parse_args()
    rows = []
    for name, (kind, part) in KINDS.items():
        if options.only in name:
            print(f"{name} ...", file=sys.stderr)
            rows.append([name, *measure(kind, options.cycles // part, options)])
    tenths = [f"{mark}/{MARKS}" for mark in range(1, MARKS + 1)]
    print_table(["cycle", "times", "ms", *tenths, "KiB more", "objects more", "blocks more"], rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
