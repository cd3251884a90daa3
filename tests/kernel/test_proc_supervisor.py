"""What the supervisor makes of the kernel's news, and of what the engine asks for."""

from __future__ import annotations

import errno
import json
from signal import SIGCONT, SIGHUP, SIGKILL, SIGSTOP, SIGTERM, SIGTSTP, SIGUSR1
from typing import Any

import pytest

from support.scripted_kernel import (
    AT_EXEC,
    AT_FORK,
    CONTINUED,
    DAEMON,
    NEWBORN,
    InTurn,
    Stage,
    exited,
    held,
    killed,
    refusal,
    spawn_effect,
    stopped,
)
from upstartd.conf.model import Expect, ProcessName
from upstartd.engine.effects import KillLeftovers, KillProcess, ReloadProcess
from upstartd.engine.inputs import MainFollowed, MainReady, ProcessEnded, ProcessForked, SpawnFailed
from upstartd.proc.supervisor import RETRY_AFTER, SupervisorState
from upstartd.state.codec import decode, encode

MAIN, PRE_START = ProcessName.MAIN, ProcessName.PRE_START
TRACING = ("resume", "detach", "listen")


@pytest.fixture
def stage() -> Stage:
    return Stage()


def kill(stage: Stage, number: int = SIGTERM, process: ProcessName = MAIN) -> None:
    stage.supervisor.kill(KillProcess(1, process, number))


def leave(stage: Stage, number: int = SIGTERM, timeout: int = 5) -> None:
    stage.supervisor.kill_leftovers(KillLeftovers(1, number, timeout))


def follow(stage: Stage, expect: Expect = Expect.FORK, child: int = 3000, log: list[str] | None = None) -> int:
    """A main process that has forked as `expect` wants, its last child running; gives its pid."""
    pid = stage.spawn(expect=expect)
    stage.report()
    forks = {Expect.FORK: 1, Expect.DAEMON: 2}[expect]
    for _ in range(forks):
        stage.kernel.messages[pid] = child
        stage.process(child, parent=1, session=2001)
        stage.happens((pid, AT_FORK))
        stage.happens((child, NEWBORN))
        pid, child = child, child + 1
    stage.take_inputs()
    (log if log is not None else []).extend(stage.take_log())
    stage.kernel.calls.clear()
    return pid


# -- starting ---------------------------------------------------------------------------------------------


def test_a_fork_is_told_and_logged_at_once(stage: Stage) -> None:
    pid = stage.spawn(process=PRE_START)
    assert stage.take_inputs() == [ProcessForked(1, PRE_START, pid)]
    assert stage.take_log() == [f"web pre-start process ({pid})"]
    assert stage.supervisor.pids() == [pid]


def test_a_main_process_is_ready_when_its_program_is_executed(stage: Stage) -> None:
    stage.spawn()
    stage.take_inputs()
    stage.report()
    assert stage.take_inputs() == [MainReady(1)]
    assert not stage.loop.readers


def test_another_process_is_never_ready(stage: Stage) -> None:
    stage.spawn(process=PRE_START)
    stage.report()
    assert [type(what) for what in stage.inputs] == [ProcessForked]


def test_a_process_started_without_a_fork_is_ready_at_once(stage: Stage) -> None:
    stage.kernel.answers["find_quick"] = b"/one/program"
    pid = stage.spawn()
    assert stage.inputs == [ProcessForked(1, MAIN, pid), MainReady(1)]
    assert not stage.loop.readers


def test_a_failed_set_up_is_told_and_logged(stage: Stage) -> None:
    pid = stage.spawn()
    stage.take_inputs()
    stage.take_log()
    stage.report(b"unable to execute: No such file or directory")
    assert stage.take_inputs() == [SpawnFailed(1, MAIN, "unable to execute: No such file or directory")]
    assert stage.take_log() == ["init: Failed to spawn web main process: unable to execute: No such file or directory"]
    stage.happens((pid, exited(255)))
    assert stage.take_inputs() == []
    assert not stage.loop.readers


def test_the_message_counts_though_the_death_is_noticed_first(stage: Stage) -> None:
    pid = stage.spawn()
    stage.take_inputs()
    stage.kernel.answers["read"] = b"unable to setuid: Operation not permitted"
    stage.happens((pid, exited(255)))
    assert stage.take_inputs() == [SpawnFailed(1, MAIN, "unable to setuid: Operation not permitted")]


@pytest.mark.parametrize("report", [b"", BlockingIOError(errno.EAGAIN, "again")])
def test_success_counts_before_the_end(stage: Stage, report: Any) -> None:
    pid = stage.spawn()
    stage.take_inputs()
    stage.kernel.answers["read"] = report
    stage.happens((pid, exited(3)))
    assert stage.take_inputs() == [MainReady(1), ProcessEnded(1, MAIN, status=3)]
    assert not stage.loop.readers


def test_a_wake_up_without_a_message_is_no_message(stage: Stage) -> None:
    stage.spawn()
    stage.take_inputs()
    (callback,) = stage.loop.readers.values()
    callback()
    assert stage.take_inputs() == []
    assert stage.loop.readers


def test_what_can_never_be_run_fails_without_a_process(stage: Stage) -> None:
    stage.supervisor.spawn(spawn_effect(text="a\0b"))
    assert stage.take_inputs() == [SpawnFailed(1, MAIN, "unable to execute: Invalid argument")]


def test_the_daemon_may_call_back_while_it_is_told(stage: Stage) -> None:
    def call_back(what: object) -> None:
        stage.inputs.append(what)  # type: ignore[arg-type]  # an Input
        if isinstance(what, ProcessForked) and what.instance == 1:
            stage.supervisor.spawn(spawn_effect(instance=2))
            stage.supervisor.kill(KillProcess(1, MAIN, SIGTERM))

    stage.kernel.answers["find_quick"] = b"/one/program"
    stage.supervisor._deliver = call_back
    stage.supervisor.spawn(spawn_effect())
    assert stage.inputs == [ProcessForked(1, MAIN, 2001), MainReady(1), ProcessForked(2, MAIN, 2002), MainReady(2)]


# -- running out of resources -----------------------------------------------------------------------------


def test_a_shortage_is_waited_out(stage: Stage) -> None:
    stage.kernel.answers["fork"] = InTurn([refusal(errno.EAGAIN), refusal(errno.ENOMEM), 2001])
    stage.supervisor.spawn(spawn_effect())
    assert stage.take_log() == ["init: Temporary process spawn error: Resource temporarily unavailable"]
    assert stage.loop.let_time_pass() == RETRY_AFTER[0]
    assert stage.take_log() == ["init: Temporary process spawn error: Cannot allocate memory"]
    assert stage.inputs == []
    assert stage.loop.let_time_pass() == RETRY_AFTER[1]
    assert stage.inputs == [ProcessForked(1, MAIN, 2001)]
    assert not stage.loop.timers
    kill(stage)
    assert stage.kernel.named("killpg") == [("killpg", 2001, SIGTERM)]


def test_a_shortage_that_stays_fails_the_spawn(stage: Stage) -> None:
    stage.kernel.answers["pipe"] = refusal(errno.EMFILE)
    stage.supervisor.spawn(spawn_effect())
    assert tuple(stage.loop.let_time_pass() for _ in RETRY_AFTER) == RETRY_AFTER
    assert stage.inputs == [SpawnFailed(1, MAIN, "unable to create pipe: Too many open files")]
    assert stage.take_log()[-1] == "init: Failed to spawn web main process: unable to create pipe: Too many open files"
    assert not stage.loop.timers


def test_a_process_told_to_end_before_it_was_forked_never_is(stage: Stage) -> None:
    stage.kernel.answers["fork"] = refusal(errno.EAGAIN)
    stage.supervisor.spawn(spawn_effect())
    kill(stage)
    assert stage.inputs == [SpawnFailed(1, MAIN, "stopped before it could be forked")]
    assert not stage.loop.timers
    assert not stage.kernel.named("kill", "killpg")


def test_several_processes_wait_for_the_end_of_a_shortage_independently(stage: Stage) -> None:
    stage.kernel.answers["fork"] = InTurn([refusal(errno.EAGAIN), refusal(errno.EAGAIN), 2001, 2002])
    stage.supervisor.spawn(spawn_effect(instance=1))
    stage.supervisor.spawn(spawn_effect(instance=2))
    stage.loop.let_time_pass()
    stage.loop.let_time_pass()
    assert stage.inputs == [ProcessForked(1, MAIN, 2001), ProcessForked(2, MAIN, 2002)]


# -- ends -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "end"),
    [
        (exited(0), {"status": 0}), (exited(255), {"status": 255}), (killed(SIGTERM), {"signal": SIGTERM}),
        (killed(SIGUSR1) | 0x80, {"signal": SIGUSR1}),
    ],
)  # fmt: skip
def test_how_a_process_ended_is_told(stage: Stage, status: int, end: dict[str, int]) -> None:
    pid = stage.spawn(process=PRE_START)
    stage.report()
    stage.take_inputs()
    stage.happens((pid, status))
    assert stage.take_inputs() == [ProcessEnded(1, PRE_START, **end)]
    assert stage.supervisor.pids() == []


def test_all_news_are_taken_at_once_and_orphans_go_unnoticed(stage: Stage) -> None:
    pids = []
    for instance in (1, 2):
        stage.supervisor.spawn(spawn_effect(instance=instance))
        pids.append(stage.kernel.last_pid)
    stage.kernel.answers["read"] = b""
    stage.take_inputs()
    stage.happens((77, exited(1)), (pids[1], exited(1)), (78, killed(9)), (pids[0], exited(0)), (79, CONTINUED))
    assert not stage.kernel.named(*TRACING)
    assert stage.take_inputs() == [
        MainReady(2), ProcessEnded(2, MAIN, status=1), MainReady(1), ProcessEnded(1, MAIN, status=0)
    ]  # fmt: skip


def test_the_end_is_put_into_the_login_records() -> None:
    class Records:
        def __init__(self) -> None:
            self.pids: list[int] = []

        def process_ended(self, pid: int) -> None:
            self.pids.append(pid)

    records = Records()
    stage = Stage(login_records=records)
    pid = stage.spawn()
    stage.report()
    stage.happens((pid, exited(0)))
    assert records.pids == [pid]


# -- job control ------------------------------------------------------------------------------------------


def test_stops_and_continuations_are_logged_and_no_more(stage: Stage) -> None:
    pid = stage.spawn()
    stage.report()
    stage.take_log()
    stage.take_inputs()
    stage.happens((pid, stopped(SIGSTOP)), (pid, CONTINUED), (pid, stopped(SIGTSTP)), (pid, stopped(50)))
    assert stage.take_log() == [
        f"web main process ({pid}) stopped by STOP signal",
        f"web main process ({pid}) continued by CONT signal",
        f"web main process ({pid}) stopped by TSTP signal",
        f"web main process ({pid}) stopped by 50 signal",
    ]
    assert stage.take_inputs() == []
    assert not stage.kernel.named("kill")


def test_expect_stop_is_met_by_the_first_sigstop_alone(stage: Stage) -> None:
    pid = stage.spawn(expect=Expect.STOP)
    stage.report()
    stage.take_inputs()
    stage.happens((pid, stopped(SIGTSTP)))
    assert stage.take_inputs() == []
    stage.happens((pid, stopped(SIGSTOP)))
    assert stage.take_inputs() == [MainReady(1)]
    assert stage.kernel.take("kill") == [("kill", pid, SIGCONT)]
    stage.happens((pid, CONTINUED), (pid, stopped(SIGSTOP)))
    assert stage.take_inputs() == []
    assert not stage.kernel.named("kill")


def test_the_stop_of_the_debug_stanza_is_not_the_one_expected() -> None:
    stage = Stage(debug=True)
    pid = stage.spawn(expect=Expect.STOP, debug=True)
    stage.report()
    stage.take_inputs()
    stage.happens((pid, stopped(SIGSTOP)))
    assert stage.take_inputs() == []
    assert not stage.kernel.named("kill")
    stage.happens((pid, CONTINUED), (pid, stopped(SIGSTOP)))
    assert stage.take_inputs() == [MainReady(1)]


def test_a_program_that_may_not_be_continued_is_ready_all_the_same(stage: Stage) -> None:
    pid = stage.spawn(expect=Expect.STOP)
    stage.report()
    stage.kernel.answers["kill"] = refusal(errno.EPERM)
    stage.happens((pid, stopped(SIGSTOP)))
    assert stage.inputs[-1] == MainReady(1)
    assert stage.take_log()[-1] == f"init: cannot continue process {pid}: Operation not permitted"


# -- following --------------------------------------------------------------------------------------------


def test_expect_fork_follows_the_first_fork(stage: Stage) -> None:
    pid = stage.spawn(expect=Expect.FORK)
    stage.happens((pid, AT_EXEC))
    stage.report()
    assert stage.kernel.take(*TRACING) == [("resume", pid, 0)]
    stage.take_inputs()
    stage.take_log()
    stage.kernel.messages[pid] = 3000
    stage.happens((pid, AT_FORK))
    assert stage.kernel.take(*TRACING) == [("detach", pid, 0)]
    assert stage.take_inputs() == [MainFollowed(1, 3000), MainReady(1)]
    assert stage.take_log() == [f"web main process ({pid}) became new process (3000)"]
    stage.happens((3000, NEWBORN))
    assert stage.kernel.take(*TRACING) == [("detach", 3000, 0)]
    stage.happens((pid, exited(1)))
    assert stage.take_inputs() == []
    stage.happens((3000, exited(2)))
    assert stage.take_inputs() == [ProcessEnded(1, MAIN, status=2)]
    assert not stage.loop.readers


def test_expect_daemon_follows_two_forks(stage: Stage) -> None:
    pid = stage.spawn(expect=Expect.DAEMON)
    stage.report()
    stage.take_inputs()
    stage.kernel.messages |= {pid: 3000, 3000: 3001}
    stage.happens((pid, AT_FORK))
    assert stage.take_inputs() == [MainFollowed(1, 3000)]
    stage.happens((3000, NEWBORN))
    assert stage.kernel.take(*TRACING) == [("detach", pid, 0), ("resume", 3000, 0)]
    stage.happens((3000, AT_FORK), (3001, NEWBORN))
    assert stage.take_inputs() == [MainFollowed(1, 3001), MainReady(1)]
    assert stage.kernel.take(*TRACING) == [("detach", 3000, 0), ("detach", 3001, 0)]


def test_expect_daemon_is_met_by_an_exec_after_the_first_fork(stage: Stage) -> None:
    pid = stage.spawn(expect=Expect.DAEMON)
    stage.report()
    stage.happens((pid, AT_EXEC), (pid, AT_EXEC))
    stage.kernel.messages[pid] = 3000
    stage.happens((pid, AT_FORK), (3000, NEWBORN))
    stage.take_inputs()
    stage.take_log()
    stage.kernel.calls.clear()
    stage.happens((3000, AT_EXEC))
    assert stage.take_inputs() == [MainReady(1)]
    assert stage.take_log() == ["web main process (3000) executable changed"]
    assert stage.kernel.take(*TRACING) == [("detach", 3000, 0)]


@pytest.mark.parametrize("expect", [Expect.FORK, Expect.DAEMON])
def test_a_child_that_is_seen_before_its_parent_s_fork_is_kept_for_it(stage: Stage, expect: Expect) -> None:
    pid = stage.spawn(expect=expect)
    stage.report()
    stage.take_inputs()
    stage.process(3000, state="t", parent=pid)
    stage.happens((3000, NEWBORN))
    assert not stage.kernel.named(*TRACING)
    stage.kernel.messages[pid] = 3000
    stage.happens((pid, AT_FORK))
    assert stage.inputs[0] == MainFollowed(1, 3000)
    last = "detach" if expect is Expect.FORK else "resume"
    assert stage.kernel.take(*TRACING) == [("detach", pid, 0), (last, 3000, 0)]


def test_a_child_whose_parent_is_killed_before_its_fork_is_told_of_is_let_go(stage: Stage) -> None:
    pid = stage.spawn(expect=Expect.FORK)
    stage.report()
    stage.process(3000, state="t", parent=pid)
    stage.kernel.answers["event_message"] = ProcessLookupError(errno.ESRCH, "No such process")
    stage.happens((3000, NEWBORN), (pid, AT_FORK), (pid, killed(SIGKILL)))
    assert stage.kernel.take(*TRACING) == [("detach", 3000, 0)]
    assert stage.inputs[-1] == ProcessEnded(1, MAIN, signal=SIGKILL)


def test_a_traced_process_of_nobody_is_let_go(stage: Stage) -> None:
    stage.happens((4000, NEWBORN), (4001, stopped(SIGTERM)), (4002, held(SIGSTOP)))
    assert stage.kernel.take(*TRACING) == [("detach", 4000, 0), ("detach", 4001, SIGTERM), ("detach", 4002, 0)]


def test_a_set_up_that_fails_while_it_is_traced_leaves_nothing_standing_still(stage: Stage) -> None:
    pid = stage.spawn(expect=Expect.FORK)
    stage.report(b"unable to execute: No such file or directory")
    stage.happens((pid, stopped(SIGUSR1)))
    assert stage.kernel.take(*TRACING) == [("detach", pid, SIGUSR1)]


@pytest.mark.parametrize("number", [SIGTERM, SIGUSR1, SIGSTOP])
def test_signals_are_passed_on_to_a_traced_process(stage: Stage, number: int) -> None:
    pid = stage.spawn(expect=Expect.FORK)
    stage.report()
    for _ in range(2):
        stage.happens((pid, stopped(number)))
        assert stage.kernel.take(*TRACING) == [("resume", pid, number)]


def test_a_traced_process_that_job_control_stops_stays_stopped_until_it_is_continued(stage: Stage) -> None:
    pid = stage.spawn(expect=Expect.FORK)
    stage.report()
    stage.take_inputs()
    stage.take_log()
    stage.happens((pid, held(SIGSTOP)))
    assert stage.kernel.take(*TRACING) == [("listen", pid)]
    assert stage.take_log() == [f"web main process ({pid}) stopped by STOP signal"]
    stage.happens((pid, NEWBORN))  # what the kernel tells when it is continued
    assert stage.kernel.take(*TRACING) == [("resume", pid, 0)]
    assert stage.take_inputs() == []


def test_a_traced_process_that_ends_without_a_fork_has_ended(stage: Stage) -> None:
    pid = stage.spawn(expect=Expect.DAEMON)
    stage.report()
    stage.take_inputs()
    stage.happens((pid, exited(0)))
    assert stage.take_inputs() == [ProcessEnded(1, MAIN, status=0)]


def test_a_tracee_that_is_killed_while_it_is_handled_does_no_harm(stage: Stage) -> None:
    pid = stage.spawn(expect=Expect.FORK)
    stage.report()
    stage.kernel.answers["resume"] = ProcessLookupError(errno.ESRCH, "No such process")
    stage.happens((pid, AT_EXEC), (pid, killed(SIGKILL)))
    assert stage.inputs[-1] == ProcessEnded(1, MAIN, signal=SIGKILL)
    assert "cannot" not in "".join(stage.take_log())


def test_only_main_is_followed(stage: Stage) -> None:
    stage.spawn(process=PRE_START, expect=Expect.FORK)
    assert not stage.kernel.named("seize")


# -- killing ----------------------------------------------------------------------------------------------


def test_the_kill_signal_goes_to_the_group_that_main_is_in_now(stage: Stage) -> None:
    pid = stage.spawn()
    stage.report()
    stage.take_log()
    stage.kernel.answers["getpgid"] = 2222
    kill(stage)
    assert stage.kernel.named("kill", "killpg") == [("killpg", 2222, SIGTERM)]
    assert stage.take_log() == [f"Sending TERM signal to web main process ({pid})"]


def test_the_daemon_s_own_group_is_never_signalled(stage: Stage) -> None:
    pid = stage.spawn()
    stage.kernel.answers["getpgid"] = DAEMON
    kill(stage)
    assert stage.kernel.named("kill", "killpg") == [("kill", pid, SIGTERM)]


def test_a_signal_that_cannot_be_sent_is_logged(stage: Stage) -> None:
    pid = stage.spawn()
    stage.report()
    stage.kernel.answers["killpg"] = refusal(errno.EPERM)
    kill(stage)
    assert stage.take_log()[-1] == (
        f"init: Failed to send TERM signal to web main process ({pid}): Operation not permitted"
    )


def test_a_process_whose_end_is_about_to_be_told_is_killed_in_silence(stage: Stage) -> None:
    stage.spawn()
    stage.report()
    stage.take_inputs()
    stage.kernel.answers["killpg"] = refusal(errno.ESRCH)
    kill(stage)
    assert stage.take_inputs() == []
    assert not any(line.startswith("init:") for line in stage.take_log())


def test_a_process_that_has_ended_is_not_signalled(stage: Stage) -> None:
    kill(stage)
    assert not stage.kernel.named("kill", "killpg")


@pytest.mark.parametrize("expect", [Expect.FORK, Expect.DAEMON])
def test_what_a_process_forks_on_its_way_out_is_not_followed(stage: Stage, expect: Expect) -> None:
    pid = stage.spawn(expect=expect)
    stage.report()
    kill(stage)
    stage.take_inputs()
    stage.kernel.messages[pid] = 3000
    stage.process(3000, state="t", parent=pid)
    stage.happens((pid, stopped(SIGTERM)), (pid, AT_FORK), (3000, NEWBORN))
    assert not stage.supervisor.take_state().strays
    stage.happens((3000, exited(0)))
    assert stage.kernel.take(*TRACING) == [("resume", pid, SIGTERM), ("resume", pid, 0), ("detach", 3000, 0)]
    assert stage.take_inputs() == []
    stage.happens((pid, exited(0)))
    assert stage.take_inputs() == [ProcessEnded(1, MAIN, status=0)]


def test_a_child_seen_before_its_unfollowed_fork_is_let_go(stage: Stage) -> None:
    pid = stage.spawn(expect=Expect.FORK)
    stage.report()
    kill(stage)
    stage.process(3000, state="t", parent=pid)
    stage.kernel.messages[pid] = 3000
    stage.happens((3000, NEWBORN), (pid, AT_FORK))
    assert stage.kernel.take(*TRACING) == [("resume", pid, 0), ("detach", 3000, 0)]


def test_a_child_that_is_killed_before_it_ran_is_forgotten(stage: Stage) -> None:
    pid = stage.spawn(expect=Expect.FORK)
    stage.report()
    kill(stage)
    stage.kernel.messages[pid] = 3000
    stage.happens((pid, AT_FORK), (3000, killed(SIGKILL)))
    assert not stage.supervisor.take_state().strays


# -- reloading --------------------------------------------------------------------------------------------


def test_a_reload_signals_main_alone(stage: Stage) -> None:
    pid = stage.spawn()
    assert stage.supervisor.reload(ReloadProcess(1, SIGHUP, None)) is None
    assert stage.kernel.named("kill", "killpg") == [("kill", pid, SIGHUP)]


def test_a_reload_reaches_a_followed_process_and_no_later_one_of_its_number(stage: Stage) -> None:
    follow(stage)
    (pidfd,) = stage.loop.readers
    assert stage.supervisor.reload(ReloadProcess(1, SIGHUP, None)) is None
    assert stage.kernel.named("kill", "pidfd_kill") == [("pidfd_kill", pidfd, SIGHUP)]


def test_a_reload_that_fails_gives_the_system_s_text(stage: Stage) -> None:
    stage.spawn()
    stage.kernel.answers["kill"] = refusal(errno.EPERM)
    error = stage.supervisor.reload(ReloadProcess(1, SIGHUP, None))
    assert error is not None
    assert error.strerror == "Operation not permitted"


def test_a_reload_without_a_process_fails(stage: Stage) -> None:
    error = stage.supervisor.reload(ReloadProcess(1, SIGHUP, None))
    assert error is not None
    assert error.strerror == "No such process"


# -- losing track -----------------------------------------------------------------------------------------


def end_unseen(stage: Stage, pid: int) -> None:
    """The followed process ends as somebody else's child, and its pidfd tells."""
    (pidfd,) = stage.loop.readers
    stage.kernel.ended_pidfds.add(pidfd)
    stage.loop.readers[pidfd]()


@pytest.mark.parametrize("expect", [Expect.FORK, Expect.DAEMON])
def test_a_followed_process_that_is_gone_has_ended_nobody_knows_how(stage: Stage, expect: Expect) -> None:
    pid = follow(stage, expect)
    del stage.kernel.stats[pid]
    end_unseen(stage, pid)
    assert stage.take_inputs() == [ProcessEnded(1, MAIN)]
    assert not stage.loop.readers
    assert stage.supervisor.pids() == []


@pytest.mark.parametrize(
    ("exit_code", "end"), [(exited(3), {"status": 3}), (killed(SIGKILL), {"signal": SIGKILL}), (0, {})]
)
def test_a_followed_zombie_of_somebody_else_has_ended(stage: Stage, exit_code: int, end: dict[str, int]) -> None:
    pid = follow(stage)
    stage.process(pid, state="Z", parent=2001, session=2001, exit_code=exit_code)
    end_unseen(stage, pid)
    assert stage.take_inputs() == [ProcessEnded(1, MAIN, **end)]
    assert not stage.loop.readers


def test_a_followed_process_that_the_daemon_inherited_is_collected_as_any_other(stage: Stage) -> None:
    pid = follow(stage)
    stage.process(pid, state="Z", parent=DAEMON, session=2001)
    stage.kernel.news.append((pid, exited(4)))
    del stage.kernel.stats[pid]
    end_unseen(stage, pid)
    assert stage.take_inputs() == [ProcessEnded(1, MAIN, status=4)]
    leave(stage)
    assert not stage.kernel.named("kill")


def test_the_end_of_an_inherited_process_is_awaited_without_spinning(stage: Stage) -> None:
    # Somebody else traces it, say: the pidfd tells of its end, the kernel has no news of it yet.
    pid = follow(stage)
    stage.process(pid, state="Z", parent=DAEMON, session=2001)
    end_unseen(stage, pid)
    assert stage.take_inputs() == []
    assert not stage.loop.readers
    stage.happens((pid, exited(4)))
    assert stage.take_inputs() == [ProcessEnded(1, MAIN, status=4)]


def test_a_number_that_has_passed_to_another_process_is_not_taken_for_the_lost_one(stage: Stage) -> None:
    pid = follow(stage)
    stage.process(pid, parent=1, session=999)
    end_unseen(stage, pid)
    assert stage.take_inputs() == [ProcessEnded(1, MAIN)]


@pytest.mark.parametrize("state", [None, "Z"])
def test_a_kill_that_finds_the_process_lost_tells_its_end_and_signals_nobody(stage: Stage, state: str | None) -> None:
    pid = follow(stage)
    stage.kernel.ended_pidfds.update(stage.loop.readers)
    del stage.kernel.stats[pid]
    if state:
        stage.process(pid, state=state, parent=2001, session=2001)
    kill(stage)
    assert stage.take_inputs() == [ProcessEnded(1, MAIN)]
    assert not stage.kernel.named("kill", "killpg")


def test_a_kill_that_comes_with_the_end_lets_the_end_be_told_as_it_was(stage: Stage) -> None:
    pid = follow(stage)
    stage.kernel.news.append((pid, exited(5)))
    kill(stage)
    assert stage.take_inputs() == [ProcessEnded(1, MAIN, status=5)]
    assert not stage.kernel.named("kill", "killpg")


def test_a_followed_process_that_goes_just_before_its_signal_has_ended(stage: Stage) -> None:
    follow(stage)
    stage.kernel.answers["killpg"] = refusal(errno.ESRCH)
    kill(stage)
    assert stage.take_inputs() == [ProcessEnded(1, MAIN)]


def test_a_followed_process_that_lives_is_signalled(stage: Stage) -> None:
    pid = follow(stage)
    stage.kernel.answers["getpgid"] = 2001
    kill(stage)
    assert stage.kernel.named("killpg") == [("killpg", 2001, SIGTERM)]
    stage.happens((pid, killed(SIGTERM)))
    assert stage.take_inputs() == [ProcessEnded(1, MAIN, signal=SIGTERM)]


def test_without_a_pidfd_the_end_is_noticed_with_the_next_one(stage: Stage) -> None:
    stage.kernel.answers["pidfd_open"] = refusal(errno.ENOSYS)
    log: list[str] = []
    pid = follow(stage, log=log)
    assert not stage.loop.readers
    assert log[-1] == f"cannot watch web main process ({pid}): Function not implemented"
    stage.happens((77, exited(0)))
    assert stage.take_inputs() == []
    del stage.kernel.stats[pid]
    stage.happens((78, exited(0)))
    assert stage.take_inputs() == [ProcessEnded(1, MAIN)]


def test_a_child_that_is_gone_before_it_can_be_watched_has_ended(stage: Stage) -> None:
    stage.kernel.answers["pidfd_open"] = refusal(errno.ESRCH)
    pid = stage.spawn(expect=Expect.FORK)
    stage.report()
    stage.take_inputs()
    stage.kernel.messages[pid] = 3000
    stage.happens((pid, AT_FORK))
    assert stage.take_inputs() == [MainFollowed(1, 3000), MainReady(1), ProcessEnded(1, MAIN)]


# -- descriptors ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("report", [b"", b"unable to fork", BlockingIOError(errno.EAGAIN, "again")])
@pytest.mark.parametrize("expect", list(Expect))
def test_nothing_stays_open_when_a_process_has_ended(stage: Stage, expect: Expect, report: Any) -> None:
    pid = stage.spawn(expect=expect)
    null = 101
    stage.kernel.answers["read"] = report
    stage.kernel.messages |= {pid: 3000, 3000: 3001}
    stage.happens((pid, AT_FORK), (3000, AT_FORK), *((one, exited(0)) for one in (pid, 3000, 3001)))
    assert stage.supervisor.pids() == []
    assert not stage.loop.readers
    closed = sorted(fd for _, fd in stage.kernel.named("close"))
    assert closed == list(range(null + 1, stage.kernel.fresh_fd()))


# -- over a re-execution ----------------------------------------------------------------------------------


def hand_over(old: Stage) -> Stage:
    """A new daemon in the same process: the kernel knows what it knew, the loop is another."""
    new = Stage()
    new.kernel.stats.update(old.kernel.stats)
    new.kernel.messages.update(old.kernel.messages)
    new.loop.now = old.loop.now
    text = json.dumps(encode(old.supervisor.take_state()))
    new.supervisor.put_state(decode(SupervisorState, json.loads(text)))
    return new


def test_a_process_is_supervised_over_a_re_execution(stage: Stage) -> None:
    pid = stage.spawn()
    stage.report()
    new = hand_over(stage)
    assert new.supervisor.pids() == [pid]
    assert not new.loop.readers
    kill(new)
    assert new.kernel.named("killpg") == [("killpg", pid, SIGTERM)]
    new.happens((pid, killed(SIGTERM)))
    assert new.inputs == [ProcessEnded(1, MAIN, signal=SIGTERM)]


def test_a_set_up_under_way_is_told_after_a_re_execution(stage: Stage) -> None:
    stage.spawn()
    (report,) = stage.loop.readers
    new = hand_over(stage)
    new.kernel.answers["read"] = b"unable to execute: No such file or directory"
    new.loop.readers[report]()
    assert new.inputs == [SpawnFailed(1, MAIN, "unable to execute: No such file or directory")]
    assert not new.loop.readers


def test_a_fork_is_followed_though_its_parts_are_seen_on_both_sides_of_a_re_execution(stage: Stage) -> None:
    pid = stage.spawn(expect=Expect.FORK)
    stage.report()
    stage.process(3000, state="t", parent=pid)
    stage.kernel.messages[pid] = 3000
    stage.happens((3000, NEWBORN))
    new = hand_over(stage)
    new.happens((pid, AT_FORK))
    assert new.inputs == [MainFollowed(1, 3000), MainReady(1)]
    assert new.kernel.take(*TRACING) == [("detach", pid, 0), ("detach", 3000, 0)]


def test_a_child_that_nobody_follows_is_let_go_after_a_re_execution(stage: Stage) -> None:
    pid = stage.spawn(expect=Expect.FORK)
    stage.report()
    kill(stage)
    stage.kernel.messages[pid] = 3000
    stage.happens((pid, AT_FORK))
    new = hand_over(stage)
    new.process(3000, state="t", parent=pid)
    new.happens((3000, NEWBORN))
    assert new.kernel.take(*TRACING) == [("detach", 3000, 0)]


def test_the_end_of_a_followed_process_is_noticed_after_a_re_execution(stage: Stage) -> None:
    pid = follow(stage)
    new = hand_over(stage)
    new.process(pid, state="Z", parent=2001, session=2001, exit_code=exited(3))
    end_unseen(new, pid)
    assert new.inputs == [ProcessEnded(1, MAIN, status=3)]


def test_leftovers_are_ended_after_a_re_execution(stage: Stage) -> None:
    lose(stage)
    new = hand_over(stage)
    new.process(3001, session=2001)
    leave(new)
    assert new.kernel.named("kill") == [("kill", 3001, SIGTERM)]
    assert new.take_log() == ["Sending TERM signal to web leftover process (3001)"]


def test_leftovers_that_were_told_to_end_are_killed_in_time_over_a_re_execution(stage: Stage) -> None:
    lose(stage)
    stage.process(2001, session=2001)
    leave(stage, timeout=5)
    stage.loop.now += 3
    new = hand_over(hand_over(stage))
    assert not new.kernel.named("kill")
    assert new.loop.let_time_pass() == 2
    assert new.kernel.named("kill") == [("kill", 2001, SIGKILL)]
    assert not hand_over(new).loop.timers


def test_no_later_session_of_the_same_number_is_killed_over_a_re_execution(stage: Stage) -> None:
    lose(stage)
    stage.process(2001, session=2001, start_time=7)
    leave(stage)
    new = hand_over(stage)
    new.process(2001, session=2001, start_time=8)
    new.loop.let_time_pass()
    assert not new.kernel.named("kill")


# -- what is left -----------------------------------------------------------------------------------------


def lose(stage: Stage) -> None:
    """Lose track of a process that was started as the leader of session 2001."""
    pid = follow(stage)
    stage.process(pid, state="Z", parent=2001, session=2001)
    end_unseen(stage, pid)
    stage.take_log()


def test_what_is_left_of_a_lost_process_s_session_and_group_is_ended(stage: Stage) -> None:
    lose(stage)
    stage.process(2001, session=2001)
    stage.process(3001, session=2001, group=3001)
    stage.process(3002, session=55, group=2001)
    stage.process(3003, session=55, group=55)
    stage.process(DAEMON, session=2001)
    leave(stage)
    assert stage.kernel.take("kill") == [("kill", 2001, SIGTERM), ("kill", 3001, SIGTERM), ("kill", 3002, SIGTERM)]
    assert stage.take_log()[0] == "Sending TERM signal to web leftover process (2001)"
    del stage.kernel.stats[2001]
    assert stage.loop.let_time_pass() == 5
    assert stage.kernel.take("kill") == [("kill", 3001, SIGKILL), ("kill", 3002, SIGKILL)]


def test_the_session_of_a_zombie_that_led_its_own_is_ended_too(stage: Stage) -> None:
    pid = follow(stage)
    stage.process(pid, state="Z", parent=2001, session=3000)
    end_unseen(stage, pid)
    stage.process(3005, session=3000)
    leave(stage)
    assert stage.kernel.take("kill") == [("kill", 3005, SIGTERM)]


def test_nothing_is_waited_for_where_nothing_is_left(stage: Stage) -> None:
    lose(stage)
    leave(stage)
    assert not stage.kernel.named("kill")
    assert not stage.loop.timers


def test_no_later_session_of_the_same_number_is_killed(stage: Stage) -> None:
    lose(stage)
    stage.process(2001, session=2001, start_time=7)
    leave(stage)
    stage.kernel.calls.clear()
    stage.process(2001, session=2001, start_time=8)
    stage.loop.let_time_pass()
    assert not stage.kernel.named("kill")


def test_what_is_left_is_ended_once(stage: Stage) -> None:
    lose(stage)
    stage.process(2001, session=2001)
    leave(stage)
    stage.kernel.calls.clear()
    leave(stage)
    assert not stage.kernel.named("kill")


def test_leftovers_that_cannot_be_signalled_are_told_and_those_that_went_are_not(stage: Stage) -> None:
    lose(stage)
    stage.process(2001, session=2001)
    stage.process(2002, session=2001)
    stage.kernel.answers["kill"] = InTurn([refusal(errno.ESRCH), refusal(errno.EPERM)])
    leave(stage)
    assert stage.take_log() == [
        "Sending TERM signal to web leftover process (2001)",
        "Sending TERM signal to web leftover process (2002)",
        "init: Failed to send TERM signal to web leftover process (2002): Operation not permitted",
    ]


def test_what_a_process_leaves_behind_in_good_order_lives_on(stage: Stage) -> None:
    pid = follow(stage)
    kill(stage)
    stage.happens((pid, killed(SIGTERM)))
    stage.process(3001, session=2001)
    leave(stage)
    assert not stage.kernel.named("kill")


def test_what_is_left_of_a_process_that_was_stopped_before_it_had_forked_is_ended(stage: Stage) -> None:
    pid = stage.spawn(expect=Expect.FORK)
    stage.report()
    kill(stage)
    stage.happens((pid, exited(0)))
    stage.process(3001, session=pid)
    leave(stage)
    assert stage.kernel.take("kill") == [("kill", 3001, SIGTERM)]


def test_the_subreaper_is_the_kernel_s_to_grant(stage: Stage) -> None:
    stage.supervisor.become_subreaper()
    assert stage.kernel.named("become_subreaper")
    stage.kernel.answers["become_subreaper"] = refusal(errno.EINVAL)
    with pytest.raises(OSError, match="Invalid argument"):
        stage.supervisor.become_subreaper()
