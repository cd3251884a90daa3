#!/usr/bin/env python3
"""Measures whether the daemon does nothing where there is nothing to do.

    bench_idle.py [--daemon CMD] [--clients DIR] [--seconds S] [-n N]

With N job files and 100 services that run, and nobody who asks for anything, everything that the daemon does is
counted: its system calls as strace sees them (where there is strace) and as the kernel counts them, its instructions,
and the times that a processor was given to it or taken from it. Each has to be 0; what is not, ends the program with
status 1, and is shown as far as strace has seen it.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import counts
from bench_daemon import GROUP, Bench, arguments, emit, print_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SHOWN = 40  # lines of what strace has seen


def switches(pid: int) -> int:
    """How often a processor was given to a thread of the process (proc(5), status)."""
    lines = [line for status in Path(f"/proc/{pid}/task").glob("*/status") for line in status.read_text().splitlines()]
    return sum(int(line.split()[1]) for line in lines if "ctxt_switches:" in line)


@contextmanager
def traced(pid: int) -> Iterator[Callable[[], list[str]]]:
    """Have strace look at a process; what is given ends that, and gives the system calls that have come to an end."""
    with tempfile.NamedTemporaryFile("r", prefix="upstartd-bench-") as trace:
        tracer = subprocess.Popen(["strace", "-f", "-tt", "-o", trace.name, "-p", str(pid)], stderr=subprocess.PIPE)

        def finish() -> list[str]:
            tracer.terminate()
            tracer.communicate()
            # The one that the process waits in all the time stays without a result.
            return [line for line in trace.read().splitlines() if "<detached" not in line]

        try:
            assert tracer.stderr is not None
            told = tracer.stderr.readline().decode()
            if "attached" not in told:
                raise RuntimeError(f"strace cannot look at the daemon: {told.strip()}")
            yield finish
        finally:
            tracer.terminate()
            tracer.wait()


def measure(bench: Bench, seconds: float) -> tuple[dict[str, int], list[str]]:
    """What the daemon does in so many seconds: counts, and its system calls as strace shows them."""
    pid = bench.daemon.pid
    with counts.work_of(pid) as work, counts.system_calls_of(pid) as system_calls:

        def read() -> dict[str, int]:
            found = {counts.unit(): work.read(), "context switches": switches(pid)}
            return found | ({"system calls, counted": system_calls.read()} if counts.can_count_system_calls() else {})

        def read_over_time() -> dict[str, int]:
            bench.settle()  # strace has woken it
            begin = read()
            time.sleep(seconds)
            return {name: now - begin[name] for name, now in read().items()}

        if shutil.which("strace") is None:
            return read_over_time(), []
        with traced(pid) as finish:
            found = read_over_time()
            seen = finish()
        return found | {"system calls, seen by strace": len(seen)}, seen


def main() -> int:
    parser = arguments(__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("-n", "--number", type=int, default=1000, help="job files")
    options = parser.parse_args()
    with Bench(options.number, options) as bench:
        bench.start()
        bench.peer.call(emit("start-many"))
        bench.settle()
        found, seen = measure(bench, options.seconds)
    print_table([f"{options.number} jobs, {GROUP} running, in {options.seconds:g} s (goal: 0)", ""],
                [[name, str(count)] for name, count in found.items()])
    for line in seen[:_SHOWN]:
        print(line)
    return 1 if any(found.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
