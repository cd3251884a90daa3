#!/usr/bin/env python3
"""Measures what the daemon still has in memory of what is long over.

    bench_cycles.py [--daemon CMD] [--clients DIR] [--cycles N] [--only WORD]

Each kind of cycle (a service started and stopped, a connection opened and closed, ...) is gone through so many times,
or a part of that where it takes long, with a daemon of its own. Many of them have names that never were before, which
nothing may keep. Told is the memory, in MiB, after each tenth of the cycles, and what it has grown by since the first
tenth. Then another daemon, which counts its objects (counting_daemon.py), goes through a tenth of the cycles: told is
how many more objects, and blocks of memory, it has at their end than in the middle. Nothing is asserted here.
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
    from collections.abc import Callable, Iterator

    from bench_daemon import Call

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


# Each goes through one cycle whenever it is asked for the next.


def services(bench: Bench) -> Iterator[None]:
    start, stop = change("Start", "probe"), change("Stop", "probe")
    while True:
        yield
        bench.peer.call(start)
        bench.peer.call(stop)


def restarts(bench: Bench) -> Iterator[None]:
    bench.peer.call(change("Start", "probe"))
    restart = change("Restart", "probe")
    while True:
        yield
        bench.peer.call(restart)


def instances(bench: Bench) -> Iterator[None]:
    for number in itertools.count():
        yield
        bench.peer.call(change("Start", "named", f"NAME=name-{number}"))
        bench.peer.call(change("Stop", "named", f"NAME=name-{number}"))


def tasks_that_write(bench: Bench) -> Iterator[None]:
    for number in itertools.count():
        yield
        bench.peer.call(change("Start", "speaking", f"NAME=name-{number}"))


def failing_tasks(bench: Bench) -> Iterator[None]:
    call = change("Start", "failing")
    while True:
        yield
        fail(bench, call)


def missing_programs(bench: Bench) -> Iterator[None]:
    call = change("Start", "missing")
    while True:
        yield
        fail(bench, call)


def respawns(bench: Bench) -> Iterator[None]:
    bench.peer.call(change("Start", "respawning"))
    ask = call_of(f"{ROOT}/jobs/respawning/_", PROPERTIES, "Get", "ss", INSTANCE, "processes")
    previous = 0
    while True:
        yield
        while not (processes := bench.peer.call(ask)[1]) or processes[0][1] == previous:  # type: ignore[index]
            pass
        previous = processes[0][1]
        os.kill(previous, signal.SIGKILL)


def strange_events(bench: Bench) -> Iterator[None]:
    for number in itertools.count():
        yield
        bench.peer.call(emit(f"stranger-{number}", f"NUMBER={number}", f"NAME{number}=x"))


def awaited_events(bench: Bench) -> Iterator[None]:
    go_on, go_off = emit("go-on", "NAME=one", wait=False), emit("go-off")
    for number in itertools.count():
        yield
        bench.peer.call(emit("go-on", f"NAME={number}", wait=False))
        bench.peer.call(go_on)
        bench.peer.call(go_off)


def connections(bench: Bench) -> Iterator[None]:
    ask = call_of(f"{ROOT}/jobs/probe", JOB, "GetAllInstances")
    while True:
        yield
        peer = Peer(bench.address)
        peer.call(ask)
        peer.close()


def unknown_names(bench: Bench) -> Iterator[None]:
    for number in itertools.count():
        yield
        fail(bench, call_of(ROOT, UPSTART, "GetJobByName", "s", f"nothing-{number}"))
        fail(bench, call_of(f"{ROOT}/jobs/nothing_{number}", JOB, "GetAllInstances"))
        fail(bench, call_of(f"{ROOT}/jobs/probe", JOB, f"Method{number}"))


def variables(bench: Bench) -> Iterator[None]:
    for number in itertools.count():
        yield
        bench.peer.call(call_of(ROOT, UPSTART, "SetEnv", "assb", [], f"NAME{number}={number}", True))
        bench.peer.call(call_of(ROOT, UPSTART, "UnsetEnv", "ass", [], f"NAME{number}"))


def rewritten_files(bench: Bench) -> Iterator[None]:
    ask = call_of(ROOT, UPSTART, "GetJobByName", "s", "probe")
    for number in itertools.count():
        yield
        bench.write_job("probe", f"description {number}\nstart on event-{number}\nexec sleep 1000\n")
        bench.peer.call(ask)


def new_files(bench: Bench) -> Iterator[None]:
    for number in itertools.count():
        yield
        ask = call_of(ROOT, UPSTART, "GetJobByName", "s", f"new-{number}")
        bench.write_job(f"new-{number}", f"description {number}\nstart on event-{number}\nexec sleep 1000\n")
        bench.peer.call(ask)
        (bench.conf / f"new-{number}.conf").unlink()
        fail(bench, ask)


def reloads(bench: Bench) -> Iterator[None]:
    call = call_of(ROOT, UPSTART, "ReloadConfiguration")
    while True:
        yield
        bench.peer.call(call)


def lines_of_output(bench: Bench) -> Iterator[None]:
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
KINDS: dict[str, tuple[Callable[[Bench], Iterator[None]], int]] = {
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


def memory(kind: Callable[[Bench], Iterator[None]], cycles: int, options: argparse.Namespace) -> list[float]:
    """The memory in MiB after each of the parts of so many cycles."""
    with Bench(0, options, JOBS) as bench:
        bench.start()
        under_way = kind(bench)
        found = []
        for _ in range(MARKS):
            for _ in range(cycles // MARKS):
                next(under_way)
            found.append(bench.memory())
        under_way.close()
        return found


def objects(kind: Callable[[Bench], Iterator[None]], cycles: int, options: argparse.Namespace) -> tuple[int, int]:
    """By how many objects, and blocks of memory, the second half of so many cycles leaves more."""
    answers, theirs = os.pipe()
    counted = argparse.Namespace(**vars(options) | {"daemon": shlex.join(command(theirs))})
    with Bench(0, counted, JOBS, pass_files=(theirs,)) as bench:
        bench.start()
        under_way = kind(bench)
        found = []
        for _ in range(2):
            for _ in range(cycles // 2):
                next(under_way)
            found.append(count(bench.daemon.pid, answers))
        under_way.close()
    os.close(answers)
    os.close(theirs)
    (objects, blocks), (objects_then, blocks_then) = found
    return objects_then - objects, blocks_then - blocks


def main() -> int:
    parser = arguments(__doc__)
    parser.add_argument("--cycles", type=int, default=20_000)
    parser.add_argument("--only", metavar="WORD", default="", help="only those kinds of cycle that have this word")
    options = parser.parse_args()
    rows = []
    for name, (kind, part) in KINDS.items():
        if options.only not in name:
            continue
        print(f"{name} ...", file=sys.stderr)
        cycles = options.cycles // part
        began = time.monotonic()
        found = memory(kind, cycles, options)
        each = (time.monotonic() - began) * 1000 / cycles
        more_objects, more_blocks = objects(kind, cycles // MARKS, options)
        rows.append([name, str(cycles), f"{each:.2g}", *(f"{mib:.1f}" for mib in found),
                     f"{(found[-1] - found[0]) * 1024:.0f}", str(more_objects), str(more_blocks)])
    print_table(["cycle", "times", "ms", *(f"{mark + 1}/{MARKS}" for mark in range(MARKS)), "KiB more", "objects more",
                 "blocks more"], rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
