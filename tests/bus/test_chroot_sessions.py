"""Clients in other root directories on the private socket: whose jobs theirs are, and what they may do."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

import pytest

from support.bus_host import MANAGER, ROOT, SERVICE, HostForTests, Refused, Served, job_path
from support.waiting import wait_until
from upstartd.bus import peer_root
from upstartd.conf.model import Definition, JobFiles
from upstartd.log import Priority

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator

    from support.bus_host import Client

JOB = MANAGER + ".Job"
INSTANCE = MANAGER + ".Instance"
PROPERTIES = "org.freedesktop.DBus.Properties"
UPSTART = "com.ubuntu.Upstart0_6.Error."
BOX = "/srv/box"
IN_BOX = "/com/ubuntu/Upstart/jobs/_2fsrv_2fbox"


class Roots:
    """Which root directory the next client has; an OSError where that cannot be told."""

    def __init__(self) -> None:
        self.next: str | OSError = ""

    def find(self, _: socket.socket) -> str:
        if isinstance(self.next, OSError):
            raise self.next
        return self.next


@pytest.fixture
def roots(monkeypatch: pytest.MonkeyPatch) -> Roots:
    roots = Roots()
    monkeypatch.setattr(peer_root, "find", roots.find)
    return roots


def serve(**options: Any) -> Served:
    """A daemon with the jobs `web` and `own`."""
    return Served(HostForTests(**options), chroot_sessions=True)


@pytest.fixture
def served(roots: Roots) -> Iterator[Served]:
    with serve() as served:
        served.do(served.host.define, "web")
        served.do(served.host.define, "own")
        yield served


@pytest.fixture
def enter(served: Served, roots: Roots) -> Iterator[Callable[[str], Client]]:
    """Makes clients with a root directory; that of BOX has the jobs `web` and `boxed`."""
    clients: list[Client] = []

    def enter(root: str) -> Client:
        roots.next = root
        client = served.client()
        clients.append(client)
        client.call(ROOT, "org.freedesktop.DBus.Peer", "Ping")
        if root == BOX and not served.host.sessions[BOX].engine.classes:
            for job in ("web", "boxed"):
                served.do(served.host.sessions[BOX].define, job)
        return client

    yield enter
    for client in clients:
        client.connection.close()


def refusal(client: Client, path: str, interface: str, member: str, signature: str = "", *values: object) -> Refused:
    with pytest.raises(Refused) as caught:
        client.call(path, interface, member, signature, *values)
    return caught.value


def test_each_session_sees_its_own_jobs(enter: Callable[[str], Client]) -> None:
    ours, boxed = enter(""), enter(BOX)
    assert ours.manager("GetAllJobs") == [job_path("web"), job_path("own")]
    assert boxed.manager("GetAllJobs") == [f"{IN_BOX}/web", f"{IN_BOX}/boxed"]
    assert ours.manager("GetJobByName", "s", "web") == job_path("web")
    assert boxed.manager("GetJobByName", "s", "web") == f"{IN_BOX}/web"
    for client, name in ((ours, "boxed"), (boxed, "own")):
        with pytest.raises(Refused, match=f"Unknown job: {name}"):
            client.manager("GetJobByName", "s", name)
    assert enter("/srv/other").manager("GetAllJobs") == []


def test_a_session_begins_with_the_first_call_and_not_with_the_connection(served: Served, roots: Roots) -> None:
    roots.next = BOX
    with served.client() as client:
        wait_until(lambda: served.do(served.service.has_clients, BOX), "the client")
        assert served.host.sessions == {}
        client.manager("GetAllJobs")
        assert list(served.host.sessions) == [BOX]


def test_the_daemon_hears_when_a_client_of_a_session_leaves(served: Served, enter: Callable[[str], Client]) -> None:
    enter("").connection.close()
    enter(BOX).connection.close()
    wait_until(lambda: served.host.told, "the end of the connection")
    assert served.host.told == [f"client left {BOX}"]
    assert not served.do(served.service.has_clients, BOX)


def test_a_session_s_jobs_are_started_and_stopped_there_alone(
    served: Served, enter: Callable[[str], Client]
) -> None:
    boxed = enter(BOX)
    instance = boxed.call(f"{IN_BOX}/web", JOB, "Start", "asb", [], True)
    assert instance == f"{IN_BOX}/web/_"
    assert boxed.call(f"{IN_BOX}/web", JOB, "GetAllInstances") == [instance]
    assert boxed.call(f"{IN_BOX}/web", JOB, "GetInstance", "as", []) == instance
    assert boxed.call(f"{IN_BOX}/web", JOB, "GetInstanceByName", "s", "") == instance
    assert boxed.get(instance, INSTANCE, "state") == ("s", "running")
    assert served.host.engine.classes["web"].instances == {}
    boxed.call(instance, INSTANCE, "Stop", "b", True)
    assert boxed.call(f"{IN_BOX}/web", JOB, "GetAllInstances") == []


def test_signals_go_to_the_session_that_they_are_from(enter: Callable[[str], Client]) -> None:
    ours, boxed, other = enter(""), enter(BOX), enter("/srv/other")
    boxed.signals.clear()
    boxed.manager("EmitEvent", "sasb", "in-box", [], True)
    boxed.call(f"{IN_BOX}/web", JOB, "Start", "asb", [], True)
    ours.manager("EmitEvent", "sasb", "outside", [], True)
    for client in (ours, boxed, other):  # and with the answer what was sent before it
        client.manager("GetAllJobs")
    assert (ROOT, "EventEmitted", ("in-box", [])) in boxed.signals
    assert (f"{IN_BOX}/web", "InstanceAdded", (f"{IN_BOX}/web/_",)) in boxed.signals
    assert (f"{IN_BOX}/web/_", "StateChanged", ("running",)) in boxed.signals
    assert ours.signals == [(ROOT, "EventEmitted", ("outside", []))]
    assert (ROOT, "EventEmitted", ("outside", [])) not in boxed.signals
    assert other.signals == []


def test_everybody_hears_that_the_daemon_is_back(served: Served, enter: Callable[[str], Client]) -> None:
    clients = [enter(""), enter(BOX)]
    served.do(served.service.announce_restart)
    for client in clients:
        client.manager("GetAllJobs")
        assert (ROOT, "Restarted", ()) in client.signals


@pytest.mark.parametrize(
    ("interface", "below", "member", "signature", "values"),
    [
        (JOB, "", "Start", "asb", ([], False)),
        (JOB, "", "Stop", "asb", ([], False)),
        (JOB, "", "Restart", "asb", ([], False)),
        (INSTANCE, "/_", "Start", "b", (False,)),
        (INSTANCE, "/_", "Stop", "b", (False,)),
        (INSTANCE, "/_", "Restart", "b", (False,)),
        (INSTANCE, "/_", "Reload", "", ()),
    ],
)
def test_the_jobs_of_another_session_can_be_looked_at_and_not_changed(
    enter: Callable[[str], Client], interface: str, below: str, member: str, signature: str, values: tuple[object, ...]
) -> None:
    clients = {job_path("web"): enter(""), f"{IN_BOX}/web": enter(BOX)}
    for path, client in clients.items():
        client.call(path, JOB, "Start", "asb", [], True)
    for path, client in zip(clients, reversed(clients.values()), strict=True):
        assert client.get(path, JOB, "name") == ("s", "web")
        assert client.call(path, JOB, "GetAllInstances") == [path + "/_"]
        assert client.get(path + "/_", INSTANCE, "state") == ("s", "running")
        why = refusal(client, path + below, interface, member, signature, *values)
        assert why.args == (UPSTART + "PermissionDenied", "You do not have permission to modify job: web")


@pytest.mark.parametrize("is_pid_1", [False, True])
def test_what_concerns_the_daemon_itself_has_no_effect_in_a_session(roots: Roots, *, is_pid_1: bool) -> None:
    roots.next = BOX
    calls: dict[str, tuple[Any, ...]] = {
        "NotifyDiskWriteable": ("",), "Restart": ("",), "EndSession": ("",), "SetEnv": ("assb", [], "A=1", True),
        "SetEnvList": ("asasb", [], ["A=1"], True), "UnsetEnv": ("ass", [], "PATH"),
        "UnsetEnvList": ("asas", [], ["PATH"]), "ResetEnv": ("as", []),
    }  # fmt: skip
    with serve(is_pid_1=is_pid_1) as served, served.client() as client:
        for member, arguments in calls.items():
            assert client.manager(member, *arguments) is None
        why = refusal(client, ROOT, MANAGER, "GetState")
        assert why.args == (UPSTART + "PermissionDenied", "You do not have permission to request state")
        assert served.host.logged(Priority.WARN) == [
            f"Ignoring {member} request from chroot session" for member in (*calls, "GetState")]
        assert (served.host.told, served.host.inputs, served.host.sessions[BOX].inputs) == ([], [], [])
        assert client.manager("ListEnv", "as", []) == ["PATH=/bin"]


def test_arguments_that_do_not_fit_are_told_of_where_the_call_has_no_effect(enter: Callable[[str], Client]) -> None:
    why = refusal(enter(BOX), ROOT, MANAGER, "SetEnv", "s", "A=1")
    assert why.args[1] == "Invalid arguments to SetEnv method"


def test_job_files_are_read_for_the_session_of_the_caller(served: Served, enter: Callable[[str], Client]) -> None:
    boxed = enter(BOX)
    mine = served.host.sessions[BOX]
    for host in (served.host, mine):
        host.pending_files.append(JobFiles("new", (Definition("new", SERVICE, "/new.conf"),)))
    assert boxed.manager("GetJobByName", "s", "new") == f"{IN_BOX}/new"
    boxed.manager("ReloadConfiguration")
    assert (mine.told, served.host.told) == (["reload configuration"], [])
    assert len(served.host.pending_files) == 1


def test_a_client_whose_root_cannot_be_told_is_not_let_in(served: Served, roots: Roots) -> None:
    roots.next = OSError(errno.EXDEV, "it is elsewhere")
    with pytest.raises((ConnectionError, EOFError, ValueError)):
        served.client()
    assert served.host.logged(Priority.WARN) == [
        "cannot let a private client in, as its root directory cannot be told: it is elsewhere"]
    roots.next = ""
    with served.client() as client:
        assert len(client.manager("GetAllJobs")) == 2


def test_without_the_option_nobody_is_asked_for_a_root(roots: Roots) -> None:
    roots.next = BOX
    with Served() as served, served.client() as client:
        served.do(served.host.define, "web")
        assert client.manager("GetAllJobs") == [job_path("web")]
        assert served.host.sessions == {}
