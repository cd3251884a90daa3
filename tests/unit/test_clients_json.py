"""--json: what each command tells as data, and that errors and exit codes are as ever."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from support.scripted_upstart import (
    GONE,
    JOBS,
    Answers,
    Called,
    Fault,
    Reply,
    ScriptedUpstart,
    instance,
    job_path,
    run_initctl,
    unknown_job,
)
from upstartd_clients.commands import COMMANDS

if TYPE_CHECKING:
    from pathlib import Path

WEB = {"GetJobByName": job_path(), "GetInstance": Reply("o", (f"{JOBS}/web/_",))}


def told(answers: Answers, *command: str, code: int = 0, **environ: str) -> Any:
    """What a command prints as JSON, on one line."""
    with ScriptedUpstart(answers) as daemon:
        ran = run_initctl("initctl", *command, "--json", environ=daemon.environ(**environ))
    assert (ran.code, ran.err) == (code, "")
    assert ran.out.endswith("\n")
    assert ran.out.count("\n") == 1
    return json.loads(ran.out)


def config(name: str, start_on: list[list[str]], stop_on: list[list[str]], emits: list[str]) -> Reply:
    return Reply("a{sv}", ({"name": ("s", name), "emits": ("as", emits), "start_on": ("aas", start_on),
                            "stop_on": ("aas", stop_on)},))


def test_the_commands_with_an_answer_that_programs_read_have_it() -> None:
    assert {name for name, command in COMMANDS.items() if any(option.long == "json" for option in command.options)} == {
        "status", "list", "show-config", "check-config", "usage", "version", "list-sessions", "list-env"}


def test_status_tells_job_instance_goal_state_and_processes() -> None:
    answers = WEB | {"GetAll": instance("a", "start", "post-start", ("main", 42), ("post-start", 43))}
    assert told(answers, "status", "web", "N=a") == {
        "job": "web", "instance": "a", "goal": "start", "state": "post-start",
        "processes": [{"name": "main", "pid": 42}, {"name": "post-start", "pid": 43}]}


def test_where_there_is_no_instance_its_name_is_null() -> None:
    assert told(WEB | {"GetAll": GONE}, "status", "web") == {
        "job": "web", "instance": None, "goal": "stop", "state": "waiting", "processes": []}


def test_list_is_one_array_in_the_order_of_the_text() -> None:
    def instances(call: Called) -> Reply:
        name = call.path.rpartition("/")[2]
        return Reply("ao", ({"tty": [f"{JOBS}/tty/b", f"{JOBS}/tty/a"], "web": []}[name],))

    answers: Answers = {
        "GetAllJobs": Reply("ao", ([f"{JOBS}/web", f"{JOBS}/tty"],)), "GetAllInstances": instances,
        "GetAll": lambda call: instance(call.path.rpartition("/")[2])}
    found = told(answers, "list")
    assert [(one["job"], one["instance"], one["state"]) for one in found] == [
        ("tty", "a", "running"), ("tty", "b", "running"), ("web", None, "waiting")]


@pytest.mark.parametrize("more", [[], ["-e"]])
def test_show_config_tells_each_condition_as_text_and_by_its_events(more: list[str]) -> None:
    answers = WEB | {"GetAll": config("web", [["started", "db", "A=1"], ["up", "B=2"], ["/AND"]], [], ["x", "y"])}
    assert told(answers, "show-config", "web", *more) == [{
        "job": "web", "emits": ["x", "y"], "stop_on": None,
        "start_on": {"text": "(started db A=1 and up B=2)", "events": [
            {"event": "started", "job": "db", "env": ["A=1"]}, {"event": "up", "job": None, "env": ["B=2"]}]}}]


def test_check_config_tells_what_is_unknown_and_still_fails() -> None:
    answers = {"GetAllJobs": Reply("ao", ([f"{JOBS}/web"],)),
               "GetAll": config("web", [["started", "db"]], [["frob"]], [])}
    assert told(answers, "check-config", code=1) == [{"job": "web", "unknown": [
        {"condition": "start on", "kind": "job", "name": "db"},
        {"condition": "stop on", "kind": "event", "name": "frob"}]}]
    assert told(answers | {"GetAll": config("web", [["startup"]], [], [])}, "check-config") == []


def test_usage_and_version() -> None:
    assert told(WEB | {"Get": Reply("v", (("s", "web N=1"),))}, "usage", "web") == {"job": "web", "usage": "web N=1"}
    for text, number in (("init (upstart 1.13.2)", "1.13.2"), ("something else", None)):
        assert told({"Get": Reply("v", (("s", text),))}, "version") == {"text": text, "upstart": number}


def test_list_env_gives_each_variable_its_value() -> None:
    assert told({"ListEnv": Reply("as", (["B=x=y", "A="],))}, "list-env") == {"A": "", "B": "x=y"}


def test_list_sessions_tells_of_dead_ones_only_if_asked(tmp_path: Path) -> None:
    sessions = tmp_path / "upstart" / "sessions"
    sessions.mkdir(parents=True)
    for pid in (os.getpid(), 2**22 + 1):  # the second is above what the kernel gives
        (sessions / f"{pid}.session").write_text(f"UPSTART_SESSION=unix:abstract=/{pid}\n")
    alive = {"pid": os.getpid(), "address": f"unix:abstract=/{os.getpid()}", "alive": True}
    dead = {"pid": 2**22 + 1, "address": f"unix:abstract=/{2**22 + 1}", "alive": False}
    assert told({}, "list-sessions", XDG_RUNTIME_DIR=str(tmp_path)) == [alive]
    assert told({}, "list-sessions", "-v", XDG_RUNTIME_DIR=str(tmp_path)) == [alive, dead]


def test_text_beyond_ascii_is_escaped_so_that_no_locale_matters() -> None:
    with ScriptedUpstart({"Get": Reply("v", (("s", "Zoë"),))}) as daemon:
        out = run_initctl("initctl", "version", "--json", environ=daemon.environ()).out
    assert out == '{"text": "Zo\\u00eb", "upstart": null}\n'


def test_errors_are_text_with_the_usual_exit_code_and_quiet_prints_nothing() -> None:
    with ScriptedUpstart({"GetJobByName": unknown_job("web"), "Get": Reply("v", (("s", "x"),))}) as daemon:
        assert run_initctl("status", "web", "--json", environ=daemon.environ()) == (1, "", "status: Unknown job: web\n")
        assert run_initctl("initctl", "version", "--json", "-q", environ=daemon.environ()) == (0, "", "")
    failing = Fault("org.freedesktop.DBus.Error.Failed", "No")
    with ScriptedUpstart({"GetAllJobs": failing}) as daemon:
        assert run_initctl("initctl", "list", "--json", environ=daemon.environ()) == (1, "", "initctl: No\n")
