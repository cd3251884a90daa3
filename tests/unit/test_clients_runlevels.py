"""runlevel, telinit, reboot, halt and poweroff, on a machine that is a scratch directory (clients specification, 3)."""

from __future__ import annotations

import ctypes
import errno
import io
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from support.scripted_upstart import HANG_UP, Answer, Called, Fault, Ran, Reply, ScriptedUpstart
from support.sysv_machine import RELEASE, SysvMachine
from upstartd import utmp
from upstartd.machine import Reboot
from upstartd_clients import connect, processes, runlevel, telinit
from upstartd_clients.errors import LocalError
from upstartd_clients.machine import Machine
from upstartd_clients.output import Output, guarded

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NOTHING = Reply()
BOOT, LEVEL = utmp.BOOT_TIME, utmp.RUN_LEVEL


def pid(now: str, before: str = "") -> int:
    """The pid of the record that tells of a runlevel, and of the one before."""
    return ord(now) + (256 * ord(before) if before else 0)


def note(path: str, kind: int, number: int, user: bytes = b"runlevel") -> None:
    utmp.append(path, utmp.record(kind, 1.0, pid=number, line=b"~", identifier=b"~~", user=user, host=RELEASE))


# -- runlevel ---------------------------------------------------------------------------------------------------------


def run_runlevel(*arguments: str, **environ: str) -> Ran:
    out, err = io.StringIO(), io.StringIO()
    code = guarded(lambda output: runlevel.run(arguments, environ, output), Output("runlevel", out, err))
    return Ran(code, out.getvalue(), err.getvalue())


@pytest.mark.parametrize(("environ", "code", "said"), [
    ({"RUNLEVEL": "2", "PREVLEVEL": "S"}, 0, "S 2"), ({"RUNLEVEL": "3"}, 0, "N 3"),
    ({"RUNLEVEL": "3", "PREVLEVEL": ""}, 0, "N 3"), ({"RUNLEVEL": "23", "PREVLEVEL": "45"}, 0, "4 2"),
    ({"RUNLEVEL": "", "PREVLEVEL": "5"}, 1, "unknown"), ({"RUNLEVEL": "N", "PREVLEVEL": "5"}, 1, "unknown"),
])
def test_inside_a_job_the_runlevel_is_what_the_environment_says(environ: dict[str, str], code: int, said: str) -> None:
    assert run_runlevel(**environ) == (code, f"{said}\n", "")
    assert run_runlevel("/nonexistent", **environ) == (code, f"{said}\n", "")
    assert run_runlevel("--quiet", **environ) == (code, "", "")


@pytest.mark.parametrize(("records", "said"), [
    ([], "unknown"),
    ([(BOOT, 0)], "unknown"),
    ([(LEVEL, pid("2"))], "N 2"),
    ([(LEVEL, pid("2")), (BOOT, 0), (LEVEL, pid("3", "2"))], "2 3"),
    ([(LEVEL, pid("3", "2")), (LEVEL, 0)], "unknown"),  # the system went down
    ([(LEVEL, pid("S", "1"))], "1 S"),
    ([(LEVEL, 256 * 50)], "unknown"),
    ([(LEVEL, -1)], "unknown"),
    ([(LEVEL, pid("2", "\x07"))], "N 2"),
    ([(utmp.USER_PROCESS, pid("2"))], "unknown"),
])
def test_else_the_newest_record_counts(machine: SysvMachine, records: list[tuple[int, int]], said: str) -> None:
    for kind, number in records:
        note(machine.utmp, kind, number)
    assert run_runlevel(machine.utmp) == (1 if said == "unknown" else 0, f"{said}\n", "")


def test_a_file_that_cannot_be_read_is_named() -> None:
    assert run_runlevel("/nonexistent/utmp") == (1, "", "runlevel:/nonexistent/utmp: No such file or directory\n")


# -- telinit ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("words", "why"), [
    ([], "missing runlevel"), (["7"], "illegal runlevel: 7"), (["23"], "illegal runlevel: 23"),
    ([""], "illegal runlevel: "), (["N"], "illegal runlevel: N"), (["-x", "2"], "invalid option: -x"),
    (["2", "-e"], "missing argument: -e"),
])
def test_a_wrong_command_line_comes_before_the_question_who_may(
        tmp_path: Path, words: list[str], why: str) -> None:
    said = SysvMachine(tmp_path, root=False).run("telinit", *words)
    assert said == (1, "", f"telinit: {why}\nTry `telinit --help' for more information.\n")


@pytest.mark.parametrize("level", ["0", "S", "q", "u"])
def test_only_root_may(tmp_path: Path, level: str) -> None:
    assert SysvMachine(tmp_path, root=False).run("telinit", level) == (1, "", "telinit: Need to be root\n")


@pytest.mark.parametrize(("word", "level"), [*((digit, digit) for digit in "0123456"), ("S", "S"), ("s", "S")])
def test_a_runlevel_is_an_event_and_a_record(
        machine: SysvMachine, daemon: ScriptedUpstart, word: str, level: str) -> None:
    note(machine.utmp, LEVEL, pid("4"))
    note(machine.wtmp, LEVEL, pid("4"))
    assert machine.run("telinit", "-t", "3", word, "-e", "A=1", "-eB=2") == (0, "", "")
    assert daemon.calls == [("/com/ubuntu/Upstart", "EmitEvent", (
        "runlevel", [f"RUNLEVEL={level}", "PREVLEVEL=4", "A=1", "B=2"], False))]
    assert machine.records(machine.utmp) == [(LEVEL, "runlevel", pid(level, "4"))]
    assert machine.records(machine.wtmp) == [(LEVEL, "runlevel", pid("4")), (LEVEL, "runlevel", pid(level, "4"))]
    assert machine.done == []


def test_the_level_before_is_the_environment_s_inside_a_job(machine: SysvMachine, daemon: ScriptedUpstart) -> None:
    note(machine.utmp, LEVEL, pid("4"))
    machine.run("telinit", "2", environ={"RUNLEVEL": "S", "PREVLEVEL": "N"})
    assert daemon.calls[0].arguments[1] == ["RUNLEVEL=2", "PREVLEVEL=S"]
    # Where that is not what a file says, there was another boot in between, as far as it knows.
    assert machine.records(machine.utmp) == [(LEVEL, "runlevel", pid("2", "S")), (BOOT, "reboot", 0)]


@pytest.mark.parametrize("before", [[], [(LEVEL, 0)], [(LEVEL, pid("2")), (LEVEL, 0)]])
def test_after_a_boot_the_first_runlevel_has_a_record_of_the_boot_before_it(
        machine: SysvMachine, daemon: ScriptedUpstart, before: list[tuple[int, int]]) -> None:
    for kind, number in before:
        note(machine.wtmp, kind, number)
    assert machine.run("telinit", "2") == (0, "", "")
    assert daemon.calls[0].arguments[1] == ["RUNLEVEL=2", "PREVLEVEL=N"]
    boot = [(BOOT, "reboot", 0), (LEVEL, "runlevel", pid("2"))]
    assert machine.records(machine.utmp) == boot
    assert machine.records(machine.wtmp)[len(before):] == boot


def test_a_system_without_records_has_runlevels_all_the_same(tmp_path: Path, daemon: ScriptedUpstart) -> None:
    machine = SysvMachine(tmp_path)
    for path in (machine.utmp, machine.wtmp):
        (tmp_path / path).unlink()
    assert machine.run("telinit", "2") == (0, "", "")
    assert daemon.calls[0].arguments[1] == ["RUNLEVEL=2", "PREVLEVEL=N"]
    assert list(tmp_path.iterdir()) == []


def test_beside_another_init_only_the_event_is_emitted(tmp_path: Path, daemon: ScriptedUpstart) -> None:
    machine = SysvMachine(tmp_path, ours=False)
    assert machine.run("telinit", "0") == (0, "", "")
    assert machine.run("telinit", "6", terminal=True).err == (
        "Process 1 is runit: only the jobs of upstartd are told of runlevel 6.\n")
    assert [call.arguments[1][0] for call in daemon.calls] == ["RUNLEVEL=0", "RUNLEVEL=6"]
    assert (machine.records(machine.utmp), machine.records(machine.wtmp), machine.done) == ([], [], [])


@pytest.mark.usefixtures("_nobody")
def test_where_no_daemon_answers_nothing_is_written(machine: SysvMachine) -> None:
    for level in ("2", "q", "u"):
        code, out, err = machine.run("telinit", level)
        assert (code, out) == (1, "")
        assert err.startswith("telinit: Unable to connect to Upstart: ")
    assert machine.records(machine.utmp) == []


def test_a_daemon_that_refuses_is_an_error(machine: SysvMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedUpstart({"EmitEvent": Fault("org.freedesktop.DBus.Error.InvalidArgs", "Env must be KEY=VALUE pairs")}
                         ) as daemon:
        monkeypatch.setattr(connect, "PRIVATE_ADDRESS", daemon.address)
        assert machine.run("telinit", "-e", "A", "2") == (1, "", "telinit: Env must be KEY=VALUE pairs\n")


@pytest.mark.parametrize("level", ["q", "Q"])
def test_q_has_the_job_files_read_again(machine: SysvMachine, daemon: ScriptedUpstart, level: str) -> None:
    assert machine.run("telinit", level) == (0, "", "")
    assert [call.member for call in daemon.calls] == ["ReloadConfiguration"]
    assert machine.records(machine.utmp) == []


def test_u_waits_until_the_daemon_answers_again(machine: SysvMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[Answer] = [HANG_UP, Fault("org.freedesktop.DBus.Error.NoReply", "gone"),
                             Reply("v", (("s", "init (upstart 1.13.2)"),))]

    def version(_: Called) -> Answer:
        return answers.pop(0)

    with ScriptedUpstart({"Restart": HANG_UP, "Get": version}) as daemon:
        monkeypatch.setattr(connect, "PRIVATE_ADDRESS", daemon.address)
        assert machine.run("telinit", "u") == (0, "", "")
    assert [call.member for call in daemon.calls] == ["Restart", "Get", "Get", "Get"]


def test_u_gives_up_at_last(machine: SysvMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telinit, "ANSWER_SECONDS", -1)  # as if the time were over already
    with ScriptedUpstart({"Restart": HANG_UP, "Get": HANG_UP}) as daemon:
        monkeypatch.setattr(connect, "PRIVATE_ADDRESS", daemon.address)
        assert machine.run("telinit", "u") == (
            1, "", "telinit: lost the connection to Upstart before it answered\n")
    denied = Fault("com.ubuntu.Upstart0_6.Error.PermissionDenied", "You do not have permission to restart Upstart")
    with ScriptedUpstart({"Restart": denied}) as daemon:
        monkeypatch.setattr(connect, "PRIVATE_ADDRESS", daemon.address)
        assert machine.run("telinit", "u").err == "telinit: You do not have permission to restart Upstart\n"


# -- reboot, halt, poweroff -------------------------------------------------------------------------------------------

PROGRAMS = ["reboot", "halt", "poweroff"]
DOWN = {"RUNLEVEL": "0"}


@pytest.mark.parametrize("program", PROGRAMS)
def test_only_root_may_end_the_machine(tmp_path: Path, program: str) -> None:
    machine = SysvMachine(tmp_path, root=False)
    for words in ([], ["-f"], ["-w"]):
        assert machine.run(program, *words, environ=DOWN) == (1, "", f"{program}: Need to be root\n")
    assert machine.done == []


@pytest.mark.parametrize(("words", "level", "more"), [
    (["reboot"], "6", []), (["reboot", "-d", "-i", "-h", "-p", "x"], "6", []),
    (["halt"], "0", ["INIT_HALT=HALT"]), (["halt", "-n"], "0", ["INIT_HALT=HALT"]),
    (["halt", "-p"], "0", ["INIT_HALT=POWEROFF"]), (["poweroff"], "0", ["INIT_HALT=POWEROFF"]),
])
def test_a_system_that_is_up_is_shut_down_first(
        machine: SysvMachine, daemon: ScriptedUpstart, words: list[str], level: str, more: list[str]) -> None:
    note(machine.utmp, LEVEL, pid("2"))
    assert machine.run(*words) == (0, "", "")
    assert [call.arguments[1] for call in daemon.calls] == [[f"RUNLEVEL={level}", "PREVLEVEL=2", *more]]
    assert "sync" not in machine.done
    assert machine.waits == machine.done  # and nothing else was done


@pytest.mark.parametrize(("words", "how"), [
    (["reboot"], Reboot.RESTART), (["halt"], Reboot.HALT), (["halt", "-p"], Reboot.POWER_OFF),
    (["poweroff"], Reboot.POWER_OFF), (["poweroff", "-p"], Reboot.POWER_OFF),
])
@pytest.mark.parametrize("level", ["0", "6"])
def test_a_system_that_is_down_is_ended(machine: SysvMachine, words: list[str], how: Reboot, level: str) -> None:
    for path in (machine.utmp, machine.wtmp):
        note(path, LEVEL, pid(level, "2"))
    assert machine.run(*words) == (0, "", "")
    assert machine.done == ["sync", (how, "")]
    assert machine.records(machine.utmp) == [(LEVEL, "shutdown", 0)]
    assert machine.records(machine.wtmp)[1:] == [(LEVEL, "shutdown", 0)]
    assert run_runlevel(machine.utmp).out == "unknown\n"


@pytest.mark.parametrize(("words", "done"), [
    (["reboot", "-f"], ["sync", (Reboot.RESTART, "")]),
    (["reboot", "--force", "--no-sync"], [(Reboot.RESTART, "")]),
    (["reboot", "-fn", "bootloader"], [(Reboot.RESTART, "bootloader")]),
    (["halt", "-f", "ignored"], ["sync", (Reboot.HALT, "")]),
    (["halt", "-f", "-p", "ignored"], ["sync", (Reboot.POWER_OFF, "")]),
    (["poweroff", "-nf"], [(Reboot.POWER_OFF, "")]),
])
def test_with_force_the_machine_is_ended_at_once(
        machine: SysvMachine, words: list[str], done: list[object]) -> None:
    note(machine.utmp, LEVEL, pid("2"))
    assert machine.run(*words) == (0, "", "")
    assert machine.done == done
    assert machine.records(machine.wtmp) == [(LEVEL, "shutdown", 0)]


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_record_alone_goes_to_wtmp_and_nothing_ends(machine: SysvMachine, program: str) -> None:
    note(machine.utmp, LEVEL, pid("2"))
    assert machine.run(program, "-w") == (0, "", "")
    assert machine.done == []
    assert machine.records(machine.wtmp) == [(LEVEL, "shutdown", 0)]
    assert machine.records(machine.utmp) == [(LEVEL, "runlevel", pid("2"))]


@pytest.mark.parametrize(("program", "what"), [
    ("reboot", "reboot the machine"), ("halt", "halt the machine"), ("poweroff", "power the machine off")])
@pytest.mark.parametrize("words", [["-f"], ["-fn"], ["-w"], []])
def test_a_machine_whose_process_1_is_another_init_is_never_ended(
        tmp_path: Path, program: str, what: str, words: list[str]) -> None:
    machine = SysvMachine(tmp_path, ours=False)
    # As in the last job of a shutdown, of which only our jobs were told.
    assert machine.run(program, *words, environ=DOWN) == (
        1, "", f"{program}: cannot {what}: process 1 is runit, which has its own program for that\n")
    assert machine.done == []
    assert machine.records(machine.wtmp) == []


@pytest.mark.parametrize("program", PROGRAMS)
def test_beside_another_init_only_jobs_are_told_that_the_system_goes_down(
        tmp_path: Path, daemon: ScriptedUpstart, program: str) -> None:
    machine = SysvMachine(tmp_path, ours=False)
    note(machine.utmp, LEVEL, pid("5"))
    assert machine.run(program) == (0, "", "")
    assert [call.member for call in daemon.calls] == ["EmitEvent"]
    assert machine.records(machine.utmp) == [(LEVEL, "runlevel", pid("5"))]
    assert machine.waits == machine.done


def test_an_end_that_the_kernel_refuses_is_an_error(machine: SysvMachine) -> None:
    machine.fails = "Operation not permitted"
    assert machine.run("halt", "-f") == (1, "", "halt: cannot halt the machine: Operation not permitted\n")


@pytest.mark.usefixtures("_nobody")
def test_a_shutdown_that_fails_is_an_error_and_nothing_ends(machine: SysvMachine) -> None:
    code, out, err = machine.run("reboot")
    assert (code, out) == (1, "")
    assert err.startswith("shutdown: Unable to connect to Upstart: ")
    assert machine.waits == machine.done


# -- the real machine, as far as that is safe -------------------------------------------------------------------------


class Library:
    """A C library whose calls only write down what they were called with."""

    def __init__(self) -> None:
        self.answer = 0
        self.calls: list[list[Any]] = []

    def __getattr__(self, name: str) -> Callable[..., int]:
        def call(*arguments: Any) -> int:
            self.calls.append([name, *(argument.value for argument in arguments)])
            return self.answer

        return call


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Library:
    found = Library()
    monkeypatch.setattr(ctypes, "CDLL", lambda *_args, **_more: found)
    return found


def test_the_call_that_ends_a_machine_asks_itself_whose_machine_it_is(
        library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "first_is_upstartd", lambda _proc: False)
    monkeypatch.setattr(processes, "names", lambda _proc: {1: "runit"})
    for argument in ("", "bootloader"):
        with pytest.raises(LocalError, match="process 1 is runit, not upstartd"):
            Machine().reboot(Reboot.RESTART, argument)
    assert library.calls == []


def test_the_kernel_is_told_what_the_manual_says(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "first_is_upstartd", lambda _proc: True)
    monkeypatch.setattr("os.uname", lambda: SimpleNamespace(machine="x86_64"))
    for how, number in ((Reboot.RESTART, 0x01234567), (Reboot.HALT, 0xCDEF0123), (Reboot.POWER_OFF, 0x4321FEDC)):
        Machine().reboot(how)
        assert library.calls.pop() == ["reboot", number]
    Machine().reboot(Reboot.RESTART, "bootloader")
    assert library.calls.pop() == ["syscall", 169, 0xFEE1DEAD, 672274793, 0xA1B2C3D4, b"bootloader"]
    library.answer = -1
    ctypes.set_errno(errno.EPERM)
    for argument in ("", "bootloader"):
        with pytest.raises(LocalError, match="Operation not permitted"):
            Machine().reboot(Reboot.RESTART, argument)


def test_root_is_who_has_the_effective_uid_0(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    Machine().must_be_root()
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(LocalError, match="Need to be root"):
        Machine().must_be_root()


def test_this_machine_is_not_ours_to_end() -> None:
    """Whoever runs these tests has another init."""
    assert not Machine().is_ours()
    assert Machine().init() not in ("", "upstartd")
