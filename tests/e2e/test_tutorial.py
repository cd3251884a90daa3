"""The tutorial, as a user without root plays it: a daemon of one's own over its private socket.

The files are those of docs/tutorial/; test_tutorial_system_bus.py plays it as root, over a system bus.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from support.daemon import Daemon
from support.terminal import run_in_terminal
from support.tutorial import ROOT, TRANSCRIPT, TUTORIAL, copy_job, copy_programs, fetch, free_port, play
from support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with Daemon(tmp_path, "--user", "--no-startup-event") as running:
        yield running


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def test_testjob_runs_once_for_a_start_and_once_more_for_its_event(daemon: Daemon) -> None:
    log = daemon.scratch / "testjob.log"
    path = copy_job("testjob", daemon.init, daemon.scratch, free_port())
    assert daemon.run("init-checkconf", str(path)) == f"File {path}: syntax ok\n"

    assert daemon.run("service", "--user", "testjob", "start").startswith("testjob ")
    wait_until(lambda: len(lines(log)) == 1, "the first line")
    assert daemon.run("initctl", "emit", "runlevel", "RUNLEVEL=2") == ""
    wait_until(lambda: len(lines(log)) == 2, "the second line")

    daemon.run("initctl", "emit", "runlevel", "RUNLEVEL=6")  # another one than the job waits for
    wait_until(lambda: daemon.run("status", "testjob") == "testjob stop/waiting\n", "the job's end")
    assert [re.sub(r"at .*", "at DATE", line) for line in lines(log)] == ["testjob ran at DATE"] * 2


def test_nodetest_serves_a_page_restarts_and_stops(daemon: Daemon) -> None:
    port = free_port()
    copy_programs(daemon.scratch)
    path = copy_job("nodetest", daemon.init, daemon.scratch, port)
    pid_file, log = daemon.scratch / "nodetest.pid", daemon.scratch / "nodetest.log"
    assert daemon.run("init-checkconf", str(path)) == f"File {path}: syntax ok\n"

    def running() -> int:
        """The service's main process, which is what its status, its pid file and its page say."""
        status = daemon.run("service", "--user", "nodetest", "status")
        match = re.fullmatch(r"nodetest start/running, process (\d+)\n", status)
        assert match, status
        assert fetch(f"http://127.0.0.1:{port}/") == "Hello World\n"
        assert pid_file.read_text() == f"{match[1]}\n"
        assert os.path.basename(os.readlink(f"/proc/{match[1]}/exe")).startswith(("node", "python"))
        return int(match[1])

    daemon.run("service", "--user", "nodetest", "start")
    first = running()
    daemon.run("service", "--user", "nodetest", "restart")
    second = running()
    assert second != first
    assert not os.path.exists(f"/proc/{first}")
    assert daemon.run("service", "--user", "nodetest", "stop") == "nodetest stop/waiting\n"
    assert not os.path.exists(f"/proc/{second}")
    assert not pid_file.exists()

    stopped = daemon.try_run("service", "--user", "nodetest", "status")
    assert (stopped.returncode, stopped.stdout) == (3, "nodetest stop/waiting\n")
    assert [re.sub(r"\[.+\]", "[DATE]", line) for line in lines(log)] == [
        "[DATE] Node Test Starting", "[DATE] Node Test Stopping"] * 2


def test_nodetest_is_started_and_stopped_by_its_events(daemon: Daemon) -> None:
    port = free_port()
    copy_programs(daemon.scratch)
    copy_job("nodetest", daemon.init, daemon.scratch, port)
    daemon.run("initctl", "emit", "filesystem")
    assert daemon.run("status", "nodetest").startswith("nodetest start/running, process ")
    assert fetch(f"http://127.0.0.1:{port}/") == "Hello World\n"
    daemon.run("initctl", "emit", "shutdown")
    assert daemon.run("status", "nodetest") == "nodetest stop/waiting\n"


def test_a_mistake_is_named_by_init_checkconf_by_the_log_and_in_a_terminal_by_start(daemon: Daemon) -> None:
    path = copy_job("broken", daemon.init, daemon.scratch, free_port())
    problem = "broken.conf:4: Illegal interval, expected number of seconds"
    checked = daemon.try_run("init-checkconf", str(path))
    assert checked.returncode == 1
    assert problem in checked.stderr
    wait_until(lambda: f"init:{path}:4: Illegal interval, expected number of seconds\n" in daemon.log(), "the log line")

    piped = daemon.try_run("start", "broken")
    assert (piped.returncode, piped.stdout, piped.stderr) == (1, "", "start: Unknown job: broken\n")
    status, shown = daemon.run_in_terminal("start", "broken")
    assert status == 1
    assert shown.startswith("start: Unknown job: broken")
    assert problem in shown


def test_a_job_in_the_user_s_own_directory_runs_and_the_log_follows_it(tmp_path: Path) -> None:
    with Daemon(tmp_path, "--user", "--no-startup-event", confdir=False) as daemon:
        # The directory is the daemon's to make: it was not there when that started, and is watched all the same.
        copy_job("hello", tmp_path / "config" / "upstart", tmp_path, free_port())
        log = tmp_path / "home" / "hello.log"
        assert daemon.run("initctl", "list") == "hello stop/waiting\n"
        daemon.run("initctl", "emit", "greet", "WHO=you")
        assert lines(log) == ["hello, you"]
        assert "hello state changed" not in daemon.log()

        daemon.run("initctl", "log-priority", "debug")
        daemon.run("initctl", "emit", "greet", "WHO=all")  # a task: answered when it has run
        assert lines(log) == ["hello, you", "hello, all"]
        said = daemon.log()
        for line in ("hello goal changed from stop to start", "hello state changed from waiting to starting",
                     "hello state changed from post-start to running", "hello goal changed from start to stop",
                     "hello state changed from post-stop to waiting"):
            assert f"{line}\n" in said


def test_the_daemon_ends_in_order_and_its_jobs_with_it(daemon: Daemon) -> None:
    copy_programs(daemon.scratch)
    copy_job("nodetest", daemon.init, daemon.scratch, free_port())
    daemon.run("start", "nodetest")
    pid = int((daemon.scratch / "nodetest.pid").read_text())
    assert daemon.end() == 0
    assert not os.path.exists(f"/proc/{pid}")
    assert not (daemon.scratch / "nodetest.pid").exists()  # pre-stop has run
    assert list((daemon.scratch / "run" / "upstart" / "sessions").iterdir()) == []


def test_make_run_leaves_somebody_with_a_terminal_in_a_shell_that_talks_to_the_daemon(tmp_path: Path) -> None:
    environ = {"PATH": os.environ["PATH"], "HOME": "/nowhere", "TMPDIR": str(tmp_path), "SHELL": "/bin/sh"}
    status, shown = run_in_terminal([sys.executable, str(TUTORIAL / "run.py")], environ,
                                    typed="initctl emit greet WHO=you\ninitctl version\ncat hello.log\nexit\n")
    assert status == 0, shown
    after = shown.replace("\r\n", "\n").partition("Now it is yours")[2]
    assert "init (upstart 1.13.2)\n" in after
    assert "hello, world\nhello, you\n" in after
    assert after.endswith("The daemon has ended, with status 0.\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("node", [True, False])
def test_make_run_plays_the_tutorial_and_ends_well(tmp_path_factory: pytest.TempPathFactory, node: bool) -> None:
    tmp_path, programs = tmp_path_factory.mktemp("tmp"), tmp_path_factory.mktemp("bin")
    for name in ("cat", "date", "echo", "grep", "rm", *(["node"] if node else [])):
        program = shutil.which(name)
        if program is None:
            pytest.skip(f"{name} is not installed")
        (programs / name).symlink_to(program)
    environ = {"PATH": str(programs), "HOME": "/nowhere", "TMPDIR": str(tmp_path)}
    played = subprocess.run([sys.executable, TUTORIAL / "run.py"], env=environ, cwd=ROOT, stdin=subprocess.DEVNULL,
                            capture_output=True, text=True, timeout=120, check=False)
    assert (played.returncode, played.stderr) == (0, ""), played
    said = played.stdout.replace("\r\n", "\n")
    for expected in ("File .config/upstart/testjob.conf: syntax ok\n", "$ service --user testjob start\ntestjob ",
                     "nodetest start/running, process ", "Hello World\n", "nodetest stop/waiting\n",
                     "broken.conf:4: Illegal interval", "start: Unknown job: broken", "hello, world\n",
                     "hello state changed from post-start to running\n", "The daemon has ended, with status 0.\n"):
        assert expected in said
    assert ("Python's own web server stands in for it" in said) is not node
    assert said.count("testjob ran at ") == 1 + 2  # after the start, and after the event
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(shutil.which("node") is None, reason="the transcript is of a play with node.js")
def test_the_transcript_in_the_documentation_is_what_a_play_prints() -> None:
    assert play() == TRANSCRIPT.read_text()
