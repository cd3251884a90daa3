"""What a person is told beyond an error, and a pipe is not."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING

import pytest

from support.scripted_upstart import Answers, Fault, Ran, Reply, ScriptedUpstart, job_path, run_initctl, unknown_job
from upstartd_clients.connect import Way
from upstartd_clients.errors import BadAnswer
from upstartd_clients.explain import log_of_daemon, log_of_job, no_daemon
from upstartd_clients.explain import unknown_job as explain_unknown_job
from upstartd_clients.job_files import Sources, sources_in

if TYPE_CHECKING:
    from pathlib import Path

    from upstartd_clients.upstart import Upstart

JOBS = Reply("ao", ([f"/com/ubuntu/Upstart/jobs/{name}" for name in ("web", "webapp", "db")],))
NOT_ALLOWED = Fault("com.ubuntu.Upstart0_6.Error.PermissionDenied", "You do not have permission to request state")


def state(*files: tuple[str, str, list[str]], directory: str = "/nonexistent/init") -> Reply:
    """The answer to GetState of a daemon that has read these files: name, job, diagnostics."""
    described = [{"path": f"{directory}/{name}", "job": job, "diagnostics": wrong} for name, job, wrong in files]
    return Reply("s", (json.dumps({"conf_sources": [{"path": directory, "files": described}]}),))


def said_of(job: str, answers: Answers, *, terminal: bool = True) -> list[str]:
    """The lines below the error that there is no such job."""
    with ScriptedUpstart({"GetJobByName": unknown_job(job), "GetAllJobs": JOBS, **answers}) as daemon:
        ran = run_initctl("start", job, environ=daemon.environ(), terminal=terminal)
    assert (ran.code, ran.out) == (1, "")
    first, *others = ran.err.splitlines()
    assert first == f"start: Unknown job: {job}"
    return others


INTERVAL = "Illegal interval, expected number of seconds"
DETAIL = "found 'five', expected 'kill timeout SECONDS'"
WRONG = state(("other.conf", "other", ["/x:1:1: Unknown stanza"]),
              ("web2.conf", "web2", [f"/nonexistent/init/web2.conf:4:14: {INTERVAL} ({DETAIL})",
                                     "/nonexistent/init/web2.conf:7:1: Unterminated block"]))


def test_a_mistake_in_the_job_s_file_is_told_with_what_to_do() -> None:
    assert said_of("web2", {"GetState": WRONG}) == [
        "/nonexistent/init/web2.conf is wrong:",
        f"  /nonexistent/init/web2.conf:4: {INTERVAL}",
        f"    column 14, {DETAIL}",
        "  /nonexistent/init/web2.conf:7: Unterminated block",
        "    column 1",
        "Once it is corrected, check it with: init-checkconf /nonexistent/init/web2.conf",
    ]


def test_a_file_that_cannot_be_read_is_told_as_the_daemon_tells_it() -> None:
    text = "/x/web2.conf: Error while loading configuration file: Permission denied"
    assert f"  {text}" in said_of("web2", {"GetState": state(("web2.conf", "web2", [text]))})


def test_what_goes_to_no_terminal_is_the_bare_error() -> None:
    assert said_of("web2", {"GetState": WRONG}, terminal=False) == []


@pytest.mark.parametrize(("name", "meant"), [
    ("wbe", ["Did you mean web?"]), ("web.conf", ["Did you mean web or webapp?"]), ("dbb", ["Did you mean db?"]),
    ("unlike-any", []),
])
def test_where_there_is_no_file_the_directories_are_named_and_names_that_are_alike(name: str, meant: list[str]) -> None:
    assert said_of(name, {"GetState": state(("web.conf", "web", []))}) == [
        f"There is no {name}.conf in /nonexistent/init.", *meant]


def test_an_override_alone_is_told() -> None:
    assert said_of("alone", {"GetState": state(("alone.override", "alone", []))}) == [
        "/nonexistent/init/alone.override is there, but no alone.conf that it could override."]


def test_a_file_that_has_not_been_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "late.conf").write_text("")
    assert said_of("late", {"GetState": state(directory=str(tmp_path))}) == [
        f"{tmp_path}/late.conf is there, but has not been read. To have it read: initctl reload-configuration"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"conf_sources": 1}', '{"conf_sources": [{"path": 1, "files": []}]}',
                                  '{"conf_sources": [{"path": "/x", "files": [{"path": "/x/y.conf"}]}]}'])
def test_a_state_of_another_layout_explains_nothing(text: str) -> None:
    assert said_of("web2", {"GetState": Reply("s", (text,))}) == []
    with pytest.raises(BadAnswer):
        sources_in(text)


def test_a_state_may_have_more_than_is_needed() -> None:
    text = '{"version": 9, "conf_sources": [{"path": "/x", "files": [], "more": 1}], "sessions": []}'
    assert sources_in(text) == Sources(["/x"], [])


class Refusing:
    """A daemon whose state is not for this caller."""

    def manager(self, member: str) -> str:
        from upstartd_clients.errors import DaemonError

        assert member == "GetState"
        raise DaemonError(NOT_ALLOWED.name, NOT_ALLOWED.message or "")

    def jobs(self) -> list[object]:
        return []


def test_who_may_not_see_the_state_is_told_what_the_job_directory_shows(tmp_path: Path) -> None:
    (tmp_path / "web.conf").write_text("exec true\nfrob\n")
    (tmp_path / "fine.conf").write_text("exec true\n")
    daemon: Upstart = Refusing()  # type: ignore[assignment]  # it has what is needed of one
    said = list(explain_unknown_job(daemon, "web", str(tmp_path)))
    assert said[:2] == [f"{tmp_path}/web.conf is wrong:", f"  {tmp_path}/web.conf:2: Unknown stanza"]
    assert list(explain_unknown_job(daemon, "none", str(tmp_path))) == [f"There is no none.conf in {tmp_path}."]


def test_inside_a_job_its_own_name_is_explained() -> None:
    with ScriptedUpstart({"GetJobByName": unknown_job("wbe"), "GetAllJobs": JOBS, "GetState": state()}) as daemon:
        environ = daemon.environ(UPSTART_JOB="wbe", UPSTART_INSTANCE="")
        assert run_initctl("stop", environ=environ, terminal=True).err.splitlines()[-1] == "Did you mean web?"


@pytest.mark.parametrize("name", ["org.freedesktop.DBus.Error.AccessDenied",
                                  "com.ubuntu.Upstart0_6.Error.PermissionDenied"])
def test_who_may_not_do_something_is_told_who_may(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedUpstart({"GetJobByName": Fault(name, "No")}) as daemon:
        for euid, more in ((1000, "Only root may do that: try sudo.\n"), (0, "")):
            monkeypatch.setattr(os, "geteuid", lambda euid=euid: euid)
            said = run_initctl("status", "web", environ=daemon.environ(), terminal=True)
            assert said == (1, "", f"status: No\n{more}")


FAILED = Fault("com.ubuntu.Upstart0_6.Error.JobFailed", "Job failed to start")
OUTPUT = "For what failed, and how, see the daemon's log: its own output, where it was started."


def failed_to_start(tmp_path: Path, *, terminal: bool = True, **environ: str) -> list[str]:
    """The lines below the error that a job failed; its daemon is the user's own, and lets nobody see its state."""
    with ScriptedUpstart({"GetJobByName": job_path(), "Start": FAILED, "GetInstanceByName": job_path(),
                          "GetState": NOT_ALLOWED}) as daemon:
        environ = daemon.environ(XDG_CACHE_HOME=str(tmp_path), **environ)
        ran = run_initctl("start", *([] if "UPSTART_JOB" in environ else ["web"]), environ=environ, terminal=terminal)
    assert (ran.code, ran.out) == (1, "")
    first, *others = ran.err.splitlines()
    assert first == "start: Job failed to start"
    return others


def write_log(tmp_path: Path, name: str, text: str) -> Path:
    path = tmp_path / "upstart" / name
    path.parent.mkdir()
    path.write_text(text)
    os.utime(path, (0, time.mktime((2026, 1, 2, 3, 4, 5, 0, 0, -1))))
    return path


def test_of_a_job_that_failed_the_end_of_its_log_is_shown(tmp_path: Path) -> None:
    path = write_log(tmp_path, "web.log", "x" * 5000 + "\none\ntwo\tthree\n\x1b[2Jcannot listen\n")
    assert failed_to_start(tmp_path) == [
        OUTPUT, f"{path}, last written on 2026-01-02 at 03:04:05, ends:",
        "  one", "  two     three", "  ?[2Jcannot listen"]
    assert failed_to_start(tmp_path, terminal=False) == []


def test_inside_a_job_the_log_of_the_instance_is_shown(tmp_path: Path) -> None:
    path = write_log(tmp_path, "web-a_b.log", "no\n")
    said = failed_to_start(tmp_path, UPSTART_JOB="web", UPSTART_INSTANCE="a/b")
    assert said == [OUTPUT, f"{path}, last written on 2026-01-02 at 03:04:05, ends:", "  no"]


def test_of_a_job_without_a_log_only_the_daemon_s_is_named(tmp_path: Path) -> None:
    assert failed_to_start(tmp_path) == [OUTPUT]
    os.mkfifo(tmp_path / "pipe")
    assert list(log_of_job(str(tmp_path / "pipe"))) == []
    assert list(log_of_job(str(write_log(tmp_path, "web.log", "")))) == []


def test_of_a_log_that_is_not_for_this_user_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(write_log(tmp_path, "web.log", "no\n"))

    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr("builtins.open", refuse)
    assert list(log_of_job(path)) == [
        f"What it has written may be in {path}, which user {os.geteuid()} cannot read: try sudo."]


def test_of_a_job_that_failed_the_file_is_named_where_the_daemon_tells_it(tmp_path: Path) -> None:
    files = state(("web.override", "web", []), ("db.conf", "db", []), ("web.conf", "web", []))
    with ScriptedUpstart({"GetJobByName": job_path(), "Restart": FAILED, "GetState": files}) as daemon:
        ran = run_initctl("restart", "web", environ=daemon.environ(XDG_CACHE_HOME=str(tmp_path)), terminal=True)
    assert ran.err.splitlines()[1:] == [
        OUTPUT, "To have its scripts checked: init-checkconf /nonexistent/init/web.conf"]


def test_of_an_event_that_failed_the_daemon_s_log_is_named() -> None:
    fault = Fault("com.ubuntu.Upstart0_6.Error.EventFailed", "Event failed")
    with ScriptedUpstart({"EmitEvent": fault}) as daemon:
        ran = run_initctl("initctl", "emit", "boot", environ=daemon.environ(), terminal=True)
    assert ran == (1, "", f"initctl: Event failed\n{OUTPUT}\n")


@pytest.mark.parametrize(("first", "where"), [
    ("systemd", "journalctl -u upstartd, or its own output if it is no service there"),
    ("tini", "its own output, where it was started"),
])
@pytest.mark.parametrize("way", [Way.PRIVATE_SOCKET, Way.SYSTEM_BUS])
def test_where_the_daemon_speaks_follows_from_what_started_it(proc: Path, way: Way, first: str, where: str) -> None:
    (proc / "1" / "comm").write_text(f"{first}\n")
    assert log_of_daemon(way, str(proc)) == where


def test_as_process_1_the_daemon_speaks_in_the_kernel_s_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("upstartd_clients.processes.first_is_upstartd", lambda proc: True)
    assert log_of_daemon(Way.PRIVATE_SOCKET) == "dmesg"


def test_other_errors_are_not_explained() -> None:
    with ScriptedUpstart({"GetJobByName": Fault("a.B", "No")}) as daemon:
        assert run_initctl("status", "web", environ=daemon.environ(), terminal=True) == (1, "", "status: No\n")


# -- no daemon --------------------------------------------------------------------------------------------------------


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A /proc whose process 1 is some init; `name` in other directories adds processes."""
    directory = tmp_path / "proc"
    (directory / "1").mkdir(parents=True)
    (directory / "self").mkdir()
    (directory / "77").mkdir()  # one that has just gone
    return directory


def in_proc(proc: Path, way: Way, first: str) -> list[str]:
    (proc / "1" / "comm").write_text(f"{first}\n")
    return list(no_daemon(way, {}, proc=str(proc)))


def test_a_wrong_address_is_shown_with_where_it_comes_from() -> None:
    ran = run_initctl("list", environ={"UPSTART_SESSION": "foo:bar"}, terminal=True)
    assert (ran.code, ran.err.splitlines()) == (1, [
        "list: Unable to connect to Upstart: '=' character not found or has no value following it",
        "The address is 'foo:bar', from UPSTART_SESSION."])


@pytest.mark.parametrize("way", [Way.PRIVATE_SOCKET, Way.SYSTEM_BUS])
def test_where_no_daemon_runs_the_init_that_does_is_named(proc: Path, way: Way) -> None:
    assert in_proc(proc, way, "systemd") == [
        "No upstartd runs: process 1 is systemd. To start it there: systemctl start upstartd"]
    assert in_proc(proc, way, "runit") == ["No upstartd runs: process 1 is runit. To start it, as root: upstartd &"]
    (proc / "1" / "comm").unlink()
    assert list(no_daemon(way, {}, proc=str(proc))) == [
        "No upstartd runs: process 1 is another init. To start it, as root: upstartd &"]


def test_where_a_daemon_runs_but_does_not_answer_it_is_named(proc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for pid in ("200", "31"):
        (proc / pid).mkdir()
        (proc / pid / "comm").write_text("upstartd\n")
    said = in_proc(proc, Way.PRIVATE_SOCKET, "systemd")
    assert said[0] == "upstartd runs (process 31, 200), but does not answer here."
    assert "list-sessions" in said[-1]
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert any("try sudo" in line for line in in_proc(proc, Way.SYSTEM_BUS, "systemd"))


def test_on_a_session_bus_a_daemon_can_be_started(proc: Path) -> None:
    assert in_proc(proc, Way.SESSION_BUS, "systemd") == [
        "Nobody has the name there. To start a daemon on that bus: upstartd --session"]


def in_terminal(*command: str, **environ: str) -> Ran:
    return run_initctl(*command, environ=environ, terminal=True)


def test_a_stale_session_variable_is_told_with_the_sessions_that_run(tmp_path: Path) -> None:
    stale = {"UPSTART_SESSION": "unix:abstract=/upstartd/test/nobody", "XDG_RUNTIME_DIR": str(tmp_path)}
    error = ("status: Unable to connect to Upstart: Failed to connect to socket /upstartd/test/nobody: "
             "Connection refused\n")
    assert run_initctl("status", "web", environ=stale) == (1, "", error)
    assert in_terminal("status", "web", **stale).err.removeprefix(error).splitlines() == [
        "UPSTART_SESSION names a session that has ended.",
        "No session is known. To start one: upstartd --user &",
        "For the system's daemon, give --system, or: unset UPSTART_SESSION"]
    sessions = tmp_path / "upstart" / "sessions"
    sessions.mkdir(parents=True)
    (sessions / f"{os.getpid()}.session").write_text("UPSTART_SESSION=unix:abstract=/mine\n")
    assert in_terminal("status", "web", **stale).err.splitlines()[2] == (
        f"For the session of process {os.getpid()}: export UPSTART_SESSION=unix:abstract=/mine")


def test_user_without_a_session_is_told_how_to_get_one() -> None:
    first, second = in_terminal("initctl", "--user", "list").err.splitlines()
    assert first.startswith("initctl: UPSTART_SESSION isn't set")
    assert second == "No session is known. To start one: upstartd --user &"


def test_who_is_not_let_in_is_told_so() -> None:
    with ScriptedUpstart({}, authenticates=False) as daemon:
        said = in_terminal("status", "web", UPSTART_SESSION=daemon.address).err
    assert f"not for user {os.geteuid()}" in said.splitlines()[1]
