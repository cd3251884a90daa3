"""The System V tools as programs: beside another init with a real daemon, and where upstartd is process 1.

The former is this machine, and that is why each program is called by its whole path: nothing may ever look for another
one of that name. The latter is a machine in namespaces of its own.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.daemon import PROGRAMS, Daemon
from support.machine import Machine
from support.namespaces import network_namespace
from support.terminal import run_in_terminal
from support.waiting import LIMIT, wait_until
from upstartd.utmp import LAYOUT

if TYPE_CHECKING:
    from collections.abc import Iterator

TOOLS = ("runlevel", "telinit", "shutdown", "reboot", "halt", "poweroff")
# Writes down the variables of each runlevel event that it is started by.
NOTE = "start on runlevel\ntask\nexec sh -c 'echo $RUNLEVEL $PREVLEVEL $INIT_HALT $A >> {place}'\n"
# shutdown(8) with another pid file than this machine's.
SHUTDOWN = """
import os, sys
from upstartd_clients import shutdown
from upstartd_clients.machine import Machine
from upstartd_clients.output import run_program
Machine.pid_file = Machine.pid_file_beside = sys.argv[1]
sys.exit(run_program(["shutdown", *sys.argv[2:]], lambda words, output: shutdown.run(words, os.environ, output)))
"""


def tool(name: str) -> str:
    """The whole path of our program of that name, which must be there."""
    path = PROGRAMS / name
    assert path.is_file(), f"{path} is missing: install the project again"
    return str(path)


def test_every_tool_is_a_program_of_ours() -> None:
    for name in TOOLS:
        done = subprocess.run([tool(name), "--version"], capture_output=True, text=True, check=True)
        assert done.stdout.splitlines()[0] == f"{name} (upstart 1.13.2)"


# -- beside another init ----------------------------------------------------------------------------------------------


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """A system instance, alone in its network, whose socket is where the tools look."""
    with network_namespace(), Daemon(tmp_path, "--no-startup-event") as running:
        running.environ["RUNLEVEL"] = "2"  # else it is what this machine's records say
        running.write_job("note", NOTE.format(place=running.scratch / "noted"))
        yield running


def noted(daemon: Daemon, count: int = 1) -> list[str]:
    """What the job has noted, once it has been started so often."""
    path = daemon.scratch / "noted"
    wait_until(lambda: path.exists() and path.read_text().count("\n") >= count, f"{count} runlevels")
    return path.read_text().splitlines()


def shutdown(daemon: Daemon, *words: str) -> list[str]:
    """A command line that runs shutdown."""
    return [sys.executable, "-c", SHUTDOWN, str(daemon.scratch / "shutdown.pid"), *words]


def test_telinit_tells_the_jobs_of_a_runlevel(daemon: Daemon) -> None:
    assert daemon.run(tool("telinit"), "-e", "A=x y", "3") == ""
    assert noted(daemon) == ["3 2 x y"]
    code, shown = run_in_terminal([tool("telinit"), "4"], daemon.environ)
    assert code == 0
    assert shown.startswith("Process 1 is ")
    assert noted(daemon, 2)[1] == "4 2"


def test_telinit_q_has_job_files_read_that_nobody_could_notice(daemon: Daemon) -> None:
    (daemon.init / "linked.conf").symlink_to(daemon.init / "note.conf")
    assert "linked" not in daemon.run("initctl", "list")
    assert daemon.run(tool("telinit"), "q") == ""
    assert "linked" in daemon.run("initctl", "list")


def test_telinit_u_comes_back_when_the_new_daemon_answers(daemon: Daemon) -> None:
    daemon.write_job("web", "exec sleep 1000\n")
    before = daemon.run("start", "web")
    assert daemon.run(tool("telinit"), "U") == ""
    assert daemon.run("status", "web") == before


@pytest.mark.parametrize(("program", "line"), [
    ("reboot", "6 2"), ("halt", "0 2 HALT"), ("poweroff", "0 2 POWEROFF")])
def test_the_programs_that_end_a_machine_tell_the_jobs_only(daemon: Daemon, program: str, line: str) -> None:
    # In this process, as else the pid file would be this machine's.
    code = SHUTDOWN.replace("from upstartd_clients import shutdown", "from upstartd_clients import reboot").replace(
        "shutdown.run(words", f"reboot.run({program!r}, words").replace('"shutdown"', repr(program))
    done = daemon.try_run(sys.executable, "-c", code, str(daemon.scratch / "pid"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert noted(daemon) == [line]


@pytest.mark.parametrize("program", ["reboot", "halt", "poweroff"])
def test_a_machine_that_is_another_init_s_is_not_ended(daemon: Daemon, program: str) -> None:
    init = Path("/proc/1/comm").read_text().strip()
    daemon.environ["RUNLEVEL"] = "0"
    for words in ([], ["-f"], ["-w"], ["--force", "--no-sync"]):
        done = daemon.try_run(tool(program), *words)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith(f"{program}: cannot ")
        assert done.stderr.endswith(f": process 1 is {init}, which has its own program for that\n")


def test_a_shutdown_that_waits_can_be_called_off_and_there_is_only_one(daemon: Daemon) -> None:
    pid_file = daemon.scratch / "shutdown.pid"
    with subprocess.Popen(shutdown(daemon, "-r", "+5"), env=daemon.environ, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as waiting:
        wait_until(lambda: pid_file.exists() and pid_file.read_text() == f"{waiting.pid}\n", "the pid file")
        done = daemon.try_run(*shutdown(daemon, "now"))
        assert (done.returncode, done.stderr) == (1, "shutdown: Another shutdown is already running\n")
        os.kill(waiting.pid, signal.SIGHUP)  # its terminal goes away
        done = daemon.try_run(*shutdown(daemon, "-c"))
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        assert waiting.communicate(timeout=LIMIT) == ("Shutdown cancelled\n", "")
        assert waiting.returncode == 0
    done = daemon.try_run(*shutdown(daemon, "-c"))
    assert (done.returncode, done.stderr) == (1, "shutdown: Shutdown is not running\n")
    assert daemon.run(*shutdown(daemon, "now")) == ""
    assert noted(daemon) == ["1 2"]


# -- where upstartd is process 1 --------------------------------------------------------------------------------------


def records(machine: Machine, path: str) -> list[tuple[int, bytes, int]]:
    """The kind, user and pid of the records in a file of the machine."""
    machine.run("cp", path, "/srv/records")
    data = (machine.disk / "srv" / "records").read_bytes()
    return [(kind, user.rstrip(b"\0"), pid) for kind, pid, _, _, user, *_ in LAYOUT.iter_unpack(data)]


def test_as_process_1_runlevels_are_recorded(tmp_path: Path) -> None:
    with Machine(tmp_path, "container", base=False, jobs={"note": NOTE.format(place="/srv/noted")}) as machine:
        machine.boot()
        machine.wait_for(lambda: machine.try_run("initctl", "version").returncode == 0, "the daemon")
        machine.run("sh", "-c", "mkdir -p /var/run /var/log; : > /var/run/utmp; : > /var/log/wtmp")
        done = machine.try_run(tool("runlevel"))
        assert (done.returncode, done.stdout) == (1, "unknown\n")
        machine.run(tool("telinit"), "2")
        assert machine.run(tool("runlevel")) == "N 2\n"
        machine.run(tool("telinit"), "s")
        assert machine.run(tool("runlevel")) == "2 S\n"
        machine.wait_for(lambda: len(machine.lines("noted")) == 2, "the events")
        assert machine.lines("noted") == ["2 N", "S 2"]
        boot, two, single = (2, b"reboot", 0), (1, b"runlevel", ord("2")), (1, b"runlevel", ord("S") + 256 * ord("2"))
        assert records(machine, "/var/run/utmp") == [boot, single]
        assert records(machine, "/var/log/wtmp") == [boot, two, single]
        machine.run(tool("reboot"), "-w")
        assert records(machine, "/var/log/wtmp") == [boot, two, single, (1, b"shutdown", 0)]


@pytest.mark.parametrize("command", [("shutdown", "-r", "now"), ("poweroff",)])
def test_as_process_1_a_shutdown_brings_the_machine_down_in_order(tmp_path: Path, command: tuple[str, ...]) -> None:
    web = ("start on startup\nstop on runlevel [06]\nexec sleep 1000\n"
           "post-stop exec sh -c 'echo $RUNLEVEL >> /srv/web'\n")
    with Machine(tmp_path, "container", jobs={"web": web}) as machine:
        machine.boot()
        machine.wait_for_job("web", "start/running")
        done = machine.try_run(tool(command[0]), *command[1:])
        # The machine may be down before its command has come to its own end.
        assert done.returncode in (0, -signal.SIGTERM, -signal.SIGKILL)
        assert done.stdout == ""
        machine.wait()
        assert machine.lines("web") == ["6" if "-r" in command else "0"]
