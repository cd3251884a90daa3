"""The clients against a mock of the daemon on a private bus: odd daemons, older ones, and ones that go away."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from support.dbus_daemon import DBusDaemon
from support.library import connect_aio, connect_blocking
from support.mock_upstart import MockUpstart, why_no_mock
from support.waiting import LIMIT, wait_until
from upstartd_clients import ConnectionLost, GoalChanged, InstanceAdded, InstanceRemoved, JobAdded, StateChanged

if TYPE_CHECKING:
    from collections.abc import Iterator

DECLARED = {one.attrib["name"]: one for file in (Path(__file__).parents[2] / "dbus").glob("com.ubuntu.Upstart*.xml")
            for one in ET.parse(file).getroot().iter("interface")}

pytestmark = pytest.mark.skipif(bool(why_no_mock()), reason=why_no_mock())


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[DBusDaemon]:
    with DBusDaemon(tmp_path) as running:
        yield running


@pytest.fixture
def mock(tmp_path: Path, bus: DBusDaemon) -> Iterator[MockUpstart]:
    with MockUpstart(bus, tmp_path) as running:
        running.add_job("web")
        yield running


# -- the mock is a daemon ---------------------------------------------------------------------------------------------


def test_a_job_lives_its_life(mock: MockUpstart) -> None:
    mock.add_job("tty", instance=("s", "$TTY"))
    assert mock.run("initctl", "list") == (0, "tty stop/waiting\nweb stop/waiting\n", "")
    assert mock.run("start", "web") == (0, "web start/running, process 1000\n", "")
    assert mock.run("start", "web") == (1, "", "start: Job is already running: web\n")
    assert mock.run("start", "tty", "TTY=b") == (0, "tty (b) start/running, process 1001\n", "")
    assert mock.run("start", "tty") == (1, "", "start: Unknown parameter: TTY\n")
    assert mock.run("start", "tty", "frob") == (1, "", "start: Env must be KEY=VALUE pairs\n")
    assert mock.run("restart", "web") == (0, "web start/running, process 1002\n", "")
    assert mock.run("reload", "web") == (0, "", "")
    assert mock.run("stop", "web") == (0, "web stop/waiting\n", "")
    assert mock.run("stop", "web") == (1, "", "stop: Unknown instance: \n")
    assert mock.run("initctl", "list") == (0, "tty (b) start/running, process 1001\nweb stop/waiting\n", "")


def test_the_properties_of_a_job_are_what_a_test_says(mock: MockUpstart) -> None:
    mock.add_job("db", usage=("s", "db PORT=N"), emits=("as", ["db-up"]), description=("s", "the data"),
                 start_on=("aas", [["net-up"], ["runlevel", "[2345]"], ["/AND"]]))
    assert mock.run("initctl", "usage", "db") == (0, "Usage: db PORT=N\n", "")
    assert mock.run("initctl", "show-config", "db") == (
        0, "db\n  emits db-up\n  start on (net-up and runlevel [2345])\n", "")


def test_the_rest_of_the_daemon_is_there(mock: MockUpstart) -> None:
    for words, out in ((["version"], "init (upstart 1.13.2)\n"), (["list-env"], "PATH=/usr/bin:/bin\nTERM=linux\n"),
                       (["set-env", "A=b", "TERM"], ""), (["get-env", "A"], "b\n"), (["unset-env", "PATH"], ""),
                       (["list-env"], "A=b\nTERM=\n"), (["reset-env"], ""), (["get-env", "TERM"], "linux\n"),
                       (["log-priority", "debug"], ""), (["log-priority"], "debug\n"), (["emit", "net-up", "A=b"], ""),
                       (["reload-configuration"], ""), (["notify-disk-writeable"], "")):
        assert mock.run("initctl", *words) == (0, out, ""), words
    assert mock.run("initctl", "get-env", "A") == (1, "", "initctl: No such variable: A\n")
    assert mock.run("initctl", "emit", "") == (1, "", "initctl: Name may not be empty string\n")


def test_the_system_bus_will_do_as_well_and_so_will_parameters(tmp_path: Path) -> None:
    with DBusDaemon(tmp_path, system=True) as bus, MockUpstart(
            bus, tmp_path, system=True, version="init (upstart 1.5)", env=["LANG=C"]) as mock:
        assert mock.run("initctl", "version") == (0, "init (upstart 1.5)\n", "")
        assert mock.run("initctl", "list-env") == (0, "LANG=C\n", "")


def test_the_mock_has_the_interface_that_the_daemon_has(mock: MockUpstart) -> None:
    mock.add_instance("web")
    for path in ("/com/ubuntu/Upstart", "/com/ubuntu/Upstart/jobs/web", "/com/ubuntu/Upstart/jobs/web/_"):
        shown = {one.attrib["name"]: one for one in ET.fromstring(mock.introspect(path)).iter("interface")}
        (name,) = [name for name in shown if name in DECLARED]
        assert members(shown[name]) == members(DECLARED[name])


def members(interface: ET.Element) -> dict[str, Any]:
    """Its methods with their signatures, and its properties with their types."""
    found = {one.attrib["name"]: tuple("".join(argument.attrib["type"] for argument in one.iter("arg")
                                               if argument.attrib["direction"] == direction)
                                       for direction in ("in", "out")) for one in interface.iter("method")}
    return found | {one.attrib["name"]: one.attrib["type"] for one in interface.iter("property")}


# -- odd daemons ------------------------------------------------------------------------------------------------------


def test_a_job_that_is_not_there_is_unknown(mock: MockUpstart) -> None:
    for command in ("start", "stop", "restart", "reload", "status"):
        assert mock.run(command, "frob") == (1, "", f"{command}: Unknown job: frob\n")
    mock.call("RemoveJob", "s", "web")
    assert mock.run("status", "web") == (1, "", "status: Unknown job: web\n")


def test_a_job_that_goes_while_all_are_listed_is_left_out(mock: MockUpstart) -> None:
    mock.call("AddGhost", "s", "a-ghost")
    assert mock.run("initctl", "list") == (0, "web stop/waiting\n", "")
    assert mock.run("initctl", "show-config") == (0, "web\n", "")


def test_an_instance_that_goes_while_it_is_looked_at_is_at_rest(mock: MockUpstart) -> None:
    mock.add_instance("web")
    mock.fail("Job.GetInstance", "UnknownInstance", "Unknown instance: ")
    assert mock.run("status", "web") == (0, "web stop/waiting\n", "")


@pytest.mark.parametrize(("name", "message"), [
    ("JobFailed", "Job failed to start"),
    ("PermissionDenied", "You do not have permission to modify job: web"),
    ("org.freedesktop.DBus.Error.AccessDenied", "Rejected send message"),
    ("org.freedesktop.DBus.Error.Failed", "No space left on device"),
    ("com.example.Never.Heard.Of", "a novelty"),
])
def test_an_error_is_told_in_its_own_words(mock: MockUpstart, name: str, message: str) -> None:
    mock.fail("Job.Start", name, message)
    assert mock.run("start", "web") == (1, "", f"start: {message}\n")
    mock.fail("Job.Start", "", "")
    assert mock.run("start", "web")[0] == 0


def test_a_job_that_fails_and_an_event_that_fails_are_errors(mock: MockUpstart) -> None:
    mock.add_job("wrong", fails=("b", True))
    assert mock.run("start", "wrong") == (1, "", "start: Job failed to start\n")
    mock.fail("Manager.EmitEvent", "EventFailed", "Event failed")
    assert mock.run("initctl", "emit", "go") == (1, "", "initctl: Event failed\n")


def test_processes_are_named_as_the_daemon_has_them(mock: MockUpstart) -> None:
    mock.add_instance("web", "", "start", "post-start", ("post-start", 7), ("main", 8))
    assert mock.run("status", "web") == (0, "web start/post-start, (post-start) process 7\n\tmain process 8\n", "")
    mock.call("SetProcesses", "ssa(si)", "web", "", [("main", 8)])
    mock.call("SetState", "ssss", "web", "", "start", "running")
    assert mock.run("status", "web") == (0, "web start/running, process 8\n", "")


def test_a_slow_daemon_is_waited_for(mock: MockUpstart) -> None:
    mock.delay("Job.Start", 0.3)
    assert mock.run("start", "web") == (0, "web start/running, process 1000\n", "")


def test_properties_of_other_types_are_refused(mock: MockUpstart) -> None:
    mock.call("UpdateProperties", "sa{sv}", "com.ubuntu.Upstart0_6", {"version": ("i", 3)})
    assert mock.run("initctl", "version") == (
        1, "", 'initctl: cannot understand Upstart: property version of com.ubuntu.Upstart0_6 is of type "i"\n')


def test_without_a_daemon_the_bus_says_so(bus: DBusDaemon, tmp_path: Path) -> None:
    mock = MockUpstart(bus, tmp_path)
    assert mock.run("initctl", "list") == (1, "", 'initctl: Name "com.ubuntu.Upstart" does not exist\n')


# -- an older version -------------------------------------------------------------------------------------------------


@pytest.fixture
def older(tmp_path: Path, bus: DBusDaemon) -> Iterator[MockUpstart]:
    without = ["Instance.Reload", "Manager.GetEnv"]
    with MockUpstart(bus, tmp_path, version="init (upstart 0.6.5)", without=without) as mock:
        mock.add_job("web")
        yield mock


def test_where_the_daemon_cannot_reload_the_client_sends_the_signal(older: MockUpstart) -> None:
    with subprocess.Popen(["sleep", "1000"]) as process:
        try:
            older.add_instance("web", "", "start", "running", ("main", process.pid), ("post-start", 1))
            assert older.run("reload", "web") == (0, "", "")
            assert process.wait(LIMIT) == -signal.SIGHUP
        finally:
            process.kill()
    assert older.run("reload", "web") == (1, "", "reload: No such process\n")


def test_where_main_is_not_first_there_is_nothing_to_reload(older: MockUpstart) -> None:
    older.add_instance("web", "", "start", "pre-start", ("pre-start", 1))
    assert older.run("reload", "web") == (1, "", "reload: Not running\n")
    older.call("SetProcesses", "ssa(si)", "web", "", [])
    assert older.run("reload", "web") == (1, "", "reload: Not running\n")


def test_a_method_that_came_later_is_an_error(older: MockUpstart) -> None:
    code, out, err = older.run("initctl", "get-env", "PATH")
    assert (code, out) == (1, "")
    assert err.startswith("initctl: ")
    assert "GetEnv" in err


# -- what goes away ---------------------------------------------------------------------------------------------------


def test_a_bus_that_goes_away_in_the_middle_of_a_call_is_an_error(tmp_path: Path) -> None:
    with DBusDaemon(tmp_path) as bus, MockUpstart(bus, tmp_path) as mock:
        mock.add_job("web")
        mock.delay("Job.Start", 1000)
        with mock.begin("start", "web") as client:
            mock.wait_until_called("GetJobByName")
            bus.__exit__(None, None, None)
            out, err = client.communicate(timeout=LIMIT)
        assert (client.returncode, out) == (1, "")
        assert err.startswith("start: lost the connection to Upstart")
        bus.__enter__()


def test_a_daemon_that_dies_in_the_middle_of_a_call_is_an_error(mock: MockUpstart) -> None:
    mock.delay("Job.Start", 1000)
    with mock.begin("start", "web") as client:
        mock.wait_until_called("Start")
        mock.kill()
        out, err = client.communicate(timeout=LIMIT)
    assert (client.returncode, out) == (1, "")
    assert err.startswith("start: ")
    assert "without replying" in err


# -- the library ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("connect", [connect_blocking, connect_aio], ids=["blocking", "asyncio"])
def test_signals_of_the_mock_are_followed_and_its_end_is_noticed(mock: MockUpstart, connect: Any) -> None:
    async def scene() -> None:
        async with (asyncio.timeout(LIMIT), await connect("session", mock.environ) as upstart,
                    upstart.follow() as signals):
            mock.add_job("tty")
            mock.add_instance("tty", "1", "stop", "waiting")
            mock.call("SetState", "ssss", "tty", "1", "start", "running")
            mock.call("RemoveInstance", "ss", "tty", "1")
            expected = [JobAdded("tty"), InstanceAdded("tty", "1"), GoalChanged("tty", "1", "start"),
                        StateChanged("tty", "1", "running"), GoalChanged("tty", "1", "stop"),
                        StateChanged("tty", "1", "waiting"), InstanceRemoved("tty", "1")]
            assert [await signals.next() for _ in expected] == expected
            mock.kill()
            with pytest.raises(ConnectionLost, match="it has left the bus"):
                await signals.next()

    asyncio.run(scene())


@pytest.mark.parametrize("connect", [connect_blocking, connect_aio], ids=["blocking", "asyncio"])
def test_a_state_is_waited_for(mock: MockUpstart, connect: Any) -> None:
    async def scene() -> None:
        async with asyncio.timeout(LIMIT), await connect("session", mock.environ) as upstart:
            web = await upstart.job("web")
            mock.add_instance("web", "", "start", "starting")
            waiting = asyncio.create_task(web.wait_for("running"))
            await asyncio.to_thread(wait_until, lambda: signals_are_followed(mock), "the follower")
            await asyncio.to_thread(mock.call, "SetState", "ssss", "web", "", "start", "running")
            await waiting

    asyncio.run(scene())


def signals_are_followed(mock: MockUpstart) -> bool:
    """Whether somebody has looked at the instance, as wait_for() does once it follows."""
    return "GetAll /com/ubuntu/Upstart/jobs/web/_" in mock.log()

