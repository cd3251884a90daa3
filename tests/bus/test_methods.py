"""Every method, as a client on the private socket sees it, with a real engine behind."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import pytest

from support.bus_host import MANAGER, ROOT, SERVICE, HostForTests, Refused, Served, job_path
from support.stage import TO_RUNNING, TO_SPAWNED
from upstartd.conf.model import Command, Definition, EventPattern, JobConfig, JobFiles, Operator, ProcessName
from upstartd.engine import inputs
from upstartd.errors import FREEDESKTOP, UPSTART, BusError
from upstartd.log import Priority

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.bus_host import Client

JOB = MANAGER + ".Job"
INSTANCE = MANAGER + ".Instance"
PROPERTIES = "org.freedesktop.DBus.Properties"
PEER = "org.freedesktop.DBus.Peer"
INVALID_ARGS = FREEDESKTOP + "InvalidArgs"
UNKNOWN_METHOD = FREEDESKTOP + "UnknownMethod"
DENIED = UPSTART + "PermissionDenied"


@pytest.fixture
def served() -> Iterator[Served]:
    with Served() as served:
        served.do(served.host.define, "web")
        by_interface = JobConfig(instance="$IF", usage="IF=name", processes=SERVICE.processes)
        served.do(served.host.define, "net-if", by_interface)
        served.host.inputs.clear()
        yield served


@pytest.fixture
def client(served: Served) -> Iterator[Client]:
    with served.client() as client:
        yield client


def refused(client: Client, *call: Any) -> tuple[str, str]:
    with pytest.raises(Refused) as caught:
        client.call(*call)
    name, text = caught.value.args
    return name, text


def absent(method: str, signature: str, interface: str) -> str:
    return f'Method "{method}" with signature "{signature}" on interface "{interface}" doesn\'t exist\n'


# -- the manager ----------------------------------------------------------------------------------------------


def test_jobs_are_found(client: Client) -> None:
    assert client.manager("GetAllJobs") == [job_path("web"), job_path("net_2dif")]
    assert client.manager("GetJobByName", "s", "net-if") == job_path("net_2dif")
    assert refused(client, ROOT, MANAGER, "GetJobByName", "s", "nope") == (UPSTART + "UnknownJob", "Unknown job: nope")
    assert refused(client, ROOT, MANAGER, "GetJobByName", "s", "") == (INVALID_ARGS, "Name may not be empty string")


def test_events_are_emitted_and_announced(client: Client) -> None:
    assert client.manager("EmitEvent", "sasb", "boot", ["A=1", "B="], True) is None
    client.manager("EmitEvent", "sasb", "next", [], False)
    client.manager("GetAllJobs")
    emitted = [("boot", ["A=1", "B="]), ("next", [])]
    assert client.signals == [(ROOT, "EventEmitted", event) for event in emitted]


def test_wrong_events_are_refused(client: Client) -> None:
    emit = (ROOT, MANAGER, "EmitEvent", "sasb")
    assert refused(client, *emit, "", [], True) == (INVALID_ARGS, "Name may not be empty string")
    assert refused(client, *emit, "x", ["A"], True) == (INVALID_ARGS, "Env must be KEY=VALUE pairs")


def test_the_environment_table_is_read_and_changed(client: Client, served: Served) -> None:
    client.manager("SetEnv", "assb", [], "A=1", True)
    client.manager("SetEnvList", "asasb", [], ["A=2", "B=3"], False)
    assert client.manager("GetEnv", "ass", [], "A") == "1"
    assert client.manager("ListEnv", "as", []) == ["PATH=/bin", "A=1", "B=3"]
    client.manager("UnsetEnv", "ass", [], "A")
    client.manager("UnsetEnvList", "asas", [], ["B", "C"])
    assert client.manager("ListEnv", "as", []) == ["PATH=/bin"]
    client.manager("SetEnv", "assb", [], "D=4", True)
    client.manager("ResetEnv", "as", [])
    assert client.manager("ListEnv", "as", []) == ["PATH=/bin"]
    assert refused(client, ROOT, MANAGER, "GetEnv", "ass", [], "NO") == (INVALID_ARGS, "No such variable: NO")
    changes = [what for what in served.host.inputs if not isinstance(what, JobFiles)]
    assert [type(what) for what in changes] == [
        inputs.SetEnvironment, inputs.SetEnvironment, inputs.UnsetEnvironment, inputs.UnsetEnvironment,
        inputs.SetEnvironment, inputs.ResetEnvironment,
    ]  # fmt: skip


def test_what_concerns_the_daemon_itself_is_passed_on(client: Client, served: Served) -> None:
    client.manager("ReloadConfiguration")
    assert client.manager("GetState") == '{"sessions": []}'
    client.manager("NotifyDiskWriteable")
    client.manager("NotifyDBusAddress", "s", "unix:path=/x")
    client.manager("NotifyCGroupManagerAddress", "s", "unix:path=/x")
    assert served.host.told == ["reload configuration", "disk is writeable", "address unix:path=/x"]


def test_what_does_not_work_is_told_in_the_words_of_the_system(client: Client, served: Served) -> None:
    served.host.disk_error = "Permission denied"
    assert refused(client, ROOT, MANAGER, "NotifyDiskWriteable") == (FREEDESKTOP + "Failed", "Permission denied")
    served.host.address_error = BusError(FREEDESKTOP + "NoServer", "Failed to connect to socket /x: Connection refused")
    assert refused(client, ROOT, MANAGER, "NotifyDBusAddress", "s", "unix:path=/x") == (
        FREEDESKTOP + "NoServer", "Failed to connect to socket /x: Connection refused")  # fmt: skip


def test_restart_is_never_answered(client: Client, served: Served) -> None:
    client.send(ROOT, MANAGER, "Restart")
    client.manager("GetState")  # is answered, and nothing else is
    assert client.answers == {}
    assert served.host.told == ["restart"]


def test_end_session_is_answered_at_once(client: Client, served: Served) -> None:
    client.manager("EndSession")
    [ended] = served.host.inputs
    assert isinstance(ended, inputs.EndSession)
    assert ended.kind == "logout"


# -- jobs and instances -----------------------------------------------------------------------------------------


def test_a_job_is_started_and_stopped(client: Client) -> None:
    path = job_path("web")
    assert client.call(path, JOB, "Start", "asb", [], True) == path + "/_"
    assert client.call(path, JOB, "GetAllInstances") == [path + "/_"]
    assert client.call(path, JOB, "GetInstance", "as", []) == path + "/_"
    assert client.call(path, JOB, "GetInstanceByName", "s", "") == path + "/_"
    assert client.call(path, JOB, "Restart", "asb", ["A=1"], True) == path + "/_"
    assert client.call(path, JOB, "Stop", "asb", [], True) is None
    assert client.call(path, JOB, "GetAllInstances") == []


def test_an_instance_is_reloaded_restarted_and_stopped(client: Client, served: Served) -> None:
    path = client.call(job_path("net_2dif"), JOB, "Start", "asb", ["IF=eth0:1"], True)
    assert path == job_path("net_2dif") + "/eth0_3a1"
    assert client.call(path, INSTANCE, "Reload") is None
    assert client.call(path, INSTANCE, "Restart", "b", True) is None
    assert refused(client, path, INSTANCE, "Start", "b", True) == (
        UPSTART + "AlreadyStarted", "Job is already running: net-if (eth0:1)")  # fmt: skip
    assert client.call(path, INSTANCE, "Stop", "b", True) is None
    assert refused(client, path, INSTANCE, "Stop", "b", True) == (
        UNKNOWN_METHOD, absent("Stop", "b", INSTANCE))  # fmt: skip


def test_errors_of_the_engine_come_with_their_names(client: Client) -> None:
    job = job_path("net_2dif")
    assert refused(client, job, JOB, "Start", "asb", [], True) == (
        INVALID_ARGS, "Unknown parameter: IF\nUsage: IF=name")  # fmt: skip
    assert refused(client, job, JOB, "Start", "asb", ["x"], True) == (INVALID_ARGS, "Env must be KEY=VALUE pairs")
    assert refused(client, job, JOB, "Stop", "asb", ["IF=x"], True) == (
        UPSTART + "UnknownInstance", "Unknown instance: x")  # fmt: skip
    assert refused(client, job, JOB, "GetInstanceByName", "s", "") == (
        UPSTART + "UnknownInstance", "Unknown instance: ")  # fmt: skip


def test_signals_and_answers_come_in_the_order_in_which_they_happened(client: Client) -> None:
    path = job_path("web")
    instance = path + "/_"
    serial = client.send(path, JOB, "Start", "asb", [], True)
    seen = []
    while serial not in client.answers:
        client.receive()
        seen.append(client.signals[-1][1:])
    assert client.answer_to(serial) == instance
    states = f"starting {TO_SPAWNED} {TO_RUNNING}".split()
    assert client.signals[0] == (path, "InstanceAdded", (instance,))
    assert client.signals[1] == (instance, "GoalChanged", ("start",))
    assert [s[2][0] for s in client.signals if s[1] == "StateChanged"] == states
    assert client.signals[-1] == (instance, "StateChanged", ("running",))  # the answer came right after it


def test_every_client_gets_every_signal(served: Served, client: Client) -> None:
    with served.client() as other:
        other.manager("GetAllJobs")
        client.manager("EmitEvent", "sasb", "news", [], True)
        client.manager("GetAllJobs")
        other.manager("GetAllJobs")
        assert other.signals == client.signals == [(ROOT, "EventEmitted", ("news", []))]


def test_file_changes_are_taken_in_before_calls_that_may_be_about_them(client: Client, served: Served) -> None:
    def write(name: str) -> None:
        served.host.pending_files = [JobFiles(name, (Definition(name, SERVICE, f"/init/{name}.conf"),))]

    write("one")
    assert client.manager("GetJobByName", "s", "one") == job_path("one")
    write("two")
    assert job_path("two") in client.manager("GetAllJobs")
    write("three")
    assert client.call(job_path("three"), JOB, "Start", "asb", [], True) == job_path("three") + "/_"
    write("four")
    assert refused(client, job_path("four"), JOB, "GetAllInstances")[0] == UNKNOWN_METHOD


# -- properties -------------------------------------------------------------------------------------------------


def test_the_properties_of_the_manager(client: Client, served: Served) -> None:
    served.host.log.priority = Priority.MESSAGE
    assert client.get(ROOT, MANAGER, "version") == ("s", "init (upstart 1.13.2)")
    assert client.get(ROOT, "", "log_priority") == ("s", "message")
    client.call(ROOT, PROPERTIES, "Set", "ssv", MANAGER, "log_priority", ("s", "warn"))
    assert served.host.log.priority is Priority.WARN
    client.call(ROOT, PROPERTIES, "Set", "ssv", "", "log_priority", ("s", "fatal"))
    assert client.call(ROOT, PROPERTIES, "GetAll", "s", MANAGER) == {
        "version": ("s", "init (upstart 1.13.2)"), "log_priority": ("s", "fatal"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("log_priority", ("s", "Warn"), (INVALID_ARGS, "The log priority given was not recognised")),
        ("log_priority", ("s", ""), (INVALID_ARGS, "The log priority given was not recognised")),
        ("log_priority", ("i", 1), (INVALID_ARGS, "Invalid arguments to log_priority property")),
        ("version", ("s", "2"), (FREEDESKTOP + "AccessDenied", "The version property is read-only")),
        ("version", ("i", 2), (FREEDESKTOP + "AccessDenied", "The version property is read-only")),
        ("nope", ("s", ""), (UNKNOWN_METHOD, absent("Set", "ssv", PROPERTIES))),
    ],
)  # fmt: skip
def test_what_cannot_be_set_stays(client: Client, name: str, value: Any, error: tuple[str, str]) -> None:
    before = client.get(ROOT, MANAGER, "log_priority")
    assert refused(client, ROOT, PROPERTIES, "Set", "ssv", MANAGER, name, value) == error
    assert client.get(ROOT, MANAGER, "log_priority") == before


def test_the_properties_of_a_job(client: Client, served: Served) -> None:
    config = JobConfig(
        description="Héllo\udcff", author="A", version="1", usage="U", emits=("x", "y"),
        start_on=(EventPattern("a", ("K=V",)), EventPattern("b"), Operator.OR),
        stop_on=(EventPattern("c"),), processes={ProcessName.MAIN: Command("x")},
    )  # fmt: skip
    served.do(served.host.define, "full", config)
    assert client.call(job_path("full"), PROPERTIES, "GetAll", "s", "") == {
        "name": ("s", "full"), "description": ("s", "Héllo�"), "author": ("s", "A"), "version": ("s", "1"),
        "usage": ("s", "U"), "emits": ("as", ["x", "y"]), "start_on": ("aas", [["a", "K=V"], ["b"], ["/OR"]]),
        "stop_on": ("aas", [["c"]]),
    }  # fmt: skip
    assert client.get(job_path("web"), JOB, "start_on") == ("aas", [])
    assert client.get(job_path("web"), JOB, "usage") == ("s", "")


def test_the_properties_of_an_instance(client: Client) -> None:
    path = client.call(job_path("net_2dif"), JOB, "Start", "asb", ["IF=é"], True)
    assert path == job_path("net_2dif") + "/_c3_a9"
    assert client.call(path, PROPERTIES, "GetAll", "s", INSTANCE) == {
        "name": ("s", "é"), "goal": ("s", "start"), "state": ("s", "running"), "processes": ("a(si)", [("main", 1000)]),
    }  # fmt: skip
    assert refused(client, path, PROPERTIES, "Set", "ssv", "", "goal", ("s", "stop")) == (
        FREEDESKTOP + "AccessDenied", "The goal property is read-only")  # fmt: skip


def test_all_properties_of_a_foreign_interface_are_none(client: Client) -> None:
    assert client.call(ROOT, PROPERTIES, "GetAll", "s", "no.such.Interface") == {}
    assert client.call(ROOT, PROPERTIES, "GetAll", "s", JOB) == {}


# -- what is not there ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "text"),
    [
        ((ROOT, MANAGER, "Nope", "s", "x"), absent("Nope", "s", MANAGER)),
        ((ROOT, "no.such", "GetState"), absent("GetState", "", "no.such")),
        ((ROOT, JOB, "GetAllInstances"), absent("GetAllInstances", "", JOB)),
        (("/nowhere", MANAGER, "GetState"), absent("GetState", "", MANAGER)),
        ((ROOT, None, "Nope"), absent("Nope", "", "(null)")),
        ((ROOT, PROPERTIES, "Get", "ss", MANAGER, "nope"), absent("Get", "ss", PROPERTIES)),
        ((ROOT, PROPERTIES, "Get", "ss", JOB, "name"), absent("Get", "ss", PROPERTIES)),
        ((job_path("web") + "/_", PROPERTIES, "Get", "ss", INSTANCE, "state"), absent("Get", "ss", PROPERTIES)),
        ((ROOT + "/jobs", PROPERTIES, "GetAll", "s", ""), absent("GetAll", "s", PROPERTIES)),
    ],
)
def test_what_is_not_there_is_an_unknown_method(client: Client, call: tuple[Any, ...], text: str) -> None:
    assert refused(client, *call) == (UNKNOWN_METHOD, text)


@pytest.mark.parametrize(
    "call",
    [
        (ROOT, MANAGER, "EmitEvent", "sas", "x", []),
        (ROOT, MANAGER, "EmitEvent", "sasbs", "x", [], True, "y"),
        (ROOT, MANAGER, "EmitEvent"),
        (ROOT, MANAGER, "GetAllJobs", "s", "x"),
        (job_path("web"), JOB, "Start", "asi", [], 1),
        (ROOT, PROPERTIES, "Get", "s", MANAGER),
        (ROOT, PEER, "Ping", "s", "x"),
    ],
)
def test_a_wrong_signature_is_told_for_the_method(client: Client, call: tuple[Any, ...]) -> None:
    assert refused(client, *call) == (INVALID_ARGS, f"Invalid arguments to {call[2]} method")


def test_a_call_without_an_interface_goes_to_the_method_of_that_name(client: Client) -> None:
    assert client.call(ROOT, None, "GetState") == '{"sessions": []}'
    assert client.call(ROOT, None, "Get", "ss", "", "log_priority")[0] == "s"
    assert client.call(job_path("web"), None, "Start", "asb", [], True) == job_path("web") + "/_"


def test_arguments_of_free_methods_are_not_read_without_end(client: Client) -> None:
    name, _ = refused(client, ROOT, MANAGER, "GetJobByName", "s", "x" * 200_000)
    assert name == FREEDESKTOP + "LimitsExceeded"
    client.manager("EmitEvent", "sasb", "big", ["A=" + "x" * 2_000_000], True)


# -- standard interfaces ------------------------------------------------------------------------------------------


def test_introspection_leads_from_the_root_to_an_instance(client: Client) -> None:
    client.call(job_path("web"), JOB, "Start", "asb", [], True)
    path, seen = "/", []
    while True:
        data = client.call(path, "org.freedesktop.DBus.Introspectable", "Introspect")
        children = [node.attrib["name"] for node in ElementTree.fromstring(data).findall("node")]
        if not children:
            break
        path = f"{path.rstrip('/')}/{children[0]}"
        seen.append(path)
    assert seen == ["/com", "/com/ubuntu", ROOT, ROOT + "/jobs", job_path("web"), job_path("web") + "/_"]


def test_the_peer_answers_on_any_path(client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert client.call("/any/where", PEER, "Ping") is None
    (tmp_path / "machine-id").write_text("00ff" * 8 + "\n")
    monkeypatch.setattr("upstartd.bus.methods._MACHINE_ID_FILES", [tmp_path / "none", tmp_path / "machine-id"])
    assert client.call(ROOT, PEER, "GetMachineId") == "00ff" * 8
    monkeypatch.setattr("upstartd.bus.methods._MACHINE_ID_FILES", [tmp_path / "none"])
    assert refused(client, ROOT, PEER, "GetMachineId")[0] == FREEDESKTOP + "FileNotFound"


# -- permission ---------------------------------------------------------------------------------------------------


def test_who_is_not_root_may_only_look_at_a_system_instance() -> None:
    if os.getuid() != 0:
        pytest.skip("needs root, to be somebody else")
    with Served(HostForTests(only_root_may_change=True), uids=frozenset({0, 65534})) as served:
        served.do(served.host.define, "web")
        os.seteuid(65534)
        try:
            client = served.client()
        finally:
            os.seteuid(0)
        with client:
            assert client.manager("GetAllJobs") == [job_path("web")]
            # Permission comes first: who may not call does not learn what the arguments should have been.
            calls: list[tuple[Any, ...]] = [("sasb", "x", [], True), ()]
            for arguments in calls:
                assert refused(client, ROOT, MANAGER, "EmitEvent", *arguments) == (
                    DENIED, "You do not have permission to emit an event")  # fmt: skip
            assert refused(client, job_path("web"), JOB, "Start", "asb", [], True) == (
                DENIED, "You do not have permission to modify job: web")  # fmt: skip
            set_priority = (ROOT, PROPERTIES, "Set", "ssv", MANAGER, "log_priority", ("s", "info"))
            assert refused(client, *set_priority) == (DENIED, "You do not have permission to set log priority")
        assert [what for what in served.host.inputs if not isinstance(what, JobFiles)] == []


def test_process_1_keeps_its_environment() -> None:
    with Served(HostForTests(is_pid_1=True)) as served, served.client() as client:
        assert refused(client, ROOT, MANAGER, "SetEnv", "assb", [], "A=1", True) == (
            DENIED, "Not permissible to modify PID 1 job environment")  # fmt: skip
        assert refused(client, ROOT, MANAGER, "NotifyDBusAddress", "s", "unix:path=/x") == (
            DENIED, "Not permissible to notify D-Bus address for PID 1")  # fmt: skip
        client.manager("EndSession")
        assert client.manager("ListEnv", "as", []) == ["PATH=/bin"]
        assert served.host.inputs == []


# -- our own faults ------------------------------------------------------------------------------------------------


def test_a_bug_of_ours_is_a_number_to_the_caller_and_all_of_it_to_the_log(
    client: Client, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served.host, "state_as_json", lambda: 1 / 0)
    name, text = refused(client, ROOT, MANAGER, "GetState")
    number = text.split()[2].rstrip(":")
    assert (name, text) == (FREEDESKTOP + "Failed", f"Internal error {number}: the log of the daemon tells more")
    [line] = served.host.logged(Priority.ERROR)
    assert line.startswith(f"Internal error {number}: Traceback")
    assert line.endswith("ZeroDivisionError: division by zero")
    monkeypatch.setattr(served.host, "state_as_json", lambda: 7)  # cannot be sent as a string
    assert refused(client, ROOT, MANAGER, "GetState")[1].startswith("Internal error ")
    assert client.manager("GetAllJobs")


def test_a_bug_in_what_takes_time_is_told_as_well(client: Client, served: Served) -> None:
    served.host.address_error = ValueError("surprise")  # no error that a caller is to see
    _, text = refused(client, ROOT, MANAGER, "NotifyDBusAddress", "s", "unix:path=/x")
    assert text.startswith("Internal error ")
    assert "surprise" in served.host.logged(Priority.ERROR)[0]


def test_the_end_does_not_wait_for_a_bus_that_is_being_connected_to(
    client: Client, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(_: str) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(served.host, "notify_dbus_address", never)
    client.send(ROOT, MANAGER, "NotifyDBusAddress", "s", "unix:path=/x")
    client.manager("GetAllJobs")
    served.do(served.service.close)
    with pytest.raises(ConnectionResetError):
        client.receive()


def test_a_bug_after_the_answer_is_only_logged(
    client: Client, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit = served.host.submit

    def answer_and_fail(what: inputs.Input) -> None:
        submit(what)
        raise RuntimeError("surprise")

    monkeypatch.setattr(served.host, "submit", answer_and_fail)
    assert client.manager("EmitEvent", "sasb", "x", [], True) is None
    assert client.manager("GetAllJobs")
    assert len(served.host.logged(Priority.ERROR)) == 1
