"""A daemon that has nothing to do waits, without a limit, for somebody to want something: there is no timer in it."""

from __future__ import annotations

import os
import platform
import signal
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.daemon import Daemon
from support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

# The system calls that an event loop waits in (proc_pid_syscall(5)); the fourth argument is the limit in
# milliseconds, an int, and none if it is -1.
WAITS = {"x86_64": 232, "aarch64": 22}  # epoll_wait, epoll_pwait
WITHOUT_LIMIT = 0xFFFFFFFF

SERVICE = "respawn\nexec sleep 1000\n"
SPEAKER = "kill timeout 1000\nscript\n  {first}\n  while read line; do echo $line; done <{pipe}\nend script\n"


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with Daemon(tmp_path, "--user") as one:
        yield one


def limit_of_wait(daemon: Daemon) -> int | None:
    """The limit of the wait that the daemon is in; None while it is at work."""
    number, *arguments = Path(f"/proc/{daemon.process.pid}/syscall").read_text().split()
    return int(arguments[3], 16) & WITHOUT_LIMIT if number == str(WAITS[platform.machine()]) else None


@contextmanager
def speaking(daemon: Daemon, name: str, first: str) -> Iterator[None]:
    """While a job runs that begins with the command `first`, and then says each line that it is told: one so far."""
    pipe = daemon.scratch / f"{name}.pipe"
    os.mkfifo(pipe)
    daemon.write_job(name, SPEAKER.format(pipe=pipe, first=first))
    daemon.run("initctl", "start", name)
    with pipe.open("w", buffering=1) as told:
        told.write("hello\n")
        wait_until(lambda: daemon.read(daemon.scratch / "log" / f"{name}.log"), f"{name} to speak")
        yield


def waits_for_ever(daemon: Daemon) -> bool:
    return limit_of_wait(daemon) == WITHOUT_LIMIT


def may_be_looked_at() -> bool:
    return platform.machine() in WAITS and Path("/proc/self/syscall").exists()


can_tell = pytest.mark.skipif(not may_be_looked_at(), reason="the kernel does not tell what a process waits in")


def main_process(daemon: Daemon, job: str) -> int:
    return int(daemon.run("initctl", "status", job).rpartition(" ")[2])


def switches(daemon: Daemon) -> list[str]:
    """How often the threads of the daemon got a processor (proc(5)): it does nothing without one."""
    return [line for status in Path(f"/proc/{daemon.process.pid}/task").glob("*/status")
            for line in status.read_text().splitlines() if "ctxt_switches:" in line]


@can_tell
def test_a_daemon_waits_without_a_limit_whatever_it_has_done_before(daemon: Daemon) -> None:
    for name in ("one", "two"):
        daemon.write_job(name, f"start on go\nstop on enough\n{SERVICE}")
    daemon.write_job("task", "task\nexec echo done\n")
    daemon.write_job("held", "start on go and never\nexec true\n")
    daemon.run("initctl", "emit", "--no-wait", "go")
    with speaking(daemon, "speaker", "umask 077"):
        os.kill(main_process(daemon, "one"), signal.SIGKILL)
        daemon.run("initctl", "start", "task")
        daemon.try_run("initctl", "start", "nowhere")
        daemon.write_job("one", f"start on go\n{SERVICE}")
        daemon.run("initctl", "reload-configuration")
        daemon.run("initctl", "stop", "two")
        wait_until(lambda: waits_for_ever(daemon), "the daemon to wait without a limit")
        jobs = daemon.run("initctl", "list")
    assert "one start/running" in jobs
    assert "speaker start/running" in jobs


@can_tell
def test_a_deadline_that_somebody_has_set_limits_the_wait_until_nobody_needs_it(daemon: Daemon) -> None:
    with speaking(daemon, "stubborn", "trap '' TERM"):
        pid = main_process(daemon, "stubborn")
        daemon.run("initctl", "stop", "--no-wait", "stubborn")
        wait_until(lambda: limit_of_wait(daemon) not in (None, WITHOUT_LIMIT), "the daemon to wait with a limit")
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: waits_for_ever(daemon), "the daemon to wait without a limit")


@can_tell
def test_nothing_wakes_an_idle_daemon_while_others_are_at_work(tmp_path: Path) -> None:
    idle, busy = tmp_path / "idle", tmp_path / "busy"
    idle.mkdir()
    busy.mkdir()
    with Daemon(idle, "--user") as one:
        for number in range(20):
            one.write_job(f"service{number}", f"start on go\n{SERVICE}")
        one.run("initctl", "emit", "go")
        wait_until(lambda: waits_for_ever(one), "the daemon to be idle")
        before = switches(one)
        with Daemon(busy, "--user") as other:
            others = switches(other)
            other.write_job("service", SERVICE)
            for _ in range(5):
                other.run("initctl", "start", "service")
                other.run("initctl", "stop", "service")
            assert switches(other) != others
        assert switches(one) == before
