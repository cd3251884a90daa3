"""initctl against a daemon that answers as the test wants: what it asks, and what it makes of strange answers.

What it does with a real daemon is in e2e/test_clients_commands.py, and in the conformance scenarios.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from jeepney import Endianness, Header, Message, MessageType, new_method_return

from support.scripted_upstart import (
    GONE,
    HANG_UP,
    JOBS,
    Answer,
    Answers,
    Called,
    Fault,
    Ran,
    Raw,
    Reply,
    ScriptedUpstart,
    instance,
    job_path,
    run_initctl,
    unknown_job,
)
from upstartd_clients import connection

if TYPE_CHECKING:
    from collections.abc import Callable

NOTHING = Reply()
WEB = f"{JOBS}/web"
INSTANCE = Reply("o", (f"{WEB}/_",))
INSIDE = {"UPSTART_JOB": "web", "UPSTART_INSTANCE": "a"}


def ask(answers: Answers, *command: str, **environ: str) -> tuple[Ran, list[Called]]:
    """What a command ended with, and the calls that it made."""
    with ScriptedUpstart(answers) as daemon:
        ran = run_initctl(*command, environ=daemon.environ(**environ))
    return ran, daemon.calls


def refused(answers: Answers, *command: str, **environ: str) -> str:
    """The error that a command ended with; nothing else was said."""
    ran, _ = ask(answers, *command, **environ)
    assert (ran.code, ran.out) == (1, "")
    return ran.err


# -- what is asked ----------------------------------------------------------------------------------------------------

RUNNING = {"GetJobByName": job_path(), "GetInstance": INSTANCE, "GetInstanceByName": INSTANCE,
           "GetAll": instance("", "start", "running", ("main", 42))}


@pytest.mark.parametrize(("command", "calls"), [
    ("start web", [("Start", ([], True))]),
    ("start web A=1 B=", [("Start", (["A=1", "B="], True))]),
    ("start -n web", [("Start", ([], False))]),
    ("restart web A=1 --no-wait", [("Restart", (["A=1"], False))]),
    ("stop web A=1", [("GetInstance", (["A=1"],)), ("Stop", (["A=1"], True))]),
    ("stop web -n", [("GetInstance", ([],)), ("Stop", ([], False))]),
    ("status web A=1", [("GetInstance", (["A=1"],))]),
])
@pytest.mark.parametrize("linked", [True, False])
def test_a_job_command_asks_the_job_and_then_prints_the_status(
        command: str, calls: list[tuple[str, tuple[Any, ...]]], linked: bool) -> None:
    words = command.split() if linked else ["initctl", *command.split()]
    # Inside a job too: a job that is named is the one that is meant.
    answers = RUNNING | {"Start": INSTANCE, "Restart": INSTANCE, "Stop": NOTHING}
    ran, made = ask(answers, *words, **INSIDE)
    assert ran == (0, "web start/running, process 42\n", "")
    assert made == [("/com/ubuntu/Upstart", "GetJobByName", ("web",)),
                    *((WEB, method, arguments) for method, arguments in calls),
                    (f"{WEB}/_", "GetAll", ("com.ubuntu.Upstart0_6.Instance",))]


@pytest.mark.parametrize("command", ["start", "stop", "restart"])
def test_inside_a_job_a_command_means_that_instance_and_does_not_wait(command: str) -> None:
    for words in ([command], ["initctl", command]):
        ran, made = ask(RUNNING | {command.capitalize(): NOTHING}, *words, **INSIDE)
        assert ran == (0, "web start/running, process 42\n", "")
        assert [(call.path, call.member, call.arguments) for call in made[:-1]] == [
            ("/com/ubuntu/Upstart", "GetJobByName", ("web",)), (WEB, "GetInstanceByName", ("a",)),
            (f"{WEB}/_", command.capitalize(), (False,))]


def test_inside_a_job_status_reload_and_usage_mean_that_job() -> None:
    assert ask(RUNNING, "status", **INSIDE)[0].out == "web start/running, process 42\n"
    ran, made = ask(RUNNING | {"Reload": NOTHING}, "reload", **INSIDE)
    assert ran == (0, "", "")
    assert made[-1] == (f"{WEB}/_", "Reload", ())
    usage = {"GetJobByName": job_path(), "Get": Reply("v", (("s", "web A=1"),))}
    assert ask(usage, "initctl", "usage", **INSIDE)[0] == (0, "Usage: web A=1\n", "")


@pytest.mark.parametrize("command", ["start", "stop", "restart", "reload", "status", "usage"])
@pytest.mark.parametrize("missing", ["UPSTART_JOB", "UPSTART_INSTANCE"])
def test_a_job_is_needed_where_this_process_is_not_inside_one(command: str, missing: str) -> None:
    environ = {name: value for name, value in INSIDE.items() if name != missing}
    ran, made = ask({}, command, **environ)
    assert ran == (1, "", f"{command}: missing job name\nTry `{command} --help' for more information.\n")
    assert made == []


@pytest.mark.parametrize(("command", "call"), [
    ("emit boot", ("EmitEvent", ("boot", [], True))),
    ("emit boot A=1 B=2 -n", ("EmitEvent", ("boot", ["A=1", "B=2"], False))),
    ("reload-configuration", ("ReloadConfiguration", ())),
    ("set-env A=1 B", ("SetEnvList", ([], ["A=1", "B"], True))),
    ("set-env -r A=1", ("SetEnvList", ([], ["A=1"], False))),
    ("unset-env A B", ("UnsetEnvList", ([], ["A", "B"]))),
    ("reset-env", ("ResetEnv", ([],))),
    ("notify-disk-writeable", ("NotifyDiskWriteable", ())),
    ("notify-dbus-address unix:path=/x", ("NotifyDBusAddress", ("unix:path=/x",))),
    ("notify-cgroup-manager-address x y", ("NotifyCGroupManagerAddress", ("x",))),
    ("log-priority debug", ("Set", ("com.ubuntu.Upstart0_6", "log_priority", ("s", "debug")))),
])
def test_a_silent_command_makes_one_call(command: str, call: tuple[str, tuple[Any, ...]]) -> None:
    ran, made = ask({call[0]: NOTHING}, "initctl", *command.split())
    assert ran == (0, "", "")
    assert made == [("/com/ubuntu/Upstart", *call)]


@pytest.mark.parametrize(("command", "details"), [
    ("set-env A=1", ["web", "a"]), ("set-env -g A=1", []), ("set-env --global A=1", []),
])
def test_inside_a_job_the_environment_is_that_of_the_instance(command: str, details: list[str]) -> None:
    _, made = ask({"SetEnvList": NOTHING}, "initctl", *command.split(), **INSIDE)
    assert made[0].arguments[0] == details


def test_list_env_is_sorted_bytewise() -> None:
    ran, _ = ask({"ListEnv": Reply("as", (["b=1", "É=2", "Z=", "a=x=y"],))}, "initctl", "list-env")
    assert ran == (0, "Z=\na=x=y\nb=1\nÉ=2\n", "")


@pytest.mark.parametrize("option", ["-q", "--quiet"])
@pytest.mark.parametrize("command", ["status web", "version", "get-env A"])
def test_quiet_prints_no_result(option: str, command: str) -> None:
    answers = RUNNING | {"Get": Reply("v", (("s", "init (upstart 1.13.2)"),)), "GetEnv": Reply("s", ("x",))}
    loud, _ = ask(answers, "initctl", *command.split())
    assert loud.code == 0
    assert loud.out
    assert ask(answers, "initctl", option, *command.split())[0] == (0, "", "")
    assert ask(answers, "initctl", *command.split(), "-v", option)[0] == (0, "", "")
    assert ask(answers, "initctl", option, *command.split(), "-v")[0] == loud


# -- jobs and instances that are gone ---------------------------------------------------------------------------------


def test_stopping_a_job_whose_file_is_gone_prints_that_it_is_stopped() -> None:  # design, 34
    ran, _ = ask({"GetJobByName": job_path(), "GetInstance": INSTANCE, "Stop": NOTHING, "GetAll": GONE}, "stop", "web")
    assert ran == (0, "web stop/waiting\n", "")


def test_starting_a_task_prints_that_it_is_stopped() -> None:
    assert ask({"GetJobByName": job_path(), "Start": INSTANCE}, "start", "web")[0] == (0, "web stop/waiting\n", "")


def test_status_without_an_instance_prints_that_it_is_stopped_unless_one_was_named() -> None:
    missing = Fault("com.ubuntu.Upstart0_6.Error.UnknownInstance", "Unknown instance: ")
    answers: Answers = {"GetJobByName": job_path(), "GetInstance": missing, "GetInstanceByName": missing}
    assert ask(answers, "status", "web")[0] == (0, "web stop/waiting\n", "")
    assert refused(answers, "status", "web", "A=1") == "status: Unknown instance: \n"
    assert refused(answers, "status", **INSIDE) == "status: Unknown instance: \n"


def listed(jobs: dict[str, list[str] | None], instances: dict[str, Reply]) -> Answers:
    """Answers of a daemon with jobs (path element: its instances' path elements, None if it is gone by then)."""
    def instances_of(call: Called) -> Reply | Fault:
        elements = jobs[call.path.rpartition("/")[2]]
        return GONE if elements is None else Reply("ao", ([f"{call.path}/{element}" for element in elements],))

    return {"GetAllJobs": Reply("ao", ([f"{JOBS}/{element}" for element in jobs],)), "GetAllInstances": instances_of,
            "GetAll": lambda call: instances.get(call.path.removeprefix(f"{JOBS}/"), GONE)}


def test_list_is_sorted_and_leaves_out_what_is_gone() -> None:
    answers = listed(
        {"web": ["_"], "gone": None, "getty": ["tty2", "tty1", "was"], "a_2fb": [], "_c3_89": [], "z_5f1": ["_"]},
        {"web/_": instance("", "start", "running", ("main", 1), ("post-start", 2)),
         "getty/tty1": instance("tty1", "stop", "killed", ("main", 3)), "getty/tty2": instance("tty2")})
    assert ask(answers, "initctl", "list", "ignored")[0] == (0, (
        "a/b stop/waiting\n"
        "getty (tty1) stop/killed, process 3\n"
        "getty (tty2) start/running\n"
        "web start/running, process 1\n"
        "\tpost-start process 2\n"
        "z_1 stop/waiting\n"
        "É stop/waiting\n"), "")


def test_list_of_many_jobs_gives_each_its_own_answer() -> None:
    names = [f"job{number:04}" for number in range(700)]  # more than are under way at a time
    answers = listed({name: ["_"] for name in names},
                     {f"{name}/_": instance("", "start", "running", ("main", int(name[3:]) + 1)) for name in names})
    ran, _ = ask(answers, "initctl", "list")
    assert ran.out.splitlines() == [f"{name} start/running, process {number + 1}" for number, name in enumerate(names)]


def test_an_error_on_the_way_ends_list() -> None:
    answers = dict(listed({"web": []}, {})) | {"GetAllInstances": Fault("org.freedesktop.DBus.Error.Failed", "No")}
    assert refused(answers, "initctl", "list") == "initctl: No\n"


def test_reload_falls_back_to_a_signal_for_a_daemon_without_reload() -> None:
    with subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"]) as process:
        answers = RUNNING | {"GetAll": instance("", "start", "running", ("main", process.pid))}
        assert ask(answers, "reload", "web")[0] == (0, "", "")
        assert process.wait() == -signal.SIGHUP


@pytest.mark.parametrize("status", [GONE, instance("", "start", "running"),
                                    instance("", "start", "pre-start", ("pre-start", 1))])
def test_reload_without_a_main_process_says_so(status: Reply) -> None:
    assert refused(RUNNING | {"GetAll": status}, "reload", "web") == "reload: Not running\n"


# -- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("error", "printed"), [
    (unknown_job("web"), "status: Unknown job: web\n"),
    (Fault("org.freedesktop.DBus.Error.InvalidArgs", "Unknown parameter: TTY\nUsage: web TTY=x"),
     "status: Unknown parameter: TTY\nUsage: web TTY=x\n"),
    (Fault("org.freedesktop.DBus.Error.UnknownMethod", "Method \"x\" doesn't exist\n"),
     "status: Method \"x\" doesn't exist\n"),
    (Fault("org.freedesktop.DBus.Error.Failed", "/some/file: No such file"), "status:/some/file: No such file\n"),
    (Fault("com.example.Silent", ""), "status: com.example.Silent\n"),
    (Fault("com.example.Silent", None), "status: com.example.Silent\n"),
])
def test_an_error_of_the_daemon_is_printed_as_its_message(error: Fault, printed: str) -> None:
    assert refused({"GetJobByName": error}, "status", "web") == printed


def test_an_error_is_printed_even_if_quiet() -> None:
    assert refused({"GetJobByName": unknown_job("web")}, "status", "-q", "web") == "status: Unknown job: web\n"


def test_an_object_path_that_is_none_is_named() -> None:
    assert refused({"GetJobByName": no_path}, "status", "web") == (
        'status: cannot understand Upstart: "nonsense" is not the path of an object\n')


def no_path(call: Called) -> Raw:
    """An answer that says it is an object path, and is none: the codec of the test would not make one."""
    message = new_method_return(Message(Header(Endianness.little, MessageType.method_call, 0, 1, 0, 1, {}), ()), "s",
                                ("nonsense",)).serialise(1)
    return Raw(message.replace(b"\x01s\0", b"\x01o\0"))


@pytest.mark.parametrize("answer", [
    Reply("s", (WEB,)), Reply(), Reply("oo", (WEB, WEB)), Raw(b"\0" * 64), Raw(b"nonsense" * 8),
])
def test_an_answer_that_makes_no_sense_is_an_error(answer: Answer | Callable[[Called], Answer]) -> None:
    assert refused({"GetJobByName": answer}, "status", "web").startswith("status: cannot understand Upstart: ")


def test_a_property_of_another_type_is_an_error() -> None:
    for properties in ({}, {"name": ("s", "")}, {"name": ("i", 1), "goal": ("s", ""), "state": ("s", "")}):
        answers = RUNNING | {"GetAll": Reply("a{sv}", (properties,))}
        assert refused(answers, "status", "web").startswith("status: cannot understand Upstart: property ")
    assert "property version" in refused({"Get": Reply("v", (("u", 1),))}, "initctl", "version")


@pytest.mark.parametrize("path", ["/com/ubuntu/Upstart/jobs/a_z", "/com/ubuntu/Upstart/jobs/a_zz"])
def test_a_path_that_is_no_job_s_is_an_error(path: str) -> None:
    assert refused({"GetAllJobs": Reply("ao", ([path],))}, "initctl", "list").startswith(
        "initctl: cannot understand Upstart: ")


def test_a_daemon_that_hangs_up_is_an_error() -> None:
    assert refused({"GetJobByName": HANG_UP}, "status", "web") == (
        "status: lost the connection to Upstart before it answered\n")


def test_a_daemon_that_says_nothing_is_an_error_but_for_what_may_take_long(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float | None] = []
    wait = connection.Connection.receive

    def note(self: connection.Connection, deadline: float | None) -> None:
        asked.append(deadline)
        wait(self, deadline)

    monkeypatch.setattr(connection.Connection, "receive", note)
    for words in (["start", "web"], ["initctl", "emit", "boot"]):
        asked.clear()
        ask({"GetJobByName": job_path(), "Start": INSTANCE, "EmitEvent": NOTHING}, *words)
        assert None in asked
    asked.clear()
    ask(RUNNING, "status", "web")
    assert asked
    assert None not in asked
    # As if the time were over already.
    monkeypatch.setattr(connection.Connection, "receive", lambda self, deadline: wait(self, deadline - 100))
    assert refused({"GetJobByName": Raw(b"")}, "status", "web") == "status: no answer from Upstart within 25 seconds\n"


def test_signals_do_not_matter() -> None:
    with ScriptedUpstart({"GetEnv": Reply("s", ("value",))}) as daemon:  # which sends a signal before each answer
        assert run_initctl("initctl", "get-env", "A", environ=daemon.environ()) == (0, "value\n", "")


# -- usage ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("command", "message"), [
    ("initctl", "missing command"),
    ("initctl -q", "missing command"),
    ("initctl frobnicate web", "invalid command: frobnicate"),
    ("initctl Start web", "invalid command: Start"),
    ("initctl emit", "missing event name"),
    ("initctl get-env", "missing variable name"),
    ("initctl unset-env", "missing variable name"),
    ("initctl set-env", "missing variable value"),
    ("initctl notify-dbus-address", "missing D-Bus address"),
    ("initctl notify-cgroup-manager-address", "missing address"),
    ("initctl --no-wait stop web", "invalid option: --no-wait"),
    ("initctl get-env -r A", "invalid option: -r"),
    ("initctl list-sessions --global", "invalid option: --global"),
    ("start --no-wait=yes web", "unexpected argument: --no-wait=yes"),
    ("reload --no-wait web", "invalid option: --no-wait"),
    ("emit", "missing event name"),  # any command may be the name of a link
])
def test_a_usage_error_is_two_lines_and_no_daemon_is_asked(command: str, message: str) -> None:
    program = command.split()[0]
    ran, made = ask({}, *command.split())
    assert ran == (1, "", f"{program}: {message}\nTry `{program} --help' for more information.\n")
    assert made == []


@pytest.mark.parametrize("command", ["get-env A", "list-env", "set-env A=1", "unset-env A", "reset-env", "is-enabled"])
def test_a_usage_error_comes_before_the_way_to_the_daemon(command: str) -> None:
    environ = {"UPSTART_SESSION": "unix:abstract=/upstartd/test/nobody"}
    inside = {"UPSTART_JOB": "web"} if "env" in command else {}
    ran = run_initctl("initctl", *command.split(), environ=environ | inside)
    assert ran == (1, "", "initctl: missing job name\nTry `initctl --help' for more information.\n")


@pytest.mark.parametrize(("command", "missing"), [
    ("notify-dbus-address", "D-Bus address"), ("notify-cgroup-manager-address", "address"),
])
def test_a_missing_address_is_told_where_there_is_no_daemon_either(command: str, missing: str) -> None:
    ran = run_initctl("initctl", command, environ={"UPSTART_SESSION": "unix:abstract=/upstartd/test/nobody"})
    assert ran == (1, "", f"initctl: missing {missing}\nTry `initctl --help' for more information.\n")


def test_what_is_no_text_cannot_be_sent() -> None:
    assert refused({}, "status", "w\udcff") == "status: cannot send b'w\\xff': it is not UTF-8\n"
    assert refused({}, "status", UPSTART_JOB="\udcff", UPSTART_INSTANCE="") == (
        "status: cannot send b'\\xff': it is not UTF-8\n")


