"""A daemon that executes itself anew keeps its jobs, their processes, and everything that was under way."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from jeepney import MessageType

from support.bus_host import MANAGER, ROOT, Client
from support.daemon import PROGRAMS, Daemon, after
from support.waiting import wait_until
from upstartd.proc import control_group_trees as trees
from upstartd.proc.kernel import LinuxKernel

if TYPE_CHECKING:
    from collections.abc import Iterator

@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with Daemon(tmp_path, "--user", "--verbose") as one:
        yield one


BLOCKED = "init: D-Bus blocked objects not being serialised yet"


def connect(daemon: Daemon) -> Client:
    return Client.on_socket(daemon.environ["UPSTART_SESSION"].partition("abstract=")[2])


def restart(daemon: Daemon) -> None:
    """Call Restart, which is never answered, and wait for the new daemon's socket."""
    with connect(daemon) as client:
        client.send(ROOT, MANAGER, "Restart")
        assert_cut_off(client)

    def answers() -> bool:
        try:
            with connect(daemon) as client:
                client.manager("GetAllJobs")
        except OSError:  # what was the old daemon's socket a moment ago
            return False
        return True

    wait_until(answers, "the new daemon")


def assert_cut_off(client: Client) -> None:
    """The connection ends without an answer; signals may come before."""
    try:
        while True:
            assert client.receive().header.message_type is MessageType.signal
    except (ConnectionError, EOFError):
        return


def state(daemon: Daemon) -> dict[str, object]:
    with connect(daemon) as client:
        found: dict[str, object] = json.loads(client.manager("GetState"))
        return found


def pid_of(status: str) -> int:
    return int(status.rsplit(maxsplit=1)[1])


def test_a_service_keeps_its_process_and_is_stopped_as_ever(daemon: Daemon) -> None:
    daemon.write_job("web", "exec sleep 1000\n")
    before = daemon.run("start", "web")
    restart(daemon)
    assert daemon.run("status", "web") == before
    assert daemon.process.poll() is None
    assert daemon.run("stop", "web") == "web stop/waiting\n"
    wait_until(lambda: not os.path.exists(f"/proc/{pid_of(before)}"), "the end of the process")


def test_the_control_group_of_a_job_goes_with_its_process_all_the_same(daemon: Daemon) -> None:
    places = [tree.place for tree in trees.find(LinuxKernel()) if "memory" in tree.controllers and not tree.is_unified]
    if not places or not os.access(places[0], os.W_OK):
        pytest.skip("no memory controller of cgroup version 1 that can be written to")
    daemon.write_job("web", "cgroup memory\nexec sleep 1000\n")
    group = Path(places[0], "upstart", "web")
    pid = pid_of(daemon.run("start", "web"))
    restart(daemon)
    assert Path(group, "cgroup.procs").read_text() == f"{pid}\n"
    daemon.run("stop", "web")
    wait_until(lambda: not group.exists(), "the group to go")


def test_what_is_done_is_told_step_by_step(daemon: Daemon) -> None:
    restart(daemon)
    told = daemon.log().splitlines()
    first = told.index("Restarting")
    assert told[first : first + 4] == [
        "Restarting", "Performing stateful re-exec", f"Passing state from PID {daemon.process.pid} to parent",
        "Stateful re-exec completed",
    ]  # fmt: skip


WITHOUT_A_STATE = """
from upstartd.engine import snapshot

def fail(engine):
    raise RuntimeError("on purpose")

snapshot.take = fail
"""


def test_a_state_that_cannot_be_had_leaves_the_jobs_to_themselves(tmp_path: Path) -> None:
    with Daemon(tmp_path, "--user", through=after(WITHOUT_A_STATE)) as daemon:
        daemon.write_job("web", "exec sleep 1000\n")
        pid = pid_of(daemon.run("start", "web"))
        restart(daemon)
        assert daemon.run("status", "web") == "web stop/waiting\n"
        told = daemon.log().splitlines()
        assert told[0] == "init: Failed to generate serialisation data - reverting to stateless re-exec"
        assert "RuntimeError: on purpose" in told
        assert told[-1] == "init: Stateful re-exec supported but stateless re-exec requested"
        os.kill(pid, signal.SIGKILL)  # It runs on.


def test_a_process_that_ends_later_is_respawned_in_its_old_window(daemon: Daemon) -> None:
    daemon.write_job("web", "respawn\nrespawn limit 2 600\nexec sleep 1000\n")
    pid = pid_of(daemon.run("start", "web"))
    for _ in range(2):
        os.kill(pid, signal.SIGKILL)
        pid = wait_until(partial(new_main, daemon, pid), "the respawned process")
        restart(daemon)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: daemon.run("status", "web") == "web stop/waiting\n", "the end of the job")
    assert "web respawning too fast, stopped" in daemon.log()


def new_main(daemon: Daemon, old: int) -> int | None:
    status = daemon.run("status", "web")
    return pid_of(status) if "start/running, process" in status and pid_of(status) != old else None


def test_a_kill_timeout_that_runs_goes_on(daemon: Daemon) -> None:
    daemon.write_job("stubborn", f"kill timeout 2\nscript\n  trap '' TERM\n  echo > {daemon.scratch}/ready\n"
                                 "  while :; do sleep 0.1; done\nend script\n")
    pid = pid_of(daemon.run("start", "stubborn"))
    wait_until((daemon.scratch / "ready").exists, "the trap to be set")
    daemon.run("stop", "--no-wait", "stubborn")
    restart(daemon)
    assert daemon.run("status", "stubborn") == f"stubborn stop/killed, process {pid}\n"
    wait_until(lambda: daemon.run("status", "stubborn") == "stubborn stop/waiting\n", "the end of the job")
    assert f"Sending KILL signal to stubborn main process ({pid})" in daemon.log()


def test_what_a_lost_main_process_has_left_behind_is_killed_all_the_same(daemon: Daemon) -> None:
    # `expect` follows the first child, and what stays behind is the program itself.
    file = daemon.scratch / "pid"
    daemon.write_job("lost", f"expect fork\nkill timeout 2\nscript\n  trap '' TERM\n  echo $$ > {file}\n  (exit 0)\n"
                             "  while :; do sleep 0.1; done\nend script\n")
    daemon.run("start", "lost")
    pid = int(file.read_text())
    wait_until(lambda: f"Sending TERM signal to lost leftover process ({pid})" in daemon.log(), "the loss to be seen")
    restart(daemon)
    wait_until(lambda: not os.path.exists(f"/proc/{pid}"), "the end of what was left")
    assert f"Sending KILL signal to lost leftover process ({pid})" in daemon.log()


def test_an_expect_in_progress_still_finds_its_daemon(daemon: Daemon) -> None:
    go = daemon.scratch / "go"
    daemon.write_job("forks", f"expect fork\nscript\n  until [ -e {go} ]; do :; done\n  sleep 1000 &\nend script\n")
    daemon.run("start", "--no-wait", "forks")
    wait_until(lambda: "start/spawned" in daemon.run("status", "forks"), "main to be awaited")
    first = pid_of(daemon.run("status", "forks"))
    restart(daemon)
    go.touch()
    wait_until(lambda: "start/running" in daemon.run("status", "forks"), "the fork to be followed")
    main = pid_of(daemon.run("status", "forks"))
    assert main != first
    daemon.run("stop", "forks")
    wait_until(lambda: not os.path.exists(f"/proc/{main}"), "the end of the followed process")


def test_what_waiting_callers_asked_for_goes_on_though_they_are_cut_off(daemon: Daemon) -> None:
    go = daemon.scratch / "go"
    daemon.write_job("slow", f"start on begin\ntask\nscript\n  until [ -e {go} ]; do sleep 0.05; done\nend script\n")
    daemon.write_job("after", "start on stopped slow RESULT=ok\nexec sleep 1000\n")
    with connect(daemon) as waiting:
        waiting.send(ROOT, MANAGER, "EmitEvent", "sasb", "begin", [], True)
        wait_until(lambda: "start/running" in daemon.run("status", "slow"), "the task")
        restart(daemon)
        assert_cut_off(waiting)
    assert daemon.log().splitlines().count(BLOCKED) == 1
    go.touch()
    wait_until(lambda: "start/running" in daemon.run("status", "after"), "the job that waits for the task")


def test_half_a_condition_the_environment_and_the_log_priority_are_kept(daemon: Daemon) -> None:
    daemon.write_job("pair", "start on left and right\nexec sleep 1000\n")
    daemon.run("initctl", "emit", "--no-wait", "left")
    daemon.run("initctl", "set-env", "--global", "KEPT=yes")
    daemon.run("initctl", "log-priority", "warn")
    restart(daemon)
    assert daemon.run("initctl", "log-priority") == "warn\n"
    assert daemon.run("initctl", "get-env", "--global", "KEPT") == "yes\n"
    daemon.run("initctl", "emit", "right")
    assert "start/running" in daemon.run("status", "pair")


def test_the_session_file_and_address_stay(daemon: Daemon) -> None:
    before = daemon.run("initctl", "list-sessions")
    restart(daemon)
    assert before == f"{daemon.process.pid} {daemon.environ['UPSTART_SESSION']}\n"
    assert daemon.run("initctl", "list-sessions") == before


def test_a_job_whose_file_went_in_the_gap_is_gone_and_one_that_came_is_there(daemon: Daemon) -> None:
    old = daemon.write_job("old", "exec sleep 1000\n")
    new_text = "exec sleep 1000\n"
    daemon.run("status", "old")
    os.kill(daemon.process.pid, signal.SIGSTOP)
    old.unlink()
    daemon.write_job("new", new_text)
    os.kill(daemon.process.pid, signal.SIGCONT)
    restart(daemon)
    assert daemon.run("initctl", "list") == "new stop/waiting\n"


def test_it_can_be_done_again_and_again(daemon: Daemon) -> None:
    daemon.write_job("web", "exec sleep 1000\n")
    before = daemon.run("start", "web")
    restart(daemon)
    files = len(os.listdir(f"/proc/{daemon.process.pid}/fd"))
    for _ in range(5):
        restart(daemon)
    assert daemon.run("status", "web") == before
    # One more may be a connection whose end the daemon has yet to notice; a file left open would be five more.
    assert len(os.listdir(f"/proc/{daemon.process.pid}/fd")) <= files + 1


def test_the_words_of_a_re_execution_that_was_asked_for_by_hand_are_not_taken_for_its_own(tmp_path: Path) -> None:
    with Daemon(tmp_path, "--user", "--restart") as daemon:
        daemon.write_job("web", "exec sleep 1000\n")
        before = daemon.run("start", "web")
        for _ in range(2):
            restart(daemon)
        assert daemon.run("status", "web") == before


# Executes its arguments with these variables besides its own, whatever they are like.
WITH_VARIABLES = """
import os, sys
from upstartd.execve import execve
own = [name + b"=" + value for name, value in os.environb.items()]
words = [os.fsencode(word) for word in sys.argv[2:]]
execve(words[0], words, own + [*eval(sys.argv[1])])
"""


def given(entries: str) -> tuple[str, ...]:
    """`entries` is an expression, as one that is long might be no argument any more."""
    return (sys.executable, "-c", WITH_VARIABLES, entries)


def assert_it_goes_on_as_it_was(daemon: Daemon, pid: int) -> None:
    """That of a daemon with the job `web`, which is respawned, whose main process is `pid`."""
    blocked = next(line for line in Path(f"/proc/{daemon.process.pid}/status").read_text().splitlines()
                   if line.startswith("SigBlk"))
    assert int(blocked.split()[1], 16) == 0
    files, most = resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE)
    assert files == most
    os.kill(pid, signal.SIGKILL)
    pid = wait_until(partial(new_main, daemon, pid), "the respawned process")
    assert set(os.listdir(f"/proc/{pid}/fd")) == {"0", "1", "2"}


def restart_in_vain(daemon: Daemon) -> None:
    with connect(daemon) as client:
        client.send(ROOT, MANAGER, "Restart")  # is never answered, but what comes next is
        client.manager("GetAllJobs")


def test_where_it_cannot_be_executed_anew_the_daemon_goes_on_as_it_was(tmp_path: Path) -> None:
    # execve(2) takes at least 128 KiB, and a quarter of what the stack may be.
    large = "[b'LARGE=' + b'x' * 100_000] * 2"  # of which a trial has one
    with Daemon(tmp_path, "--user", through=given(large)) as daemon:
        daemon.write_job("web", "respawn\nexec sleep 1000\n")
        pid = pid_of(daemon.run("start", "web"))
        stack = resource.prlimit(daemon.process.pid, resource.RLIMIT_STACK)
        resource.prlimit(daemon.process.pid, resource.RLIMIT_STACK, (512 * 1024, stack[1]))
        restart_in_vain(daemon)
        resource.prlimit(daemon.process.pid, resource.RLIMIT_STACK, stack)
        assert f"init: Failed to re-execute {PROGRAMS}/upstartd: Argument list too long\n" in daemon.log()
        assert_it_goes_on_as_it_was(daemon, pid)
        before = daemon.run("status", "web")
        restart(daemon)
        assert daemon.run("status", "web") == before


@pytest.mark.parametrize(("text", "reason"), [
    (None, "No such file or directory"),
    ("", "a trial of it fails"),
    ("import upstartd.of_the_next_version\n", "ModuleNotFoundError: No module named 'upstartd.of_the_next_version'"),
])
def test_a_program_that_has_gone_or_is_half_installed_is_not_executed(
    tmp_path: Path, text: str | None, reason: str
) -> None:
    program = tmp_path / "upstartd"
    shutil.copy(PROGRAMS / "upstartd", program)
    instead = ("sh", "-c", f'shift; exec {program} "$@"', "sh")
    with Daemon(tmp_path, "--user", "--verbose", through=instead) as daemon:
        daemon.write_job("web", "respawn\nexec sleep 1000\n")
        pid = pid_of(daemon.run("start", "web"))
        program.unlink()
        if text is not None:
            program.write_text(text)
        restart_in_vain(daemon)
        assert f"init: Failed to re-execute {program}: {reason}\n" in daemon.log()
        assert_it_goes_on_as_it_was(daemon, pid)
        before = daemon.run("status", "web")
        shutil.copy(PROGRAMS / "upstartd", program)
        restart(daemon)
        assert daemon.run("status", "web") == before


def test_every_variable_that_it_was_given_is_handed_on_whatever_it_is_like(tmp_path: Path) -> None:
    odd = (b"=x", b"NO EQUALS", b"TWICE=1", b"TWICE=2", b"BYTES=\xff\xc3\xb6", b"", b"\xc3\xb6=\xe2\x82\xac")
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    with Daemon(tmp_path, "--user", environ=ascii_only, through=given(repr(odd))) as daemon:
        daemon.write_job("web", "exec sleep 1000\n")
        environ = Path(f"/proc/{daemon.process.pid}/environ").read_bytes()
        assert environ.endswith(b"\0".join(odd) + b"\0")
        before = daemon.run("start", "web")
        restart(daemon)
        assert daemon.run("status", "web") == before
        assert Path(f"/proc/{daemon.process.pid}/environ").read_bytes() == environ


def test_the_state_has_the_keys_that_readers_know(daemon: Daemon) -> None:
    daemon.write_job("web", "exec sleep 1000\n")
    daemon.run("start", "web")
    found = state(daemon)
    known = {"sessions", "events", "control_bus_address", "job_environment", "job_classes", "conf_sources"}
    assert known <= found.keys()
    assert found["job_classes"][0]["jobs"][0]["state"] == "JOB_RUNNING"  # type: ignore[index]  # it is JSON


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 99}', '{"version": 1}'])
def test_a_state_that_cannot_be_read_is_said_and_kept_and_the_daemon_starts_afresh(tmp_path: Path, text: str) -> None:
    file = tmp_path / "state"
    file.write_text(text)
    descriptor = os.open(file, os.O_RDONLY)
    os.set_inheritable(descriptor, True)
    daemon = Daemon(tmp_path, "--user", "--restart", "--state-fd", str(descriptor))
    daemon.write_job("web", "exec true\n")
    daemon.pass_files = (descriptor,)
    with daemon:
        os.close(descriptor)
        assert "init: Failed to read serialisation data - reverting to stateless re-exec\n" in daemon.log()
        assert daemon.run("status", "web") == "web stop/waiting\n"
        assert (tmp_path / "log" / "upstart.state").read_text() == text


@pytest.mark.parametrize("number", [2147483647, 500])
def test_a_state_from_a_descriptor_that_is_not_open_is_one_that_cannot_be_read(tmp_path: Path, number: int) -> None:
    with Daemon(tmp_path, "--user", "--restart", "--state-fd", str(number)) as daemon:
        assert "init: Failed to read serialisation data - reverting to stateless re-exec\n" in daemon.log()


def test_a_state_whose_end_does_not_come_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.write(writing, b'{"version"\xff')
    wait = {"UPSTART_STATE_WAIT_SECS": "0"}
    daemon = Daemon(tmp_path, "--user", "--restart", "--state-fd", str(reading), environ=wait)
    daemon.write_job("web", "exec true\n")
    daemon.pass_files = (reading,)
    try:
        with daemon:
            assert "init: cannot take over the state: its end has not come in 0 seconds\n" in daemon.log()
            assert daemon.run("status", "web") == "web stop/waiting\n"
            assert (tmp_path / "log" / "upstart.state").read_bytes() == b'{"version"\xff'
    finally:
        os.close(reading)
        os.close(writing)
