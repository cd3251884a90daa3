"""upstart-job in the place of init scripts, with a real daemon (clients specification, section 5)."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from support.daemon import PROGRAMS, Daemon
from support.namespaces import network_namespace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STOPPED = "web stop/waiting\n"
WEB = "start on boot\nexec sleep 1000\n"


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """The system's daemon, since that is whom init scripts mean."""
    with network_namespace(), Daemon(tmp_path, "--no-startup-event") as running:
        (running.scratch / "init.d").mkdir()
        # As in a package's scripts, so that nothing else is said; and no session is ever meant.
        running.environ |= {"DPKG_MAINTSCRIPT_PACKAGE": "web", "UPSTART_SESSION": "unix:abstract=/upstartd/test/nobody"}
        yield running


def script(daemon: Daemon, name: str = "web") -> str:
    """An init script that is a link to the program."""
    path = daemon.scratch / "init.d" / name
    if not path.is_symlink():
        path.symlink_to(PROGRAMS / "upstart-job")
    return str(path)


def outcome(daemon: Daemon, *command: str) -> tuple[int, str, str]:
    done = daemon.try_run(*command)
    return done.returncode, done.stdout, done.stderr


def status(daemon: Daemon, job: str = "web") -> str:
    """What `status` says, of the same daemon."""
    environ = {name: value for name, value in daemon.environ.items() if name != "UPSTART_SESSION"}
    return subprocess.run(["status", job], env=environ, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("name", ["web", "web.sh"])
def test_a_link_does_to_the_job_of_its_name_what_the_script_did(daemon: Daemon, name: str) -> None:
    daemon.write_job("web", WEB)
    web = script(daemon, name)
    assert outcome(daemon, web, "status") == (3, STOPPED, "")
    code, out, err = outcome(daemon, web, "start")
    assert (code, out, err) == (0, status(daemon), "")
    assert "start/running" in out
    assert outcome(daemon, web, "start") == (0, "", "")  # it runs already, which is no error
    assert outcome(daemon, web, "status") == (0, out, "")
    assert outcome(daemon, web, "stop") == (0, STOPPED, "")
    assert outcome(daemon, web, "stop") == (0, "", "")


def test_called_by_its_own_name_the_job_is_the_first_argument(daemon: Daemon) -> None:
    daemon.write_job("web", "instance $N\nstart on boot\nexec sleep 1000\n")
    program = str(PROGRAMS / "upstart-job")
    code, out, err = outcome(daemon, program, "web", "start", "N=1")
    assert (code, err) == (0, "")
    assert out.startswith("web (1) start/running, process ")
    assert outcome(daemon, program, "web", "start", "N=1") == (0, "", "")
    assert outcome(daemon, program, "web.sh", "stop", "N=1") == (0, STOPPED, "")
    assert outcome(daemon, program, "web", "start") == (1, "", "start: Unknown parameter: N\n")


def test_restart_stops_what_runs_and_starts_it_with_its_changed_file(daemon: Daemon) -> None:
    daemon.write_job("web", WEB)
    web = script(daemon)
    code, first, _ = outcome(daemon, web, "restart")
    assert (code, first) == (0, status(daemon))
    daemon.write_job("web", f"{WEB}pre-start exec touch {daemon.scratch}/changed\n")
    code, out, err = outcome(daemon, web, "restart")
    assert (code, err) == (0, "")
    assert out == STOPPED + status(daemon)
    assert first not in out
    assert (daemon.scratch / "changed").exists()


def test_a_job_that_no_event_starts_is_not_started_but_can_be_stopped(daemon: Daemon) -> None:
    daemon.write_job("web", f"{WEB}manual\n")
    web = script(daemon)
    for action in ("start", "restart", "stop"):
        assert outcome(daemon, web, action) == (0, "", "")
    assert status(daemon) == STOPPED
    subprocess.run(["start", "web"], env=daemon.environ | {"UPSTART_SESSION": ""}, capture_output=True, check=True)
    code, out, _ = outcome(daemon, web, "restart")  # one that runs is restarted all the same
    assert (code, out) == (0, STOPPED + status(daemon))
    assert outcome(daemon, web, "stop") == (0, STOPPED, "")


@pytest.mark.parametrize("action", ["reload", "force-reload"])
def test_reload_is_reload(daemon: Daemon, action: str) -> None:
    daemon.write_job("web", WEB)
    web = script(daemon)
    assert outcome(daemon, web, action) == (1, "", "reload: Unknown instance: \n")
    daemon.write_job("web", "start on boot\nreload signal CONT\nexec sleep 1000\n")
    outcome(daemon, web, "restart")
    before = status(daemon)
    assert outcome(daemon, web, action) == (0, "", "")
    assert status(daemon) == before


def test_people_are_told_how_it_is_done_now_and_packages_are_not(daemon: Daemon) -> None:
    daemon.write_job("web", WEB)
    web = script(daemon)
    hint = f"web is a job. In place of {web}, use: service web stop\n"
    del daemon.environ["DPKG_MAINTSCRIPT_PACKAGE"]
    assert outcome(daemon, web, "stop") == (0, hint, "")
    outcome(daemon, web, "start")
    assert outcome(daemon, web, "stop") == (0, hint + STOPPED, "")


def test_what_makes_no_sense_is_an_error(daemon: Daemon) -> None:
    daemon.write_job("web", WEB)
    web, program = script(daemon), str(PROGRAMS / "upstart-job")
    assert outcome(daemon, web) == (1, "", f"Usage: {web} COMMAND\n")
    assert outcome(daemon, program, "web") == (1, "", f"Usage: {program} COMMAND\n")
    assert outcome(daemon, program) == (
        1, "", "upstart-job: missing job name\nTry `upstart-job --help' for more information.\n")
    actions = "start, stop, restart, reload, force-reload, status"
    for action in ("frob", "--help", ""):
        assert outcome(daemon, web, action) == (
            1, "", f"web is a job, and has no action `{action}': use one of {actions}\n")
    assert outcome(daemon, script(daemon, "db"), "start") == (1, "", "db: Unknown job: db\n")
    assert outcome(daemon, script(daemon, "db"), "stop") == (0, "", "")  # it does not run, which was asked for
    assert outcome(daemon, program, "--help")[1].startswith("Usage: upstart-job JOB ACTION")


def test_without_a_daemon_it_says_so(tmp_path: Path) -> None:
    with network_namespace():
        done = subprocess.run([PROGRAMS / "upstart-job", "web", "start"], capture_output=True, text=True, check=False,
                              env={"DPKG_MAINTSCRIPT_PACKAGE": "web",
                                   "DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={tmp_path}/bus"})
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("upstart-job: Unable to connect to Upstart: ")
