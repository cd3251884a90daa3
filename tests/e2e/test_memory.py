"""What is over leaves nothing behind: after any number of cycles the daemon has as many objects as it had before."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from bench.counting_daemon import command, count
from support.daemon import Daemon
from support.waiting import wait_until
from upstartd_clients import Job, JobFailed, UnknownJob, Upstart

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

CYCLES = 40
JOBS = {
    "service": "pre-start exec true\npost-stop exec true\nexec sleep 1000\n",
    "named": "instance $NAME\nexec sleep 1000\n",
    "task": "task\nexec echo done\n",
    "failing": "task\nexec false\n",
    "missing": "exec /nonexistent/program\n",
    "respawning": "respawn\nrespawn limit unlimited\nexec sleep 1000\n",
    "waiting": "start on go NAME=one or (never and go)\nstop on enough\nexec sleep 1000\n",
}


class CountingDaemon(Daemon):
    """A daemon that can be asked how many objects it has."""

    def __init__(self, scratch: Path, *arguments: str) -> None:
        super().__init__(scratch, *arguments)
        self._answers, theirs = os.pipe()
        self._command[:1] = command(theirs)
        self.pass_files = (theirs,)

    def __exit__(self, *why: object) -> None:
        super().__exit__(*why)  # type: ignore[arg-type]
        for file in (self._answers, *self.pass_files):
            os.close(file)

    def objects(self) -> int:
        """How many objects it has now, without garbage."""
        return count(self.process.pid, self._answers)[0]


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[CountingDaemon]:
    with CountingDaemon(tmp_path, "--user") as one:
        for name, text in JOBS.items():
            one.write_job(name, text)
        yield one


@pytest.fixture
def upstart(daemon: CountingDaemon) -> Iterator[Upstart]:
    with Upstart.connect(daemon.environ["UPSTART_SESSION"]) as one:
        yield one


def main_of(job: Job) -> int | None:
    """The process id of a job's main process; None while it has none."""
    status = job.status()
    assert status is not None
    return dict(status.processes).get("main")


def start_and_stop(upstart: Upstart, _: CountingDaemon) -> None:
    upstart.job("service").start()
    upstart.job("service").stop()


def restart(upstart: Upstart, _: CountingDaemon) -> None:
    upstart.job("service").start()
    upstart.job("service").restart()
    upstart.job("service").stop()


def start_and_stop_instances(upstart: Upstart, _: CountingDaemon) -> None:
    instances = [upstart.job("named").start([f"NAME={name}"]) for name in ("one", "two")]
    for instance in instances:
        instance.stop()


def run_task(upstart: Upstart, _: CountingDaemon) -> None:
    upstart.job("task").start()


def run_what_fails(upstart: Upstart, _: CountingDaemon) -> None:
    for name in ("failing", "missing"):
        with pytest.raises(JobFailed):
            upstart.job(name).start()


def respawn(upstart: Upstart, _: CountingDaemon) -> None:
    job = upstart.job("respawning")
    job.start()
    pid = main_of(job)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: main_of(job) not in (None, pid), "a new process")
    job.stop()


def emit(upstart: Upstart, _: CountingDaemon) -> None:
    upstart.emit("nobody-waits", {"NAME": "value"})


def emit_what_jobs_wait_for(upstart: Upstart, _: CountingDaemon) -> None:
    upstart.emit("go", {"NAME": "one"}, wait=False)
    upstart.emit("go", {"NAME": "two"}, wait=False)
    upstart.emit("enough")


def connect(_: Upstart, daemon: CountingDaemon) -> None:
    with Upstart.connect(daemon.environ["UPSTART_SESSION"]) as another, another.follow():
        another.statuses(another.jobs())


def rewrite_a_file(upstart: Upstart, daemon: CountingDaemon) -> None:
    for text in (JOBS["task"], JOBS["failing"], "no stanza\n"):
        daemon.write_job("changing", text)
        upstart.jobs()


def write_and_delete_a_file(upstart: Upstart, daemon: CountingDaemon) -> None:
    path = daemon.write_job("passing", JOBS["waiting"])
    upstart.job("passing")
    path.unlink()
    with pytest.raises(UnknownJob):
        upstart.job("passing")


def reload_files(upstart: Upstart, _: CountingDaemon) -> None:
    upstart.manager("ReloadConfiguration")


CYCLE = [
    start_and_stop, restart, start_and_stop_instances, run_task, run_what_fails, respawn, emit, emit_what_jobs_wait_for,
    connect, rewrite_a_file, write_and_delete_a_file,
    reload_files,
]  # fmt: skip


@pytest.mark.parametrize("cycle", CYCLE, ids=lambda cycle: cycle.__name__)
def test_what_is_over_leaves_no_object_behind(
    cycle: Callable[[Upstart, CountingDaemon], None], upstart: Upstart, daemon: CountingDaemon
) -> None:
    for _ in range(3):  # so that everything is there that is made once
        cycle(upstart, daemon)
    before = daemon.objects()
    for _ in range(CYCLES):
        cycle(upstart, daemon)
    assert daemon.objects() - before < CYCLES
