"""shutdown: its command line, its countdown, who is warned, and the one that runs (clients specification, 3)."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import signal
import struct
import threading
import time
import tty
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.scripted_upstart import Fault, ScriptedUpstart
from support.sysv_machine import SysvMachine
from upstartd import utmp
from upstartd_clients import connect
from upstartd_clients.broadcast import tell_everybody
from upstartd_clients.errors import LocalError, UsageError
from upstartd_clients.machine import Machine
from upstartd_clients.shutdown import call_off, only_one, seconds_until, signals_held, warnings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path


class Terminal:
    """A terminal at which somebody is logged in, as far as the machine's records say."""

    def __init__(self, machine: SysvMachine, kind: int = utmp.USER_PROCESS) -> None:
        self.ours, self.theirs = pty.openpty()
        os.set_blocking(self.ours, False)
        tty.setraw(self.theirs)  # as editors do: the message must not depend on what the terminal makes of it
        self.path = os.ttyname(self.theirs)
        machine.devices = "/dev"
        line = os.path.relpath(self.path, machine.devices)
        utmp.append(machine.utmp, utmp.record(kind, 1.0, pid=1, line=line.encode(), user=b"ann"))

    def said(self) -> str:
        """What stands there since it was looked at last."""
        try:
            return os.read(self.ours, 65536).decode()
        except BlockingIOError:
            return ""

    def close(self) -> None:
        os.close(self.ours)
        os.close(self.theirs)


@pytest.fixture
def terminal(machine: SysvMachine) -> Iterator[Terminal]:
    logged_in = Terminal(machine)
    yield logged_in
    logged_in.close()


# -- the command line -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("words", "why"), [
    ("", "time expected"), ("-r", "time expected"), ("-k -t 3", "time expected"),
    ("soon", "illegal time value"), ("+", "illegal time value"), ("++1", "illegal time value"),
    ("1.5", "illegal time value"), ("+1234567890", "illegal time value"), ("-g soon", "illegal time value"),
    ("24:00", "illegal hour value"), (":30", "illegal hour value"), ("x:30", "illegal hour value"),
    ("+1:30", "illegal hour value"), ("-r 12:60", "illegal minute value"), ("12:", "illegal minute value"),
    ("1:2:3", "illegal minute value"), ("-g", "missing argument: -g"), ("-x now", "invalid option: -x"),
])
def test_a_wrong_command_line_comes_before_the_question_who_may(tmp_path: Path, words: str, why: str) -> None:
    assert SysvMachine(tmp_path, root=False).run("shutdown", *words.split()) == (
        1, "", f"shutdown: {why}\nTry `shutdown --help' for more information.\n")


@pytest.mark.parametrize("words", ["now", "-r +5", "-k now", "-c"])
def test_only_root_may(tmp_path: Path, words: str) -> None:
    assert SysvMachine(tmp_path, root=False).run("shutdown", *words.split()) == (
        1, "", "shutdown: Need to be root\n")


@pytest.mark.parametrize(("words", "level", "env", "kind"), [
    ("now", "1", [], "maintenance"),
    ("-r now", "6", [], "reboot"),
    ("-h now", "0", [], "power off"),
    ("-H now", "0", ["INIT_HALT=HALT"], "halt"),
    ("-P now", "0", ["INIT_HALT=POWEROFF"], "power off"),
    ("-h -H now", "0", ["INIT_HALT=HALT"], "halt"),
    ("-H -h now", "0", ["INIT_HALT=HALT"], "halt"),
    ("-h -P now", "0", ["INIT_HALT=POWEROFF"], "power off"),
    ("-hP now", "0", ["INIT_HALT=POWEROFF"], "power off"),
    ("-P -r now", "6", [], "reboot"),
    ("-r -H now", "0", ["INIT_HALT=HALT"], "halt"),
    ("-g now -r", "6", [], "reboot"),
    ("-afFyn -i 5 -t 10 now", "1", [], "maintenance"),
])
def test_the_runlevel_is_changed_when_the_time_has_come(
        machine: SysvMachine, daemon: ScriptedUpstart, terminal: Terminal, words: str, level: str, env: list[str],
        kind: str) -> None:
    assert machine.run("shutdown", *words.split()) == (0, "", "")
    assert daemon.calls == [("/com/ubuntu/Upstart", "EmitEvent", (
        "runlevel", [f"RUNLEVEL={level}", "PREVLEVEL=N", *env], False))]
    assert f"The system is going down for {kind} NOW!\r\n" in terminal.said()
    assert machine.records(machine.utmp)[-1] == (utmp.RUN_LEVEL, "runlevel", ord(level))
    assert "sync" not in machine.done


# -- when -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "seconds"), [("now", 0), ("0", 0), ("+0", 0), ("5", 300), ("+90", 5400)])
def test_a_time_may_be_a_number_of_minutes(text: str, seconds: float) -> None:
    assert seconds_until(text, 1_700_000_000.5) == seconds


@pytest.mark.parametrize(("text", "seconds"), [
    ("12:31", 19.75), ("12:30", 0), ("13:00", 1759.75), ("0:0", 41359.75), ("12:29", 24 * 3600 - 100.25),
])
def test_a_time_of_the_day_is_the_next_one(monkeypatch: pytest.MonkeyPatch, text: str, seconds: float) -> None:
    now = time.mktime((2023, 11, 14, 12, 30, 40, 0, 0, -1)) + 0.25
    assert seconds_until(text, now) == seconds


@given(st.integers(0, 23), st.integers(0, 59), st.integers(0, 2**31))
def test_the_time_of_the_day_has_come_when_the_wait_is_over(hour: int, minute: int, now: int) -> None:
    seconds = seconds_until(f"{hour}:{minute:02}", now)
    assert 0 <= seconds <= 24 * 3600
    before, then = time.localtime(now), time.localtime(now + seconds)
    if before.tm_gmtoff == then.tm_gmtoff:
        assert (then.tm_hour, then.tm_min) == (hour, minute)


def test_an_absurd_time_is_an_error() -> None:
    with pytest.raises(UsageError):
        seconds_until("+" + "9" * 5000, 0)


def test_warnings_come_at_once_and_then_the_more_often_the_nearer_it_is() -> None:
    assert list(warnings(0)) == []
    assert list(warnings(60)) == [(60, 1)]
    assert list(warnings(90)) == [(90, 2), (60, 1)]
    assert [minutes for _, minutes in warnings(60 * 300)] == [
        300, 240, 180, 150, 120, 90, 60, 45, 30, 15, 9, 8, 7, 6, 5, 4, 3, 2, 1]
    assert [minutes for _, minutes in warnings(60 * 10)] == [10, 9, 8, 7, 6, 5, 4, 3, 2, 1]


def test_everybody_is_warned_in_time_and_nobody_else_can_log_in_near_the_end(
        machine: SysvMachine, daemon: ScriptedUpstart, terminal: Terminal) -> None:
    seen: list[tuple[str, bool]] = []
    wait = machine.wait

    def look(seconds: float, signals: Iterable[int]) -> bool:
        said = terminal.said()
        nologin = machine.directory / "nologin"
        if said:
            assert "Broadcast message from root@" in said
            # The text is the same in both places.
            assert not nologin.exists() or nologin.read_text().replace("\n", "\r\n") in said
            seen.append((said.partition("The system is going down for reboot ")[2].splitlines()[0], nologin.exists()))
        assert daemon.calls == []
        return wait(seconds, signals)

    machine.wait = look  # type: ignore[method-assign]
    assert machine.run("shutdown", "-r", "+20", "Sorry,", "folks") == (0, "", "")
    assert seen == [("in 20 minutes!", False), ("in 15 minutes!", False),
                    *((f"in {minutes} minutes!", minutes <= 5) for minutes in range(9, 1, -1)), ("in 1 minute!", True)]
    assert "for reboot NOW!\r\nSorry, folks\r\n" in terminal.said()
    assert sum(machine.waits) == 20 * 60
    assert not (machine.directory / "nologin").exists()
    assert daemon.calls[0].arguments[1] == ["RUNLEVEL=6", "PREVLEVEL=N"]


def test_only_warning_changes_nothing(machine: SysvMachine, daemon: ScriptedUpstart, terminal: Terminal) -> None:
    assert machine.run("shutdown", "-k", "-r", "+1") == (0, "", "")
    said = terminal.said()
    assert "for reboot in 1 minute!" in said
    assert "for reboot NOW!" in said
    assert daemon.calls == []
    assert not (machine.directory / "nologin").exists()
    assert [record[0] for record in machine.records(machine.utmp)] == [utmp.USER_PROCESS]


@pytest.mark.parametrize(("after", "warned"), [(0, 1), (60, 2), (120, 3)])
def test_one_that_is_called_off_ends_well_and_lets_people_log_in_again(
        machine: SysvMachine, daemon: ScriptedUpstart, after: int, warned: int) -> None:
    machine.called_off_after = after
    assert machine.run("shutdown", "-r", "+3") == (0, "Shutdown cancelled\n", "")
    assert len(machine.waits) == warned
    assert daemon.calls == []
    assert not (machine.directory / "nologin").exists()
    assert machine.run("shutdown", "--quiet", "-r", "+3").out == ""


# -- beside another init ----------------------------------------------------------------------------------------------


def test_beside_another_init_nobody_is_warned_and_only_the_event_is_emitted(
        tmp_path: Path, daemon: ScriptedUpstart) -> None:
    machine = SysvMachine(tmp_path, ours=False)
    utmp.append(machine.utmp, utmp.record(utmp.USER_PROCESS, 1.0, line=b"tty7"))
    (tmp_path / "tty7").touch()
    assert machine.run("shutdown", "-h", "+6", "message") == (0, "", "")
    assert daemon.calls[0].arguments[1] == ["RUNLEVEL=0", "PREVLEVEL=N"]
    assert sum(machine.waits) == 360
    assert (tmp_path / "tty7").read_bytes() == b""
    assert [record[0] for record in machine.records(machine.utmp)] == [utmp.USER_PROCESS]
    assert machine.records(machine.wtmp) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tty7", "upstartd-shutdown.pid", "utmp", "wtmp"]
    assert machine.run("shutdown", "now", terminal=True).err == (
        "Process 1 is runit: only the jobs of upstartd are told of runlevel 1.\n")


def test_beside_another_init_there_is_nothing_to_warn_of(tmp_path: Path) -> None:
    machine = SysvMachine(tmp_path, ours=False)
    assert machine.run("shutdown", "-k", "now") == (
        1, "", "shutdown: cannot warn: process 1 is runit, which has its own program for that\n")


@pytest.mark.usefixtures("_nobody")
@pytest.mark.parametrize("name", ["initctl", "dev-initctl"])
def test_where_no_daemon_answers_a_system_v_init_is_asked(machine: SysvMachine, name: str) -> None:
    os.mkfifo(machine.directory / name)
    reader = os.open(machine.directory / name, os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert machine.run("shutdown", "-P", "now") == (0, "", "")
        data = os.read(reader, 4096)
    finally:
        os.close(reader)
    requests = [(*head, more.rstrip(b"\0")) for *head, more in struct.iter_unpack("=iiii368s", data)]
    assert requests == [(0x03091969, 6, 0, 0, b"INIT_HALT=POWEROFF"), (0x03091969, 1, ord("0"), 0, b"")]


@pytest.mark.usefixtures("_nobody")
@pytest.mark.parametrize("ours", [True, False])
def test_a_request_needs_somebody_who_reads_it_and_is_never_made_of_another_init(tmp_path: Path, ours: bool) -> None:
    machine = SysvMachine(tmp_path, ours=ours)
    os.mkfifo(tmp_path / "initctl")
    readers = [] if ours else [os.open(tmp_path / "initctl", os.O_RDONLY | os.O_NONBLOCK)]
    code, out, err = machine.run("shutdown", "now")
    assert (code, out) == (1, "")
    assert err.startswith("shutdown: Unable to connect to Upstart: ")
    for reader in readers:
        assert os.read(reader, 4096) == b""
        os.close(reader)


def test_a_daemon_that_refuses_is_an_error(machine: SysvMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedUpstart({"EmitEvent": Fault("com.ubuntu.Upstart0_6.Error.PermissionDenied", "No")}) as daemon:
        monkeypatch.setattr(connect, "PRIVATE_ADDRESS", daemon.address)
        assert machine.run("shutdown", "now") == (1, "", "shutdown: No\n")


# -- who is told ------------------------------------------------------------------------------------------------------


def test_every_user_s_terminal_is_written_to_and_only_once(machine: SysvMachine, terminal: Terminal) -> None:
    twice = utmp.records(machine.utmp)[0]
    utmp.append(machine.utmp, twice)
    bob, gone = Terminal(machine), Terminal(machine, utmp.DEAD_PROCESS)
    tell_everybody("Good night!", machine, "root@here")
    assert (terminal.said().count("Good night!\r\n"), bob.said().count("Good night!\r\n")) == (1, 1)
    assert gone.said() == ""
    for one in (bob, gone):
        one.close()


def test_what_is_no_terminal_below_the_devices_is_left_alone(machine: SysvMachine, terminal: Terminal) -> None:
    machine.devices = str(machine.directory / "dev")
    os.mkdir(machine.devices)
    outside, plain = machine.directory / "outside", machine.directory / "dev" / "plain"
    for path in (outside, plain):
        path.write_text("as it was")
    (machine.directory / "dev" / "link").symlink_to(terminal.path)
    for line in (":0", "", "no-such", "plain", "link", "../outside", str(outside), "../../../../dev/pts/ptmx"):
        utmp.append(machine.utmp, utmp.record(utmp.USER_PROCESS, 1.0, line=line.encode()[:32]))
    tell_everybody("Good night!", machine, "root@here")
    assert terminal.said() == ""
    assert (outside.read_text(), plain.read_text()) == ("as it was", "as it was")


def test_a_terminal_that_is_stopped_does_not_stop_us(machine: SysvMachine, terminal: Terminal) -> None:
    bob = Terminal(machine)
    os.set_blocking(terminal.theirs, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(terminal.theirs, b"x" * 4096)
    tell_everybody("Good night!", machine, "root@here")
    assert "Good night!" in bob.said()
    bob.close()


def test_without_records_nobody_is_told(machine: SysvMachine) -> None:
    os.unlink(machine.utmp)
    tell_everybody("Good night!", machine, "root@here")


# -- only one at a time -----------------------------------------------------------------------------------------------


def test_a_second_one_is_refused_while_the_first_runs(machine: SysvMachine, daemon: ScriptedUpstart) -> None:
    with only_one(machine):
        assert machine.run("shutdown", "now") == (1, "", "shutdown: Another shutdown is already running\n")
        assert (machine.directory / "shutdown.pid").read_text() == f"{os.getpid()}\n"
    assert daemon.calls == []
    assert machine.run("shutdown", "now").code == 0


def test_a_pid_that_was_left_behind_means_nothing_whoever_has_it_now(
        machine: SysvMachine, daemon: ScriptedUpstart) -> None:
    (machine.directory / "shutdown.pid").write_text(f"{os.getppid()}\n")
    assert machine.run("shutdown", "-c") == (1, "", "shutdown: Shutdown is not running\n")
    assert machine.run("shutdown", "now") == (0, "", "")


def test_where_none_was_ever_running_there_is_no_pid(machine: SysvMachine) -> None:
    assert machine.run("shutdown", "-c", "message") == (1, "", "shutdown: Cannot find pid of running shutdown\n")


@pytest.mark.parametrize("text", ["", "nonsense\n", "0\n", "1\n", "-5\n"])
def test_a_pid_file_without_a_pid_ends_nobody(
        machine: SysvMachine, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(os, "kill", lambda *_: pytest.fail("somebody was signalled"))
    path = machine.directory / "shutdown.pid"
    path.write_text(text)
    with path.open() as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        assert machine.run("shutdown", "-c") == (1, "", "shutdown: Cannot find pid of running shutdown\n")


def test_a_pid_file_that_cannot_be_written_is_named(machine: SysvMachine) -> None:
    machine.pid_file = "/nonexistent/shutdown.pid"
    assert machine.run("shutdown", "now") == (
        1, "", "shutdown: cannot write /nonexistent/shutdown.pid: No such file or directory\n")


def test_calling_it_off_ends_the_wait_and_tells_everybody_why(machine: SysvMachine, terminal: Terminal) -> None:
    waited: list[bool] = []
    with signals_held(), only_one(machine):
        call_off("We stay", machine)
        waited.append(Machine().wait(60, (signal.SIGINT,)))
    assert waited == [True]
    assert "We stay\r\n" in terminal.said()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT, signal.SIGTERM])
def test_each_of_the_signals_calls_it_off_and_a_hang_up_does_not(number: int) -> None:
    with signals_held():
        signal.raise_signal(signal.SIGHUP)
        assert not Machine().wait(0, (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM))
        signal.pthread_kill(threading.get_ident(), number)
        assert Machine().wait(60, (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM))
    assert signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN


def test_only_root_s_files_are_followed(machine: SysvMachine) -> None:
    victim = machine.directory / "victim"
    victim.write_text("as it was")
    (machine.directory / "shutdown.pid").symlink_to(victim)
    with pytest.raises(LocalError):
        call_off("", machine)
    assert machine.run("shutdown", "now").err.startswith("shutdown: cannot write ")
    assert victim.read_text() == "as it was"
