"""Which job directories a daemon has: asked, or else worked out (runtime specification, section 7.1)."""

from __future__ import annotations

import json
import os
from io import StringIO
from typing import TYPE_CHECKING

import pytest

from support.scripted_upstart import Answers, Fault, Reply, ScriptedUpstart, run_initctl
from upstartd_clients import connect, initctl
from upstartd_clients.actions import Request
from upstartd_clients.errors import ClientError, ConnectionFailed, DaemonError, LocalError
from upstartd_clients.job_files import job_directories
from upstartd_clients.output import Output

if TYPE_CHECKING:
    from pathlib import Path

NOBODY = "unix:abstract=/upstartd/test/nobody"
NO_BUSES = {"DBUS_SYSTEM_BUS_ADDRESS": NOBODY, "DBUS_SESSION_BUS_ADDRESS": NOBODY}
USER = {"HOME": "/home/ann", "XDG_CONFIG_DIRS": "/etc/xdg", "UPSTART_NO_SYSTEM_USERCONFDIR": "1"}
OF_USER = ["/home/ann/.config/upstart", "/home/ann/.init", "/etc/xdg/upstart"]


@pytest.fixture(autouse=True)
def _no_system_daemon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connect, "PRIVATE_ADDRESS", NOBODY)


def directories(*options: str, **environ: str) -> list[str]:
    output = Output("initctl", StringIO(), StringIO())
    line = initctl.parse("initctl", ["disable", "web", *options])
    with Request(line.options, line.arguments, NO_BUSES | environ, output) as request:
        return job_directories(request)


def asked(answers: Answers, **environ: str) -> list[str]:
    with ScriptedUpstart(answers) as daemon:
        return directories(**daemon.environ(**environ))


def state(*paths: str) -> Reply:
    return Reply("s", (json.dumps({"conf_sources": [{"path": path, "files": []} for path in paths]}),))


def test_the_daemon_knows_its_directories() -> None:
    assert asked({"GetState": state("/some/where", "/else")}) == ["/some/where", "/else"]


def test_where_the_daemon_does_not_tell_or_is_not_there_they_are_what_it_would_have() -> None:
    for name in ("com.ubuntu.Upstart0_6.Error.PermissionDenied", "org.freedesktop.DBus.Error.AccessDenied"):
        assert asked({"GetState": Fault(name, "No")}, **USER) == OF_USER
    assert directories(UPSTART_SESSION=NOBODY, **USER) == OF_USER
    assert directories("--user", **USER) == OF_USER
    assert directories("--system", UPSTART_SESSION=NOBODY, **USER) == ["/etc/init"]


@pytest.mark.parametrize("euid", [0, 1000])
def test_without_a_session_they_are_the_system_s(euid: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: euid)
    assert directories() == ["/etc/init"]
    assert directories(UPSTART_CONFDIR="/srv/jobs") == ["/srv/jobs"]


def test_a_daemon_for_trying_things_out_has_no_directories_but_those_it_tells() -> None:
    with pytest.raises(ConnectionFailed):
        directories("--session", **USER)


@pytest.mark.parametrize(("answer", "error"), [
    (Fault("org.freedesktop.DBus.Error.Failed", "No"), DaemonError),
    (Reply("s", ("no JSON",)), ClientError), (Reply("s", ("{}",)), ClientError),
    (state("relative"), LocalError),
])
def test_an_answer_that_makes_no_sense_is_not_passed_over(answer: Reply | Fault, error: type[ClientError]) -> None:
    with pytest.raises(error):
        asked({"GetState": answer}, **USER)


def test_is_enabled_asks_the_daemon_and_its_exit_code_tells(tmp_path: Path) -> None:
    def config(*start_on: list[str]) -> Reply:
        return Reply("a{sv}", ({"name": ("s", "web"), "emits": ("as", []), "start_on": ("aas", list(start_on)),
                                "stop_on": ("aas", [])},))

    job = Reply("o", ("/com/ubuntu/Upstart/jobs/web",))
    for answer, expected in ((config(["boot"]), (0, "enabled\n", "")), (config(), (1, "disabled\n", ""))):
        with ScriptedUpstart({"GetJobByName": job, "GetAll": answer}) as daemon:
            for words in (["initctl", "is-enabled", "web"], ["is-enabled", "web"], ["is-enabled"]):
                environ = daemon.environ(UPSTART_JOB="web", UPSTART_INSTANCE="")
                assert run_initctl(*words, environ=environ) == expected
            assert run_initctl("is-enabled", "-q", "web", environ=daemon.environ()) == (expected[0], "", "")
    environ = NO_BUSES | {"UPSTART_SESSION": NOBODY, "HOME": str(tmp_path)}
    (tmp_path / ".init").mkdir()
    (tmp_path / ".init" / "web.conf").write_text("start on boot\n")
    assert run_initctl("is-enabled", "web", environ=environ) == (0, "enabled\n", "")
    (tmp_path / ".init" / "web.override").write_text("manual\n")
    assert run_initctl("is-enabled", "web", environ=environ) == (1, "disabled\n", "")
    assert run_initctl("is-enabled", "db", environ=environ) == (1, "", "is-enabled: Unknown job: db\n")


@pytest.mark.parametrize("command", ["enable", "disable", "is-enabled"])
def test_a_job_is_needed(command: str) -> None:
    assert run_initctl(command, environ={"UPSTART_SESSION": NOBODY}) == (
        1, "", f"{command}: missing job name\nTry `{command} --help' for more information.\n")
