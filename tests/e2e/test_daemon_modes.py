"""A system instance beside another init, and a user's session: how they begin and end (design, 28, 37 and 40)."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from support.daemon import Daemon, after
from support.namespaces import network_namespace
from support.waiting import LIMIT, wait_until

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_system_instance_beside_another_init_ends_in_order(tmp_path: Path, number: signal.Signals) -> None:
    out = tmp_path / "out"
    with network_namespace(), Daemon(tmp_path, "--no-dbus", "--no-startup-event") as daemon:
        daemon.write_job("web", f"exec sleep 1000\npre-stop exec echo pre-stop >> {out}\n"
                                f"post-stop exec echo post-stop $UPSTART_STOP_EVENTS >> {out}\n")
        daemon.write_job("getty", f"stop on runlevel [016]\nexec sleep 1000\n"
                                  f"post-stop exec echo getty $UPSTART_STOP_EVENTS $RUNLEVEL >> {out}\n")
        daemon.write_job("rc", f"start on runlevel [016] or shutdown\nexec echo rc >> {out}\n")
        daemon.write_job("deaf", "kill timeout 1\nscript\n  trap '' TERM\n  while :; do sleep 1; done\nend script\n")
        pids = []
        for job in ("web", "getty", "deaf"):
            status = daemon.run("start", job)
            assert status.startswith(f"{job} start/running, process ")
            pids.append(int(status.split()[-1]))

        daemon.process.send_signal(number)
        assert daemon.process.wait(LIMIT) == 0
    for pid in pids:
        assert not os.path.exists(f"/proc/{pid}")
    assert sorted(out.read_text().splitlines()) == ["getty runlevel 0", "post-stop", "pre-stop"]


def test_a_second_system_instance_says_that_its_socket_is_taken_and_goes_on(tmp_path: Path) -> None:
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    with (
        network_namespace(),
        Daemon(tmp_path / "first", "--no-dbus") as first,
        Daemon(tmp_path / "second", "--no-dbus") as second,  # its probe reaches the first one
    ):
        wait_until(lambda: "Unable to listen for private connections: " in second.log(), "the warning")
        assert first.run("initctl", "version") == "init (upstart 1.13.2)\n"
        assert second.process.poll() is None
        assert second.end() == 0
        assert first.run("initctl", "list") == ""


def test_a_user_s_daemon_without_home_says_what_it_leaves_out_and_works(tmp_path: Path) -> None:
    own = tmp_path / "config-dirs" / "upstart"
    own.mkdir(parents=True)
    (own / "hello.conf").write_text(f"task\nexec echo hello > {tmp_path}/out\n")
    with Daemon(tmp_path, "--user", environ={"HOME": "", "XDG_CONFIG_HOME": "relative"}, confdir=False) as daemon:
        assert daemon.log().count("HOME is not set") == 2
        assert "cannot read jobs from ~/.init: HOME is not set\n" in daemon.log()
        assert daemon.run("start", "hello") == "hello stop/waiting\n"
        assert (tmp_path / "out").read_text() == "hello\n"


def test_a_user_s_daemon_makes_the_user_s_job_directory_and_reads_what_comes_there(tmp_path: Path) -> None:
    with Daemon(tmp_path, "--user", confdir=False) as daemon:
        own = tmp_path / "config" / "upstart"
        assert own.is_dir()
        (own / "hello.conf").write_text("description hello\n")
        assert daemon.run("initctl", "list") == "hello stop/waiting\n"


def test_a_user_s_daemon_ignores_usr1_and_tries_no_bus(tmp_path: Path) -> None:
    with Daemon(tmp_path, "--user", "--verbose") as daemon:
        daemon.process.send_signal(signal.SIGUSR1)
        assert daemon.run("initctl", "version") == "init (upstart 1.13.2)\n"
        assert " bus" not in daemon.log()
        assert daemon.end() == 0


@pytest.mark.parametrize("arguments", [[], ["--no-inherit-env"]])
def test_jobs_see_nothing_that_the_daemon_itself_was_not_given(tmp_path: Path, arguments: list[str]) -> None:
    """Python sets LC_CTYPE for itself where the locale is C."""
    out = tmp_path / "out"
    with Daemon(tmp_path, "--user", *arguments, environ={"LANG": "C"}) as daemon:
        daemon.write_job("show", f"task\nexec env > {out}\n")
        daemon.run("start", "show")
    seen = {line.partition("=")[0] for line in out.read_text().splitlines()}
    given = {"PATH", "TERM"} if arguments else daemon.environ.keys()
    own = {"UPSTART_JOB", "UPSTART_INSTANCE", "UPSTART_SESSION"}
    assert seen - {"PWD"} == given | own  # the shell adds PWD


def test_a_daemon_that_is_told_to_reload_reads_every_job_again(tmp_path: Path) -> None:
    with Daemon(tmp_path, "--user", "--verbose") as daemon:
        (tmp_path / "elsewhere.conf").write_text("description linked\n")
        (daemon.init / "linked.conf").symlink_to(tmp_path / "elsewhere.conf")  # a link is noticed by a reload only
        assert daemon.run("initctl", "list") == ""
        daemon.process.send_signal(signal.SIGHUP)
        wait_until(lambda: daemon.run("initctl", "list") == "linked stop/waiting\n", "the linked job")
        assert "Reloading configuration\n" in daemon.log()


def test_a_session_file_that_cannot_be_removed_is_said_and_is_no_reason_not_to_end(tmp_path: Path) -> None:
    with Daemon(tmp_path, "--user", "--verbose") as daemon:
        path = tmp_path / "run" / "upstart" / "sessions" / f"{daemon.process.pid}.session"
        path.unlink()
        path.mkdir()
        assert daemon.end() == 0
        assert f"init: unable to remove session file: {path}\n" in daemon.log()
        assert "The session file is not as it should be because of: Is a directory\n" in daemon.log()


def test_a_daemon_without_standard_descriptors_keeps_its_own_files_from_getting_their_numbers(tmp_path: Path) -> None:
    (tmp_path / "config" / "upstart").mkdir(parents=True)
    (tmp_path / "config" / "upstart" / "bad.conf").write_text("nonsense\n")  # makes the daemon say something
    closing_them = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh"]
    with Daemon(tmp_path, "--user", "--verbose", confdir=False, through=closing_them) as daemon:
        standard = [os.readlink(f"/proc/{daemon.process.pid}/fd/{number}") for number in range(3)]
        assert standard == ["/dev/null"] * 3
        daemon.write_job("web", "exec true\n")
        assert daemon.run("initctl", "list") == ""
    assert daemon.log() == ""


WITH_A_FAULT = """
from upstartd.proc.spawn import Spawner

start = Spawner.start

def fail(self, effect):
    return start(self, effect) if effect.title == "good" else 1 / 0

Spawner.start = fail
"""


def test_a_fault_of_ours_while_a_process_is_started_fails_its_job_and_no_other(tmp_path: Path) -> None:
    with Daemon(tmp_path, "--user", through=after(WITH_A_FAULT)) as daemon:
        daemon.write_job("bad", "exec sleep 1000\n")
        daemon.write_job("good", "exec sleep 1000\n")
        done = daemon.try_run("start", "bad")
        assert (done.returncode, done.stderr) == (1, "start: Job failed to start\n")
        assert daemon.run("status", "bad") == "bad stop/waiting\n"
        assert daemon.run("start", "good").startswith("good start/running")
        assert "ZeroDivisionError" in daemon.log()
