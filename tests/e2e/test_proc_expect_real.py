"""Following real programs until they are ready, and past their ends; signals and process groups."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.supervising import Supervised
from support.waiting import wait_until
from upstartd.conf.model import Expect, ProcessName
from upstartd.engine.inputs import MainFollowed, MainReady, ProcessEnded

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def supervised() -> Iterator[Supervised]:
    with Supervised() as running:
        yield running


def state(pid: int) -> str | None:
    """The letter for what a process does; None for one that is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return None


def wait_for_state(pid: int, *letters: str | None) -> None:
    wait_until(lambda: state(pid) in letters, f"{pid} to be {letters}")


def wait_for_words(path: Path, count: int = 1) -> list[str]:
    """What a process has written, once it is so many words."""
    wait_until(lambda: path.exists() and len(path.read_text().split()) >= count, f"{count} words in {path}")
    return path.read_text().split()


def perl(path: Path, program: str) -> str:
    """A command that runs a Perl program (fork there is fork(2)), with $dir for the scratch directory."""
    file = path / f"program{len(list(path.glob('program*')))}"
    file.write_text(f"$| = 1; $dir = '{path}';\nsub say_it {{ open F, '>>', \"$dir/\" . shift; print F \"@_\\n\"; "
                    f"close F }}\n{program}\n")  # fmt: skip
    return f"perl {file}"


def kinds(supervised: Supervised, instance: int) -> list[str]:
    return [type(one).__name__ for one in supervised.told(instance)]


# -- expect -----------------------------------------------------------------------------------------------


def test_expect_fork_follows_a_background_process_of_the_shell(supervised: Supervised, tmp_path: Path) -> None:
    script = f"echo parent $$ > {tmp_path}/parent\n(echo child > {tmp_path}/child; exec sleep 1000) &\n"
    instance = supervised.spawn(script, script=True, expect=Expect.FORK)
    followed = supervised.wait_for_input(MainFollowed, instance).pid
    supervised.wait_for_input(MainReady, instance)
    first = supervised.pid_of(instance)
    assert followed != first
    supervised.wait_for_line(f"job1 main process ({first}) became new process ({followed})")
    wait_for_words(tmp_path / "child")
    wait_for_state(first, None)
    os.kill(followed, signal.SIGUSR1)
    assert supervised.end_of(instance) == ProcessEnded(instance, ProcessName.MAIN, signal=signal.SIGUSR1)


def test_expect_fork_is_not_met_before_the_fork(supervised: Supervised, tmp_path: Path) -> None:
    program = "say_it('up', $$); while (! -e \"$dir/go\") { select undef, undef, undef, 0.01 } fork; sleep 1000"
    instance = supervised.spawn(perl(tmp_path, program), expect=Expect.FORK)
    wait_for_words(tmp_path / "up")
    supervised.run("true")  # everything that was to be told has been
    assert kinds(supervised, instance) == ["ProcessForked"]
    (tmp_path / "go").touch()
    supervised.wait_for_input(MainReady, instance)


def test_expect_daemon_follows_the_second_fork(supervised: Supervised, tmp_path: Path) -> None:
    program = "exit if fork; say_it('pids', $$); exit if fork; say_it('pids', $$); sleep 1000"
    instance = supervised.spawn(perl(tmp_path, program), expect=Expect.DAEMON)
    supervised.wait_for_input(MainReady, instance)
    _, last = wait_for_words(tmp_path / "pids", 2)
    assert [one.pid for one in supervised.told(instance) if isinstance(one, MainFollowed)][-1] == int(last)
    supervised.kill(instance)
    assert supervised.end_of(instance).signal == signal.SIGTERM


def test_a_daemon_that_takes_a_session_of_its_own_is_followed(supervised: Supervised, tmp_path: Path) -> None:
    program = "use POSIX; exit if fork; POSIX::setsid(); exit if fork; say_it('up', 1); sleep 1000"
    instance = supervised.spawn(perl(tmp_path, program), expect=Expect.DAEMON)
    supervised.wait_for_input(MainReady, instance)
    wait_for_words(tmp_path / "up")
    supervised.kill(instance)
    assert supervised.end_of(instance).signal == signal.SIGTERM


def test_expect_daemon_is_met_by_an_exec_after_the_first_fork(supervised: Supervised, tmp_path: Path) -> None:
    instance = supervised.spawn("sh -c '(exec sleep 1000) & exit 0'", expect=Expect.DAEMON)
    supervised.wait_for_input(MainReady, instance)
    pid = supervised.wait_for_input(MainFollowed, instance).pid
    supervised.wait_for_line(f"job1 main process ({pid}) executable changed")
    assert Path(f"/proc/{pid}/comm").read_text() == "sleep\n"


def test_expect_daemon_is_not_met_by_execs_before_the_first_fork(supervised: Supervised, tmp_path: Path) -> None:
    inner = perl(tmp_path, "say_it('up', 1); sleep 1000")
    instance = supervised.spawn(f"sh -c 'exec sh -c \"exec {inner}\"'", expect=Expect.DAEMON)
    wait_for_words(tmp_path / "up")
    supervised.run("true")
    assert kinds(supervised, instance) == ["ProcessForked"]


def test_only_fork_counts_neither_vfork_nor_threads(supervised: Supervised, tmp_path: Path) -> None:
    # What posix_spawn() does is a vfork(2) to the kernel.
    program = tmp_path / "program.py"
    program.write_text(f"""import os, threading, time
os.waitpid(os.posix_spawn("/bin/true", ["true"], {{}}), 0)
thread = threading.Thread(target=lambda: None)
thread.start()
thread.join()
open("{tmp_path}/up", "w").write("up")
while not os.path.exists("{tmp_path}/go"): time.sleep(0.01)
os.fork()
time.sleep(1000)
""")
    instance = supervised.spawn(f"{sys.executable} -S {program}", expect=Expect.FORK)
    wait_for_words(tmp_path / "up")
    supervised.run("true")
    assert kinds(supervised, instance) == ["ProcessForked"]
    (tmp_path / "go").touch()
    supervised.wait_for_input(MainReady, instance)


def test_later_forks_are_not_followed(supervised: Supervised, tmp_path: Path) -> None:
    program = "exit if fork; say_it('main', $$); if (!fork) { say_it('later', $$); sleep 1000 } sleep 1000"
    instance = supervised.spawn(perl(tmp_path, program), expect=Expect.FORK)
    (main,) = wait_for_words(tmp_path / "main")
    (later,) = wait_for_words(tmp_path / "later")
    supervised.kill(instance, signal.SIGKILL)
    supervised.end_of(instance)
    assert [one.pid for one in supervised.told(instance) if isinstance(one, MainFollowed)] == [int(main)]
    assert later != main


@pytest.mark.parametrize("expect", [Expect.FORK, Expect.DAEMON])
@pytest.mark.parametrize("status", [0, 3])
def test_a_program_that_ends_before_it_is_ready_has_ended(supervised: Supervised, expect: Expect, status: int) -> None:
    instance = supervised.spawn(f"exit {status}", script=True, expect=expect)
    assert supervised.end_of(instance).status == status
    assert kinds(supervised, instance) == ["ProcessForked", "ProcessEnded"]


@pytest.mark.parametrize("expect", list(Expect))
def test_a_set_up_that_fails_is_told_under_every_expect(supervised: Supervised, expect: Expect) -> None:
    assert supervised.run("/nonexistent", expect=expect) == "unable to execute: No such file or directory"
    assert supervised.run("true", expect=expect, chdir="/nonexistent", nice=1) == (
        "unable to change working directory: No such file or directory"
    )


def test_expect_stop_is_met_when_the_program_stops_itself(supervised: Supervised, tmp_path: Path) -> None:
    script = f"kill -TSTP $$\necho tstp > {tmp_path}/tstp\nkill -STOP $$\necho on >> {tmp_path}/on\nkill -STOP $$\n"
    instance = supervised.spawn(script, script=True, expect=Expect.STOP)
    pid = supervised.pid_of(instance)
    # In an orphaned process group TSTP would be thrown away; so it is here, or it stops the process.
    wait_until(lambda: state(pid) == "T" or (tmp_path / "tstp").exists(), "the first stop, or no stop")
    if not (tmp_path / "tstp").exists():
        os.kill(pid, signal.SIGCONT)
    supervised.wait_for_input(MainReady, instance)
    wait_for_words(tmp_path / "on")
    wait_for_state(pid, "T")  # a second stop means nothing
    os.kill(pid, signal.SIGCONT)
    assert supervised.end_of(instance).status == 0
    assert kinds(supervised, instance) == ["ProcessForked", "MainReady", "ProcessEnded"]


def test_many_programs_are_followed_at_the_same_time(supervised: Supervised) -> None:
    commands = {Expect.FORK: "sleep 1000 & exit 0", Expect.DAEMON: "(sleep 1000 & exit 0) & exit 0",
                Expect.STOP: "kill -STOP $$; exec sleep 1000"}  # fmt: skip
    started = [supervised.spawn(commands[expect], script=True, expect=expect) for expect in commands for _ in range(20)]
    for instance in started:
        supervised.wait_for_input(MainReady, instance)
    for instance in started:
        supervised.kill(instance)
    assert {supervised.end_of(instance).signal for instance in started} == {signal.SIGTERM}


# -- signals while a program is traced --------------------------------------------------------------------


def test_signals_reach_a_program_that_is_followed(supervised: Supervised, tmp_path: Path) -> None:
    program = "$SIG{USR1} = sub { say_it('got', 'USR1') }; say_it('up', 1); sleep 1 while 1"
    instance = supervised.spawn(perl(tmp_path, program), expect=Expect.FORK)
    wait_for_words(tmp_path / "up")
    supervised.reload(instance, signal.SIGUSR1)
    assert wait_for_words(tmp_path / "got") == ["USR1"]


def test_a_followed_program_that_is_stopped_stays_so_until_it_is_continued(
    supervised: Supervised, tmp_path: Path
) -> None:
    program = "say_it('up', $$); kill 'STOP', $$; say_it('on', 1); fork; sleep 1000"
    instance = supervised.spawn(perl(tmp_path, program), expect=Expect.FORK)
    pid = supervised.pid_of(instance)
    supervised.wait_for_line(f"job1 main process ({pid}) stopped by STOP signal")
    assert state(pid) in ("T", "t")
    assert not (tmp_path / "on").exists()
    os.kill(pid, signal.SIGCONT)
    supervised.wait_for_input(MainReady, instance)


@pytest.mark.parametrize("expect", [Expect.STOP, Expect.FORK, Expect.DAEMON])
def test_a_kill_reaches_a_program_that_is_not_ready(supervised: Supervised, tmp_path: Path, expect: Expect) -> None:
    instance = supervised.spawn(perl(tmp_path, "say_it('up', 1); sleep 1000"), expect=expect)
    wait_for_words(tmp_path / "up")
    supervised.kill(instance)
    assert supervised.end_of(instance).signal == signal.SIGTERM
    assert kinds(supervised, instance) == ["ProcessForked", "ProcessEnded"]


def test_a_kill_reaches_a_followed_program_that_is_stopped(supervised: Supervised, tmp_path: Path) -> None:
    instance = supervised.spawn("kill -STOP $$\n:\n", script=True, expect=Expect.FORK)
    supervised.wait_for_line("stopped by STOP signal")
    supervised.kill(instance)  # which waits for it to be continued, as for any stopped process
    supervised.kill(instance, signal.SIGKILL)
    assert supervised.end_of(instance).signal == signal.SIGKILL


def test_what_a_program_forks_while_it_cleans_up_is_not_taken_for_main(supervised: Supervised, tmp_path: Path) -> None:
    program = ("$SIG{TERM} = sub { system 'true; true'; say_it('cleaned', 1); exit 4 }; say_it('up', 1); "
               "sleep 1 while 1")
    instance = supervised.spawn(perl(tmp_path, program), expect=Expect.DAEMON)
    wait_for_words(tmp_path / "up")
    supervised.kill(instance)
    assert supervised.end_of(instance).status == 4
    assert (tmp_path / "cleaned").exists()
    assert kinds(supervised, instance) == ["ProcessForked", "ProcessEnded"]


# -- process groups ---------------------------------------------------------------------------------------


def test_the_whole_process_group_is_signalled(supervised: Supervised, tmp_path: Path) -> None:
    program = ("for $n (1, 2) { next if fork; $SIG{INT} = sub { say_it('got', $n); exit }; say_it('up', $n); "
               "sleep 1 while 1 } $SIG{INT} = sub { say_it('got', 0); wait; wait; exit 5 }; say_it('up', 0); "
               "sleep 1 while 1")
    instance = supervised.spawn(perl(tmp_path, program))
    wait_for_words(tmp_path / "up", 3)
    supervised.kill(instance, signal.SIGINT)
    assert supervised.end_of(instance).status == 5
    assert sorted(wait_for_words(tmp_path / "got", 3)) == ["0", "1", "2"]


def test_the_group_that_main_has_moved_to_is_the_one_signalled(supervised: Supervised, tmp_path: Path) -> None:
    program = ("if (!fork) { setpgrp; say_it('other', $$); sleep 1000 } say_it('up', 1); $SIG{TERM} = 'IGNORE'; "
               "sleep 1 while 1")
    # Main is the child, which has a group of its own.
    instance = supervised.spawn(perl(tmp_path, program), expect=Expect.FORK)
    supervised.wait_for_input(MainReady, instance)
    wait_for_words(tmp_path / "up")
    wait_for_words(tmp_path / "other")
    first = supervised.pid_of(instance)
    supervised.kill(instance, signal.SIGKILL)
    supervised.end_of(instance)
    assert state(first) not in (None, "Z"), "the group that main has left was signalled"


def test_a_reload_signals_main_and_not_its_group(supervised: Supervised, tmp_path: Path) -> None:
    program = ("if (!fork) { $SIG{HUP} = sub { say_it('got', 'child') }; say_it('up', 1); sleep 1 while 1 } "
               "$SIG{HUP} = sub { say_it('got', 'main') }; say_it('up', 0); sleep 1 while 1")
    instance = supervised.spawn(perl(tmp_path, program))
    wait_for_words(tmp_path / "up", 2)
    supervised.reload(instance)
    supervised.wait_for_line("reload: sent")
    assert wait_for_words(tmp_path / "got") == ["main"]
    supervised.reload(99)
    supervised.wait_for_line("reload: No such process")


def test_what_main_leaves_behind_in_good_order_lives_on(supervised: Supervised, tmp_path: Path) -> None:
    instance = supervised.spawn(perl(tmp_path, "if (!fork) { say_it('child', $$); sleep 1000 } sleep 1000"))
    (child,) = map(int, wait_for_words(tmp_path / "child"))
    os.kill(supervised.pid_of(instance), signal.SIGTERM)
    supervised.end_of(instance)
    supervised.kill_leftovers(instance)
    supervised.run("true")
    assert state(child) == "S"


# -- losing track -----------------------------------------------------------------------------------------

# The first child that these fork is a helper; the program itself goes on.
COLLECTED = "say_it('pids', $$); if (!fork) { exit 3 } wait; say_it('ready', 1); sleep 1 while 1"
ZOMBIE = "say_it('pids', $$); if (!fork) { exit $ARGV[0] } say_it('ready', 1); sleep 1 while 1"


def test_a_helper_that_was_followed_and_collected_has_ended_nobody_knows_how(
    supervised: Supervised, tmp_path: Path
) -> None:
    instance = supervised.spawn(perl(tmp_path, COLLECTED), expect=Expect.FORK)
    end = supervised.end_of(instance)
    # Its parent may be slower to collect it than we are to look at it.
    assert end.status in (None, 3)
    assert end.signal is None
    assert kinds(supervised, instance) == ["ProcessForked", "MainFollowed", "MainReady", "ProcessEnded"]


@pytest.mark.parametrize(("status", "known"), [(3, 3), (0, None)])
def test_a_helper_that_was_followed_and_is_a_zombie_has_ended(
    supervised: Supervised, tmp_path: Path, status: int, known: int | None
) -> None:
    instance = supervised.spawn(perl(tmp_path, ZOMBIE) + f" {status}", expect=Expect.FORK)
    end = supervised.end_of(instance)
    assert (end.status, end.signal) == (known, None)
    assert state(supervised.wait_for_input(MainFollowed, instance).pid) == "Z"


@pytest.mark.parametrize("program", [COLLECTED, ZOMBIE])
def test_the_program_of_a_lost_helper_is_ended(supervised: Supervised, tmp_path: Path, program: str) -> None:
    instance = supervised.spawn(perl(tmp_path, program) + " 1", expect=Expect.FORK)
    supervised.end_of(instance)
    wait_for_words(tmp_path / "ready")
    pid = supervised.pid_of(instance)
    assert state(pid) not in (None, "Z")
    supervised.kill_leftovers(instance)
    wait_for_state(pid, None)
    supervised.wait_for_line(f"Sending TERM signal to job1 leftover process ({pid})")


@pytest.mark.parametrize("timeout", [0, 1])
def test_a_leftover_that_ignores_its_signal_is_killed_after_the_timeout(
    supervised: Supervised, tmp_path: Path, timeout: int
) -> None:
    instance = supervised.spawn(perl(tmp_path, "$SIG{TERM} = 'IGNORE'; " + COLLECTED), expect=Expect.FORK)
    supervised.end_of(instance)
    wait_for_words(tmp_path / "ready")
    pid = supervised.pid_of(instance)
    supervised.kill_leftovers(instance, timeout=timeout)
    supervised.wait_for_line(f"Sending KILL signal to job1 leftover process ({pid})")
    wait_for_state(pid, None)


def test_a_followed_daemon_that_dies_while_its_parent_lives_has_ended_as_it_did(
    supervised: Supervised, tmp_path: Path
) -> None:
    program = "if (!fork) { say_it('child', $$); sleep 1000 } say_it('parent', $$); sleep 1000"
    instance = supervised.spawn(perl(tmp_path, program), expect=Expect.FORK)
    (child,) = map(int, wait_for_words(tmp_path / "child"))
    supervised.wait_for_input(MainReady, instance)
    os.kill(child, signal.SIGUSR2)
    assert supervised.end_of(instance).signal == signal.SIGUSR2


def test_a_followed_daemon_whose_parent_has_ended_is_collected_by_the_supervisor(
    supervised: Supervised, tmp_path: Path
) -> None:
    program = "if (fork) { exit 0 } while (getppid != $ARGV[0]) { select undef, undef, undef, 0.01 } exit 6"
    instance = supervised.spawn(perl(tmp_path, program) + f" {supervised.pid}", expect=Expect.FORK)
    assert supervised.end_of(instance).status == 6
    assert state(supervised.wait_for_input(MainFollowed, instance).pid) is None


def test_a_program_killed_before_it_had_forked_leaves_nothing(supervised: Supervised, tmp_path: Path) -> None:
    # It forks only when it is told to end: what comes of that is nobody's main process.
    program = ("$SIG{TERM} = sub { if (!fork) { say_it('child', $$); sleep 1000 } "
               "select undef, undef, undef, 0.01 while ! -e \"$dir/child\"; exit 0 }; "
               "say_it('up', 1); sleep 1 while 1")
    instance = supervised.spawn(perl(tmp_path, program), expect=Expect.FORK)
    wait_for_words(tmp_path / "up")
    supervised.kill(instance)
    assert supervised.end_of(instance).status == 0
    (child,) = map(int, wait_for_words(tmp_path / "child"))
    supervised.kill_leftovers(instance, signal.SIGKILL)
    wait_for_state(child, None)


def test_orphans_are_collected(supervised: Supervised, tmp_path: Path) -> None:
    program = "if (!fork) { if (!fork) { say_it('orphan', $$); sleep 1000 } exit } wait; exit 0"
    instance = supervised.spawn(perl(tmp_path, program))
    supervised.end_of(instance)
    (orphan,) = map(int, wait_for_words(tmp_path / "orphan"))
    os.kill(orphan, signal.SIGKILL)
    wait_for_state(orphan, None)
