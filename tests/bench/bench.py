#!/usr/bin/env python3
"""Measures what the daemon costs, for several numbers of job files: the rows of the budget.

    bench.py [--daemon CMD] [--clients DIR] [-n 10,1000,5000] [--rounds N]

Each number of jobs gets a daemon of its own, in user mode over its private socket. The job files are of one
shape: about 18 lines, a start condition with four operands (names shared by groups of jobs, and a name of its
own), a stop condition with two, respawn, env, export, limit, a pre-start script and exec. Times are medians in
milliseconds. Nothing is asserted here: times are for people, on a machine that is otherwise at rest.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from jeepney import DBusAddress, MessageType, new_method_call
from jeepney.io.blocking import DBusConnection, prep_socket
from jeepney.io.common import MessageFilters

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ROOT = "/com/ubuntu/Upstart"
UPSTART = "com.ubuntu.Upstart0_6"
GROUP = 100  # services that one event starts

JOB = """\
# Job {n} of the benchmark
description "A service of group {g}"
author "bench"

start on (filesystem-{g} and (net-{g} or static-{g})) or go-{n}
stop on runlevel [016] or halt-{g}

respawn
respawn limit 10 5
env LEVEL=info
env NUMBER={n}
export LEVEL
limit nofile 1024 4096

pre-start script
  [ -n "$LEVEL" ]
end script
exec sleep 1000
"""
PROBE = 'env LEVEL=info\nstart on never-{n}\nexec sleep 1000\n'
TASK = "task\nstart on never\nexec true\n"
MANY = "start on start-many\nstop on stop-many\nexec sleep 1000\n"

# The goals for 10, 1000 and 5000 jobs, in ms (memory: MiB).
GOALS = {
    "process start to first answer": (300, 500, 860),
    "event that no job waits for": (0.4, 0.4, 0.4),
    "start + stop of a service": (6, 6, 6),
    "run a task": (5, 5, 5),
    "one event starts 100 services": (285, 285, 285),
    "initctl list": (90, 150, 350),
    "initctl status": (50, 50, 50),
    "memory, MiB": (34.06, 39.9, 63.3),
}


class Peer(DBusConnection):
    """A connection to the daemon's own socket: no bus, so no Hello."""

    def __init__(self, address: str) -> None:
        super(DBusConnection, self).__init__(prep_socket("\0" + address.partition("unix:abstract=")[2]))
        self._filters = MessageFilters()

    def call(self, path: str, interface: str, method: str, signature: str = "", *body: object) -> object:
        """The reply's first value; RuntimeError for an error. Signals on the way are read and dropped."""
        message = new_method_call(DBusAddress(path, "com.ubuntu.Upstart", interface), method, signature or None, body)
        serial = next(self.outgoing_serial)
        self.send(message, serial=serial)
        while True:
            reply = self.receive(timeout=60)
            if reply.header.message_type is not MessageType.signal and reply.header.fields.get(5) == serial:
                if reply.header.message_type is MessageType.error:
                    raise RuntimeError(str(reply.body))
                return reply.body[0] if reply.body else None


class Bench:
    """One daemon with `count` job files, and `more` by their names."""

    def __init__(self, count: int, options: argparse.Namespace, more: Mapping[str, str] | None = None) -> None:
        self.options = options
        self.folder = Path(tempfile.mkdtemp(prefix="upstartd-bench-"))
        conf = self.folder / "conf"
        conf.mkdir()
        for n in range(count):
            (conf / f"job{n}.conf").write_text(JOB.format(n=n, g=n % 50))
        (conf / "probe.conf").write_text(PROBE.format(n=count))
        (conf / "task.conf").write_text(TASK)
        for n in range(GROUP):
            (conf / f"many{n}.conf").write_text(MANY)
        for name, text in (more or {}).items():
            (conf / f"{name}.conf").write_text(text)
        self.logs = self.folder / "log"
        self.logs.mkdir()
        self.env = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "XDG_RUNTIME_DIR": str(self.folder / "run"),
                    "TERM": "dumb"}
        self.argv = [*shlex.split(options.daemon), "--quiet", "--user", "--no-startup-event", "--confdir", str(conf),
                     "--logdir", str(self.logs)]
        self.started = self.start()

    def start(self) -> float:
        """Start the daemon; seconds until it has answered."""
        began = time.perf_counter()
        self.daemon = subprocess.Popen(self.argv, env=self.env, stdin=subprocess.DEVNULL)
        session = self.folder / f"run/upstart/sessions/{self.daemon.pid}.session"
        while not session.exists() or not session.read_text().endswith("\n"):
            if self.daemon.poll() is not None:
                raise RuntimeError(f"the daemon ended with {self.daemon.returncode}")
            time.sleep(0.002)
        self.address = session.read_text().strip().partition("=")[2]
        self.peer = Peer(self.address)
        self.peer.call(ROOT, UPSTART, "GetJobByName", "s", "probe")
        return time.perf_counter() - began

    def stop(self) -> None:
        """End the daemon, and its jobs with it."""
        self.daemon.send_signal(signal.SIGTERM)
        self.daemon.wait()
        self.peer.close()

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self.folder)

    def client(self, *argv: str) -> None:
        subprocess.run([str(Path(self.options.clients) / argv[0]), *argv[1:]], check=True,
                       env=self.env | {"UPSTART_SESSION": self.address}, stdout=subprocess.DEVNULL)

    def memory(self, which: str = "VmRSS") -> float:
        """Memory in MiB: what is resident, or another value that proc(5) names."""
        for line in Path(f"/proc/{self.daemon.pid}/status").read_text().splitlines():
            if line.startswith(f"{which}:"):
                return int(line.split()[1]) / 1024
        raise RuntimeError(f"no {which}")

    def rows(self) -> dict[str, float]:
        rounds = self.options.rounds
        probe, task = f"{ROOT}/jobs/probe", f"{ROOT}/jobs/task"

        def start_and_stop() -> None:
            self.peer.call(probe, UPSTART + ".Job", "Start", "asb", [], True)
            self.peer.call(probe, UPSTART + ".Job", "Stop", "asb", [], True)

        def run_task() -> None:
            self.peer.call(task, UPSTART + ".Job", "Start", "asb", [], True)

        def emit(name: str) -> None:
            self.peer.call(ROOT, UPSTART, "EmitEvent", "sasb", name, [], True)

        def many() -> float:
            spent = median(lambda: emit("start-many"), 1)
            emit("stop-many")
            return spent

        found = {"memory, MiB": self.memory()}
        found["event that no job waits for"] = median(lambda: emit("nobody-waits"), rounds * 20)
        found["start + stop of a service"] = median(start_and_stop, rounds * 5)
        found["run a task"] = median(run_task, rounds * 5)
        found["one event starts 100 services"] = statistics.median(many() for _ in range(max(3, rounds // 3)))
        found["initctl list"] = median(lambda: self.client("initctl", "list"), rounds)
        found["initctl status"] = median(lambda: self.client("initctl", "status", "probe"), rounds)
        starts = [self.started]
        for _ in range(2):
            self.stop()
            starts.append(self.start())
        found["process start to first answer"] = statistics.median(starts) * 1000
        return {name: found[name] for name in GOALS}


def median(what: Callable[[], object], rounds: int) -> float:
    """The median time of a call in milliseconds."""
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        what()
        times.append(time.perf_counter() - began)
    return statistics.median(times) * 1000


def arguments(text: str) -> argparse.ArgumentParser:
    """The command line of a benchmark: which programs it is about. `text` begins with what it does."""
    parser = argparse.ArgumentParser(description=text.split("\n\n")[0])
    here = Path(sys.executable).parent
    parser.add_argument("--daemon", default=str(here / "upstartd"), help="command that starts the daemon")
    parser.add_argument("--clients", default=str(here), help="folder with initctl")
    return parser


def main() -> int:
    parser = arguments(__doc__)
    parser.add_argument("-n", "--jobs", default="10,1000,5000", help="numbers of job files, with commas")
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    counts = [int(count) for count in options.jobs.split(",")]
    columns = []
    for count in counts:
        bench = Bench(count, options)
        try:
            columns.append(bench.rows())
        finally:
            bench.close()
    known = {10: 0, 1000: 1, 5000: 2}
    print("| " + " | ".join(["", *(f"N = {count}" for count in counts)]) + " |")
    print("| " + " | ".join(["---"] * (len(counts) + 1)) + " |")
    for name, goals in GOALS.items():
        cells = []
        for count, column in zip(counts, columns, strict=True):
            goal = f" (goal {goals[known[count]]:g})" if count in known else ""
            cells.append(f"{column[name]:.3g}{goal}")
        print("| " + " | ".join([name, *cells]) + " |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
