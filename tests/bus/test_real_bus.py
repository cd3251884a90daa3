"""On a real dbus-daemon: the name, callers, signals, loss and return; and what our policy file lets through."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from jeepney import MatchRule, message_bus

from support.bus_host import MANAGER, ROOT, Client, HostForTests, Refused, Served, job_path
from support.dbus_daemon import DBusDaemon
from support.waiting import wait_until
from upstartd.bus import interfaces, methods
from upstartd.bus.bus_keeper import BusKind
from upstartd.errors import FREEDESKTOP, BadAddress, BusError, OperationFailed
from upstartd.log import Priority

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOBODY = 65534
ACCESS_DENIED = FREEDESKTOP + "AccessDenied"
as_root = pytest.mark.skipif(os.getuid() != 0, reason="needs root, to be somebody else")


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[DBusDaemon]:
    with DBusDaemon(tmp_path) as bus:
        yield bus


@pytest.fixture
def served() -> Iterator[Served]:
    with Served() as served:
        served.do(served.host.define, "web")
        yield served


@contextmanager
def somebody_else() -> Iterator[None]:
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def let_everybody_in(directory: Path) -> None:
    """Let other users get at what is in a directory of the test's own."""
    for one in (directory, *directory.parents[:2]):
        one.chmod(0o755)


def is_back(served: Served) -> bool:
    on_bus: bool = served.do(lambda: served.service.is_on_bus)
    return on_bus


def subscribe(client: Client) -> None:
    client.connection.send_and_get_reply(
        message_bus.AddMatch(MatchRule(type="signal", sender="com.ubuntu.Upstart")), timeout=20)


# -- a session bus ------------------------------------------------------------------------------------------------


def test_the_daemon_serves_the_same_on_the_bus_and_on_its_socket(served: Served, bus: DBusDaemon) -> None:
    served.connect_bus(bus.address, BusKind.SESSION)
    with Client.on_bus(bus.address) as on_bus, served.client() as private:
        subscribe(on_bus)
        assert on_bus.manager("GetAllJobs") == private.manager("GetAllJobs") == [job_path("web")]
        on_bus.call(job_path("web"), MANAGER + ".Job", "Start", "asb", [], True)
        private.manager("EmitEvent", "sasb", "last", [], True)
        for client in (on_bus, private):
            while client.signals[-1:] != [(ROOT, "EventEmitted", ("last", []))]:
                client.receive()
        assert on_bus.signals[-len(private.signals) :] == private.signals
        assert len(private.signals) > 10


def test_an_open_file_comes_over_the_bus(served: Served, bus: DBusDaemon, tmp_path: Path) -> None:
    served.connect_bus(bus.address, BusKind.SESSION)
    path = tmp_path / "file"
    path.touch()
    with Client.on_bus(bus.address, enable_fds=True) as client, path.open() as file:
        client.call(ROOT, MANAGER, "EmitEventWithFile", "sasbh", "x", [], True, file)
    emitted: Any = served.host.inputs[-1]
    assert emitted.file >= 10
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(emitted.file)  # the event has finished


def test_a_name_that_somebody_has_is_not_waited_for(served: Served, bus: DBusDaemon) -> None:
    with Served() as other:
        other.connect_bus(bus.address, BusKind.NOTIFIED)
        with pytest.raises(OperationFailed, match=r"^Name already taken$"):
            served.connect_bus(bus.address, BusKind.NOTIFIED)
        assert not is_back(served)
        assert served.do(lambda: served.service._connections) == {}
    wait_until(lambda: not bus.has_name(), "the name to be free")
    served.connect_bus(bus.address, BusKind.NOTIFIED)
    assert bus.has_name()


def test_where_there_is_no_bus_is_told_and_a_later_attempt_may_succeed(
    served: Served, bus: DBusDaemon, tmp_path: Path
) -> None:
    with pytest.raises(BusError) as caught:
        served.connect_bus(f"unix:path={tmp_path}/none", BusKind.NOTIFIED)
    assert caught.value.dbus_name == FREEDESKTOP + "FileNotFound"
    assert caught.value.message == f"Failed to connect to socket {tmp_path}/none: No such file or directory"
    with pytest.raises(BadAddress):
        served.connect_bus("nonsense", BusKind.NOTIFIED)
    assert served.do(lambda: served.service.bus_address) is None
    served.connect_bus(bus.address, BusKind.NOTIFIED)
    assert served.do(lambda: served.service.bus_address) == bus.address
    served.connect_bus(f"unix:path={tmp_path}/none", BusKind.NOTIFIED)  # nothing is done: it is on a bus
    assert bus.has_name()


def test_a_bus_that_comes_late_is_gone_to(served: Served, tmp_path: Path) -> None:
    directory = tmp_path / "run" / "dbus"
    with pytest.raises(BusError):
        served.connect_bus(f"unix:path={directory}/bus", BusKind.SYSTEM, keep_trying=True)
    directory.mkdir(parents=True)
    with DBusDaemon(directory):
        wait_until(lambda: is_back(served), "the daemon to be on the bus")
        keeper = served.service._keeper
        assert keeper is not None
        assert served.do(lambda: keeper._watch) is None  # there is nothing more to wait for
    wait_until(lambda: not is_back(served), "the daemon to notice")
    assert served.host.logged(Priority.WARN) == ["Disconnected from D-Bus system bus"]
    shutil.rmtree(directory)
    directory.mkdir()
    with DBusDaemon(directory):
        wait_until(lambda: is_back(served), "the daemon to be back")


def test_a_bus_that_is_lost_is_come_back_to(served: Served, tmp_path: Path) -> None:
    with DBusDaemon(tmp_path) as bus:
        served.connect_bus(bus.address, BusKind.NOTIFIED)
        with served.client() as private:
            private.manager("GetAllJobs")
    with served.client() as private:  # is served meanwhile
        wait_until(lambda: not is_back(served), "the daemon to notice")
        assert private.manager("GetAllJobs") == [job_path("web")]
        with DBusDaemon(tmp_path) as bus:
            wait_until(lambda: is_back(served), "the daemon to be back")
            with Client.on_bus(bus.address) as client:
                assert client.manager("GetAllJobs") == [job_path("web")]
    assert "Disconnected from notified D-Bus bus" in served.host.logged(Priority.WARN)


def test_reconnecting_when_told_to_says_how_it_goes(served: Served, tmp_path: Path) -> None:
    with pytest.raises(BusError):
        served.connect_bus(f"unix:abstract={tmp_path}/bus", BusKind.SYSTEM, keep_trying=True)
    served.do(served.service.reconnect)
    wait_until(lambda: served.host.logged(Priority.WARN), "a warning")
    assert served.host.logged(Priority.WARN) == [
        f"Unable to connect to the D-Bus system bus: Failed to connect to socket {tmp_path}/bus: Connection refused"]
    assert "Reconnecting to D-Bus system bus" in served.host.logged(Priority.INFO)


def test_being_told_to_reconnect_while_an_attempt_is_under_way_says_how_that_one_goes(
    served: Served, tmp_path: Path
) -> None:
    with pytest.raises(BusError):
        served.connect_bus(f"unix:abstract={tmp_path}/bus", BusKind.SYSTEM, keep_trying=True)
    keeper = served.service._keeper
    assert keeper is not None

    def be_told_in_the_midst_of_it() -> None:
        keeper._attempt()
        served.service.reconnect()

    served.do(be_told_in_the_midst_of_it)
    wait_until(lambda: keeper._attempts is not None and keeper._attempts.done(), "the end of the attempts")
    assert served.host.logged(Priority.WARN) == [
        f"Unable to connect to the D-Bus system bus: Failed to connect to socket {tmp_path}/bus: Connection refused"]


def test_reconnecting_while_connected_does_nothing(served: Served, bus: DBusDaemon) -> None:
    served.connect_bus(bus.address, BusKind.SYSTEM)
    served.do(served.service.reconnect)
    assert is_back(served)
    assert "Reconnecting to D-Bus system bus" not in served.host.logged(Priority.INFO)


def test_after_leaving_nothing_brings_the_daemon_back(tmp_path: Path) -> None:
    with Served() as served, pytest.raises(BusError):
        served.connect_bus(f"unix:path={tmp_path}/bus", BusKind.SYSTEM, keep_trying=True)
    with DBusDaemon(tmp_path) as bus:
        assert not bus.has_name()


def test_set_env_reaches_what_the_bus_activates(served: Served, tmp_path: Path) -> None:
    services = tmp_path / "services"
    services.mkdir()
    (services / "org.example.Probe.service").write_text(
        f"[D-BUS Service]\nName=org.example.Probe\nExec=/bin/sh -c 'echo \"$COLOUR\" > {tmp_path}/seen; exit 1'\n")
    with DBusDaemon(tmp_path) as bus:
        configuration = tmp_path / "bus.conf"
        configuration.write_text(configuration.read_text().replace(
            "<auth>", f"<servicedir>{services}</servicedir><auth>"))
        with Client.on_bus(bus.address) as client:
            client.call_bus("ReloadConfig")
            served.connect_bus(bus.address, BusKind.NOTIFIED)
            client.manager("SetEnv", "assb", [], "COLOUR=a=b", True)
            with pytest.raises(Refused):
                client.call_bus("StartServiceByName", "su", "org.example.Probe", 0)
        wait_until((tmp_path / "seen").exists, "the service to have run")
        assert (tmp_path / "seen").read_text() == "a=b\n"


@as_root
def test_the_daemon_itself_asks_the_bus_who_calls(tmp_path: Path) -> None:
    with Served(HostForTests(only_root_may_change=True)) as served, DBusDaemon(tmp_path) as bus:
        let_everybody_in(tmp_path)
        served.connect_bus(bus.address, BusKind.SYSTEM)
        with Client.on_bus(bus.address) as root:
            assert root.manager("EmitEvent", "sasb", "x", [], True) is None
        with somebody_else():
            client = Client.on_bus(bus.address)
        with client:
            # The second call must not overtake the first, which waits for the bus to say who that is.
            serials = [client.send(ROOT, MANAGER, "EmitEvent", "sasb", "x", [], True),
                       client.send(ROOT, MANAGER, "GetAllJobs")]
            client.receive()
            while len(client.answers) < 2:
                client.receive()
            assert [serial for serial in client.answers if serial in serials] == serials
            with pytest.raises(Refused, match="You do not have permission to emit an event"):
                client.answer_to(serials[0])
            assert client.answer_to(serials[1]) == []


# -- the system bus -------------------------------------------------------------------------------------------------

# What everybody may call, by the specification.
FREE_ON_THE_BUS = {
    (interfaces.INTROSPECTABLE, "Introspect"), (interfaces.PROPERTIES, "Get"), (interfaces.PROPERTIES, "GetAll"),
    (interfaces.MANAGER, "GetJobByName"), (interfaces.MANAGER, "GetAllJobs"),
    (interfaces.JOB, "GetInstance"), (interfaces.JOB, "GetInstanceByName"), (interfaces.JOB, "GetAllInstances"),
}  # fmt: skip


@pytest.fixture
def system_bus(tmp_path: Path) -> Iterator[DBusDaemon]:
    let_everybody_in(tmp_path)
    with DBusDaemon(tmp_path, system=True) as bus:
        yield bus


@as_root
def test_the_policy_file_lets_others_look_and_nothing_else(system_bus: DBusDaemon) -> None:
    with Served(HostForTests(only_root_may_change=True)) as served:
        served.connect_bus(system_bus.address, BusKind.SYSTEM)
        with somebody_else():
            client = Client.on_bus(system_bus.address)
        allowed = set()
        with client:
            for interface, member in methods.HANDLERS:
                with pytest.raises(Refused) as caught:
                    client.call("/no/such/object", interface, member, "y", 0)
                if caught.value.args[0] != ACCESS_DENIED:
                    allowed.add((interface, member))
            with pytest.raises(Refused) as caught:
                client.call(ROOT, None, "GetAllJobs")
            assert caught.value.args[0] == ACCESS_DENIED
        # The daemon answers the Peer interface to everybody who gets as far; the bus lets only root.
        assert allowed == FREE_ON_THE_BUS


@as_root
def test_root_may_call_everything_on_the_system_bus(system_bus: DBusDaemon) -> None:
    with Served(HostForTests(only_root_may_change=True)) as served:
        served.connect_bus(system_bus.address, BusKind.SYSTEM)
        served.do(served.host.define, "web")
        with Client.on_bus(system_bus.address) as root:
            for interface, member in methods.HANDLERS:
                with pytest.raises(Refused) as caught:
                    root.call("/no/such/object", interface, member, "y", 0)
                assert caught.value.args[0] != ACCESS_DENIED
            assert root.call(job_path("web"), MANAGER + ".Job", "Start", "asb", [], True) == job_path("web") + "/_"


@as_root
def test_everybody_sees_signals_on_the_system_bus(system_bus: DBusDaemon) -> None:
    with Served(HostForTests(only_root_may_change=True)) as served:
        served.connect_bus(system_bus.address, BusKind.SYSTEM)
        with somebody_else():
            client = Client.on_bus(system_bus.address)
        with client:
            subscribe(client)
            served.do(served.service.announce_restart)
            while (ROOT, "Restarted", ()) not in client.signals:
                client.receive()


@as_root
def test_only_root_owns_the_name_on_the_system_bus(system_bus: DBusDaemon) -> None:
    with Served() as served, pytest.raises(BusError) as caught, somebody_else():
        served.connect_bus(system_bus.address, BusKind.SYSTEM)
    assert caught.value.dbus_name == ACCESS_DENIED
