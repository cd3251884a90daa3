"""What the ends of processes mean: failure, respawn and its limit, killing, expect.

Source: lifecycle specification, sections 4, 5, 7, 9 and 10; design, 2, 4, 6 and 31.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.jobs import job, on, service
from support.stage import TO_POST_STOP, TO_RUNNING, TO_SPAWNED, Stage
from upstartd.conf.model import Expect, ProcessName, RespawnLimit
from upstartd.engine import effects, inputs
from upstartd.engine.states import Goal, State
from upstartd.log import Priority

if TYPE_CHECKING:
    from upstartd.conf.model import JobConfig

ROUND = f"web/ {TO_POST_STOP} starting"  # a respawn of a job with main only
STOPPING_OK = "event stopping JOB=web INSTANCE= RESULT=ok"
DOWN = f"web/ {TO_POST_STOP} waiting"


def running(config: JobConfig) -> Stage:
    """A stage on which the job web runs."""
    stage = Stage.of(web=config)
    stage.run_up("web")
    stage.take_news()
    return stage


# -- main ends ------------------------------------------------------------------------------------------------


def test_a_service_whose_main_exits_0_stops_without_a_failure() -> None:
    stage = running(service())
    stage.end("web", status=0)
    assert stage.story() == [
        "web/ goal stop",
        DOWN,
        "web/ removed",
        STOPPING_OK,
        "event stopped JOB=web INSTANCE= RESULT=ok",
    ]


@pytest.mark.parametrize(
    ("status", "signal", "failed", "told"),
    [
        (3, None, 3, "EXIT_STATUS=3"),
        (255, None, 255, "EXIT_STATUS=255"),
        (None, 9, 9 * 256, "EXIT_SIGNAL=KILL"),
        (None, 10, 10 * 256, "EXIT_SIGNAL=USR1"),
        (None, 40, 40 * 256, "EXIT_SIGNAL=40"),
    ],
)
def test_a_service_whose_main_ends_badly_fails_and_tells_how(
    status: int | None, signal: int | None, failed: int, told: str
) -> None:
    stage = running(service())
    stage.end("web", status=status, signal=signal)
    result = f"JOB=web INSTANCE= RESULT=failed PROCESS=main {told}"
    assert stage.story() == [
        f"web/ failed {failed}",
        "web/ goal stop",
        DOWN,
        "web/ removed",
        f"event stopping {result}",
        f"event stopped {result}",
    ]


def test_an_end_that_normal_exit_lists_is_no_failure() -> None:
    config = service(normal_exit_statuses=frozenset({3}), normal_exit_signals=frozenset({15}))
    for status, signal, failed in ((3, None, False), (15, None, True), (None, 15, False), (None, 3, True)):
        stage = running(config)
        stage.end("web", status=status, signal=signal)
        assert any("failed" in line for line in stage.take_news()) is failed


def test_a_task_that_ends_badly_fails_and_its_start_is_told() -> None:
    stage = Stage.of(web=service(task=True))
    call = stage.start("web")
    stage.ready("web")
    stage.take_news()
    stage.end("web", status=7)
    assert stage.story()[:4] == ["web/ failed 7", "call 1 refused: Job failed to start", "web/ goal stop", DOWN]
    assert stage.error(call) == ("JobFailed", "Job failed to start")


def test_main_that_ends_before_it_is_ready_never_gets_to_started() -> None:
    stage = Stage.of(web=job("main", "post-start", expect=Expect.STOP))
    stage.start("web")
    stage.take_news()
    stage.end("web", status=3)
    assert stage.story() == [
        "web/ failed 3",
        "call 1 refused: Job failed to start",
        "web/ goal stop",
        DOWN,
        "web/ removed",
        "event stopping JOB=web INSTANCE= RESULT=failed PROCESS=main EXIT_STATUS=3",
        "event stopped JOB=web INSTANCE= RESULT=failed PROCESS=main EXIT_STATUS=3",
    ]


def test_main_that_ends_while_post_start_runs_changes_the_goal_at_once_and_the_state_later() -> None:
    stage = Stage.of(web=job("main", "post-start"))
    stage.start("web")
    stage.ready("web")
    stage.take_news()
    stage.end("web", status=2)
    assert stage.story() == ["web/ failed 2", "call 1 refused: Job failed to start", "web/ goal stop"]
    stage.end("web", "post-start")
    assert stage.story()[0] == DOWN


def test_main_that_ends_while_pre_stop_runs_for_a_stop_is_no_failure() -> None:
    stage = running(job("main", "pre-stop", respawn=True))
    stage.stop("web")
    stage.take_news()
    stage.end("web", signal=9)
    assert stage.story() == []
    assert stage.instance("web").state is State.PRE_STOP
    stage.end("web", "pre-stop")
    assert stage.story() == [
        DOWN,
        "call 2 answered",
        "web/ removed",
        STOPPING_OK,
        "event stopped JOB=web INSTANCE= RESULT=ok",
    ]


def test_main_that_ends_badly_while_pre_stop_runs_for_a_cancelled_stop_fails_the_job() -> None:
    stage = running(job("main", "pre-stop"))
    stage.stop("web")
    stage.start("web")
    stage.take_news()
    stage.end("web", status=1)
    assert stage.story() == ["web/ failed 1", "call 3 refused: Job failed to start", "web/ goal stop"]
    stage.end("web", "pre-stop")
    assert stage.story()[0] == DOWN


@pytest.mark.parametrize("goal", [Goal.STOP, Goal.START])
def test_main_that_ends_in_killed_is_no_failure_whatever_the_goal(goal: Goal) -> None:
    stage = running(service(respawn=True))
    stage.stop("web", wait=False)
    if goal is Goal.START:
        stage.start("web", wait=False)
    stage.take_news()
    stage.end("web", signal=11)
    story = stage.story()
    assert not [line for line in story if "failed" in line or "respawn" in line]
    assert story[0] == "web/ post-stopping post-stop " + (
        "waiting" if goal is Goal.STOP else "starting " + TO_SPAWNED
    )


# -- the other processes end ----------------------------------------------------------------------------------


def test_a_failing_pre_start_keeps_main_from_running_but_still_runs_post_stop() -> None:
    stage = Stage.of(web=job("pre-start", "main", "post-start", "pre-stop", "post-stop"))
    stage.start("web")
    stage.take_news()
    stage.end("web", "pre-start", status=5)
    assert stage.story() == [
        "web/ failed 5",
        "call 1 refused: Job failed to start",
        "web/ goal stop",
        f"web/ {TO_POST_STOP}",
        "event stopping JOB=web INSTANCE= RESULT=failed PROCESS=pre-start EXIT_STATUS=5",
    ]
    assert [key[1] for key in stage.processes] == [ProcessName.POST_STOP]


def test_a_killed_pre_start_fails_the_job_with_its_signal() -> None:
    stage = Stage.of(web=job("pre-start", "main"))
    stage.start("web")
    stage.take_news()
    stage.end("web", "pre-start", signal=15)
    assert stage.story()[0] == "web/ failed 3840"


def test_a_pre_start_that_fails_after_a_stop_still_fails_the_job() -> None:
    stage = Stage.of(web=job("pre-start", "main"))
    stage.start("web")
    stop = stage.stop("web")
    stage.take_news()
    stage.end("web", "pre-start", status=1)
    assert stage.story()[:3] == ["web/ failed 1", "call 2 refused: Job failed while stopping", DOWN]
    assert stage.error(stop) == ("JobFailed", "Job failed while stopping")


@pytest.mark.parametrize("normal", [frozenset(), frozenset({5})])
def test_normal_exit_excuses_no_other_process_than_main(normal: frozenset[int]) -> None:
    stage = Stage.of(web=job("pre-start", "main", normal_exit_statuses=normal))
    stage.start("web")
    stage.take_news()
    stage.end("web", "pre-start", status=5)
    assert stage.story()[0] == "web/ failed 5"


@pytest.mark.parametrize(("status", "signal"), [(5, None), (None, 9)])
def test_the_ends_of_post_start_and_pre_stop_are_ignored(status: int | None, signal: int | None) -> None:
    stage = Stage.of(web=job("main", "post-start", "pre-stop"))
    stage.start("web")
    stage.ready("web")
    stage.take_news()
    stage.end("web", "post-start", status, signal)
    assert stage.story()[0] == "web/ running"
    stage.stop("web")
    stage.take_news()
    stage.end("web", "pre-stop", status, signal)
    assert stage.story()[0] == "web/ stopping killed"


def test_a_failing_post_stop_fails_the_stop() -> None:
    stage = running(job("main", "post-stop"))
    stage.stop("web")
    stage.end("web", signal=15)
    stage.take_news()
    stage.end("web", "post-stop", status=8)
    assert stage.story() == [
        "web/ failed 8",
        "call 2 refused: Job failed while stopping",
        "web/ waiting",
        "web/ removed",
        "event stopped JOB=web INSTANCE= RESULT=failed PROCESS=post-stop EXIT_STATUS=8",
    ]


def test_a_post_stop_that_fails_while_a_respawn_goes_round_ends_it_in_waiting() -> None:
    stage = running(job("main", "post-stop", respawn=True))
    stage.end("web", signal=9)
    stage.take_news()
    stage.end("web", "post-stop", signal=6)
    assert stage.story() == [
        "web/ failed 1536",
        "web/ goal stop",
        "web/ waiting",
        "web/ removed",
        "event stopped JOB=web INSTANCE= RESULT=failed PROCESS=post-stop EXIT_SIGNAL=ABRT",
    ]


def test_a_job_fails_once_a_run_and_the_first_failure_is_the_one_told() -> None:
    stage = running(job("main", "post-stop"))
    stage.end("web", status=2)
    assert stage.story()[0] == "web/ failed 2"
    stage.end("web", "post-stop", status=8)
    assert stage.story() == [
        "web/ waiting",
        "web/ removed",
        "event stopped JOB=web INSTANCE= RESULT=failed PROCESS=main EXIT_STATUS=2",
    ]


def test_a_second_failure_of_a_run_is_not_told_but_changes_the_goal() -> None:
    stage = running(job("main", "post-stop"))
    stage.end("web", status=2)
    stage.start("web", wait=False)
    stage.take_news()
    stage.end("web", "post-stop", status=8)
    assert stage.story()[:2] == ["web/ goal stop", "web/ waiting"]


def test_starting_forgets_the_failure_before_it() -> None:
    stage = running(job("main", "post-stop"))
    stage.end("web", status=2)
    stage.start("web")
    stage.end("web", "post-stop")
    stage.ready("web")
    stage.take_news()
    stage.end("web", status=3)
    assert stage.story()[0] == "web/ failed 3"


# -- processes that cannot be run -------------------------------------------------------------------------------


def spawn_fails(stage: Stage, process: str) -> None:
    stage.spawn_fails((stage.instance("web").uid, ProcessName(process)))


@pytest.mark.parametrize("process", ["pre-start", "main"])
def test_a_pre_start_or_main_process_that_cannot_be_run_fails_the_job(process: str) -> None:
    stage = Stage.of(web=job(process, "post-stop", respawn=True))
    stage.start("web")
    stage.take_news()
    spawn_fails(stage, process)
    assert stage.story() == [
        "web/ failed -1",
        "call 1 refused: Job failed to start",
        "web/ goal stop",
        f"web/ {TO_POST_STOP}",
        f"event stopping JOB=web INSTANCE= RESULT=failed PROCESS={process}",
    ]


@pytest.mark.parametrize("process", ["post-start", "pre-stop"])
def test_a_post_start_or_pre_stop_process_that_cannot_be_run_is_as_good_as_one_that_has_ended(process: str) -> None:
    stage = Stage.of(web=job("main", process))
    stage.start("web")
    stage.ready("web")
    if process == "pre-stop":
        stage.stop("web")
    stage.take_news()
    spawn_fails(stage, process)
    assert stage.story()[0] == {"post-start": "web/ running", "pre-stop": "web/ stopping killed"}[process]


def test_a_post_stop_process_that_cannot_be_run_fails_the_stop() -> None:
    stage = running(job("main", "post-stop"))
    stage.stop("web")
    stage.end("web", signal=15)
    stage.take_news()
    spawn_fails(stage, "post-stop")
    assert stage.story() == [
        "web/ failed -1",
        "call 2 refused: Job failed while stopping",
        "web/ waiting",
        "web/ removed",
        "event stopped JOB=web INSTANCE= RESULT=failed PROCESS=post-stop",
    ]


# -- respawn ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "signal"), [(0, None), (1, None), (None, 9)])
def test_a_respawning_service_comes_back_after_any_end_without_a_change_of_goal(
    status: int | None, signal: int | None
) -> None:
    stage = running(job("main", "post-stop", respawn=True))
    uid = stage.instance("web").uid
    stage.end("web", status=status, signal=signal)
    assert stage.story() == [f"web/ {TO_POST_STOP}", STOPPING_OK]
    stage.end("web", "post-stop")
    assert stage.story() == ["web/ starting " + TO_SPAWNED, "event starting JOB=web INSTANCE="]
    stage.ready("web")
    assert stage.story() == ["web/ " + TO_RUNNING, "event started JOB=web INSTANCE="]
    assert stage.instance("web").uid == uid


def test_a_respawn_keeps_the_environment() -> None:
    stage = Stage.of(web=service(respawn=True))
    stage.start("web", "A=1")
    stage.ready("web")
    stage.end("web")
    assert "A=1" in stage.process("web").spawn.env


def test_normal_exit_ends_a_respawning_service() -> None:
    config = service(respawn=True, normal_exit_statuses=frozenset({0}), normal_exit_signals=frozenset({3}))
    for status, signal in ((0, None), (None, 3)):
        stage = running(config)
        stage.end("web", status=status, signal=signal)
        assert stage.story()[:2] == ["web/ goal stop", DOWN]
    stage = running(config)
    stage.end("web", signal=9)
    assert stage.story()[0] == ROUND


def test_a_respawning_task_is_run_until_it_succeeds_and_keeps_its_start_waiting() -> None:
    stage = Stage.of(web=service(task=True, respawn=True))
    call = stage.start("web")
    stage.ready("web")
    stage.take_news()
    stage.end("web", status=1)
    assert stage.story() == [ROUND, STOPPING_OK, "web/ " + TO_SPAWNED, "event starting JOB=web INSTANCE="]
    stage.ready("web")
    assert call not in stage.answers
    stage.take_news()
    stage.end("web", status=0)
    assert stage.story()[:3] == ["web/ goal stop", DOWN, "call 1 answered"]


def test_main_that_ends_while_post_start_runs_is_respawned_after_it() -> None:
    stage = Stage.of(web=job("main", "post-start", respawn=True))
    stage.start("web")
    stage.ready("web")
    stage.take_news()
    stage.end("web", signal=9)
    assert stage.story() == ["web/ goal respawn"]
    stage.end("web", "post-start")
    assert stage.story() == [
        "web/ goal start",
        ROUND,
        STOPPING_OK,
        "web/ " + TO_SPAWNED,
        "event starting JOB=web INSTANCE=",
    ]
    stage.ready("web")
    stage.end("web", "post-start")
    assert stage.story() == [
        f"web/ {TO_RUNNING}",
        "call 1 answered",
        "event started JOB=web INSTANCE=",
    ]


def test_main_that_ends_while_pre_stop_runs_for_a_cancelled_stop_is_respawned_after_it() -> None:
    stage = running(job("main", "pre-stop", respawn=True))
    stage.stop("web")
    stage.start("web")
    stage.take_news()
    stage.end("web", signal=9)
    assert stage.story() == ["web/ goal respawn"]
    stage.end("web", "pre-stop")
    assert stage.story()[:2] == ["web/ goal start", ROUND]


def test_a_stop_while_the_respawn_is_held_up_stops() -> None:
    stage = Stage.of(web=job("main", "post-start", respawn=True))
    stage.start("web")
    stage.ready("web")
    stage.end("web", signal=9)
    stop = stage.stop("web")
    stage.take_news()
    stage.end("web", "post-start")
    assert stage.story()[:2] == [DOWN, f"{stop} answered"]


def test_main_that_dies_before_it_is_ready_is_respawned_and_counted() -> None:  # design, 4
    stage = Stage.of(web=service(respawn=True, expect=Expect.FORK, respawn_limit=RespawnLimit(1, 60)))
    call = stage.start("web")
    stage.take_news()
    stage.end("web", status=1)
    assert stage.story() == [ROUND, STOPPING_OK, "web/ " + TO_SPAWNED, "event starting JOB=web INSTANCE="]
    assert call not in stage.answers
    stage.end("web", status=1)
    assert stage.story()[:4] == ["web/ failed 0", "call 1 refused: Job failed to start", "web/ goal stop", DOWN]


@pytest.mark.parametrize("process", ["pre-start", "main"])
def test_a_process_that_cannot_be_run_is_not_respawned(process: str) -> None:
    stage = Stage.of(web=job(process, respawn=True))
    stage.start("web")
    spawn_fails(stage, process)
    assert not stage.engine.world.instances


def test_a_failing_pre_start_is_not_respawned() -> None:
    stage = Stage.of(web=job("pre-start", "main", respawn=True))
    stage.start("web")
    stage.end("web", "pre-start", status=1)
    assert not stage.engine.world.instances


# -- the limit of respawns ----------------------------------------------------------------------------------------


def die(stage: Stage) -> bool:
    """Main is killed, and ready again if it is respawned; whether it was."""
    stage.end("web", signal=9)
    if not stage.engine.world.instances:
        return False
    stage.ready("web")
    return True


def test_as_many_respawns_as_the_limit_counts_are_granted_and_no_more() -> None:
    stage = running(service(respawn=True, respawn_limit=RespawnLimit(2, 60)))
    assert die(stage)
    assert die(stage)
    stage.take_news()
    assert not die(stage)
    assert stage.story() == [
        "web/ failed 0",
        "web/ goal stop",
        DOWN,
        "web/ removed",
        "event stopping JOB=web INSTANCE= RESULT=failed PROCESS=respawn",
        "event stopped JOB=web INSTANCE= RESULT=failed PROCESS=respawn",
    ]


def test_the_limit_is_ten_in_five_seconds_where_nothing_is_said() -> None:
    stage = running(service(respawn=True))
    assert [die(stage) for _ in range(11)] == [True] * 10 + [False]


@pytest.mark.parametrize("limit", [RespawnLimit(0, 5), RespawnLimit(10, 0)])
def test_a_limit_of_zero_is_no_limit(limit: RespawnLimit) -> None:
    stage = running(service(respawn=True, respawn_limit=limit))
    assert all(die(stage) for _ in range(50))


def test_the_window_of_the_limit_does_not_slide() -> None:
    stage = running(service(respawn=True, respawn_limit=RespawnLimit(2, 10)))
    assert die(stage)  # opens the window at 0
    stage.pass_time(9.0)
    assert die(stage)
    stage.pass_time(1.0)
    assert die(stage)  # 10 seconds after: opens a new one, in which it is the first
    assert die(stage)
    assert not die(stage)


def test_the_time_of_the_limit_is_in_whole_seconds() -> None:
    stage = running(service(respawn=True, respawn_limit=RespawnLimit(1, 2)))
    stage.pass_time(0.9)  # opened at second 0
    assert die(stage)
    stage.pass_time(1.2)  # 1.2 seconds later, which is second 2
    assert die(stage)


def test_the_count_survives_a_restart_and_is_gone_after_waiting() -> None:
    stage = running(service(respawn=True, respawn_limit=RespawnLimit(1, 60)))
    assert die(stage)
    stage.restart("web")
    stage.end("web", signal=15)
    stage.ready("web")
    assert not die(stage)
    stage.run_up("web")
    assert die(stage)


def test_respawning_too_fast_in_post_start_waits_for_post_start() -> None:
    stage = Stage.of(web=job("main", "post-start", respawn=True, respawn_limit=RespawnLimit(1, 60)))
    stage.start("web")
    stage.ready("web")
    for _ in range(2):
        stage.end("web", signal=9)
        if stage.instance("web").goal is Goal.STOP:
            break
        stage.end("web", "post-start")
        stage.ready("web")
    assert stage.instance("web").state is State.POST_START
    assert stage.take_news()[-3:] == ["web/ failed 0", "call 1 refused: Job failed to start", "web/ goal stop"]


# -- killing ------------------------------------------------------------------------------------------------------


def test_the_kill_signal_is_sent_and_after_the_timeout_kill() -> None:
    stage = running(service(kill_signal=2, kill_timeout=3))
    stage.stop("web")
    main = stage.process("web")
    assert main.signals == [2]
    stage.pass_time(2.99)
    assert main.signals == [2]
    stage.pass_time(0.01)
    assert main.signals == [2, 9]
    stage.pass_time(100.0)
    assert main.signals == [2, 9]


def test_the_kill_timeout_begins_when_the_stopping_event_has_finished() -> None:
    stage = Stage.of(web=service(), helper=service(task=True, start_on=on("stopping", "web")))
    stage.run_up("web")
    stage.stop("web")
    stage.ready("helper")
    stage.pass_time(60.0)
    assert stage.process("web").signals == []
    stage.end("helper")
    assert stage.process("web").signals == [15]
    assert stage.engine.next_deadline() == stage.now + 5


def test_a_kill_timeout_of_zero_sends_kill_at_once() -> None:  # design, 6
    stage = running(service(kill_timeout=0))
    stage.stop("web")
    assert stage.process("web").signals == [15, 9]
    assert stage.engine.next_deadline() is None


def test_when_main_ends_the_kill_timer_is_off() -> None:
    stage = running(job("main", "post-stop"))
    stage.stop("web")
    stage.end("web", signal=15)
    assert stage.engine.next_deadline() is None


def test_nothing_is_sent_to_a_main_process_that_has_ended_before() -> None:
    stage = running(service())
    asked: list[effects.Effect] = stage.engine.step(
        inputs.ProcessEnded(stage.instance("web").uid, ProcessName.MAIN, 0), stage.now
    )
    assert not [effect for effect in asked if isinstance(effect, effects.KillProcess)]


# -- expect -------------------------------------------------------------------------------------------------------


def spawned(stage: Stage, process: str = "main") -> effects.Spawn:
    return stage.process("web", process).spawn


@pytest.mark.parametrize("expect", Expect)
def test_only_main_is_followed_as_expect_says(expect: Expect) -> None:
    stage = Stage.of(web=job("pre-start", "main", expect=expect))
    stage.start("web")
    assert spawned(stage, "pre-start").expect is Expect.NONE
    stage.end("web", "pre-start")
    assert spawned(stage).expect is expect


def test_a_pid_is_listed_from_the_fork_to_the_end_and_main_is_the_one_followed_at_present() -> None:
    stage = Stage.of(web=job("main", "post-start", expect=Expect.FORK))
    stage.start("web")
    instance = stage.instance("web")
    first = stage.process("web").pid
    assert instance.processes == [(ProcessName.MAIN, first)]
    stage.step(inputs.MainFollowed(instance.uid, 4711))
    assert instance.processes == [(ProcessName.MAIN, 4711)]
    assert instance.state is State.SPAWNED
    stage.ready("web")
    post_start = stage.process("web", "post-start").pid
    assert instance.processes == [(ProcessName.MAIN, 4711), (ProcessName.POST_START, post_start)]
    stage.end("web", "post-start")
    assert instance.processes == [(ProcessName.MAIN, 4711)]


@pytest.mark.parametrize("state", [State.POST_START, State.RUNNING, State.PRE_STOP, State.KILLED])
def test_that_main_is_ready_matters_in_spawned_only(state: State) -> None:
    stage = Stage.of(web=job("main", "post-start", "pre-stop"))
    stage.start("web")
    stage.ready("web")
    if state is not State.POST_START:
        stage.end("web", "post-start")
    if state in (State.PRE_STOP, State.KILLED):
        stage.stop("web")
    if state is State.KILLED:
        stage.end("web", "pre-stop")
    stage.take_news()
    stage.ready("web")
    assert stage.instance("web").state is state
    assert stage.take_news() == []


def test_a_process_that_was_asked_for_and_is_not_forked_yet_has_no_pid_to_list() -> None:
    stage = Stage.of(web=service())
    stage.engine.step(inputs.StartJob("web", (), False, "caller"), stage.now)
    assert stage.instance("web").processes == []


def test_a_main_that_was_lost_while_running_counts_as_ended_with_status_0() -> None:  # design, 2
    stage = running(service(expect=Expect.DAEMON))
    pid = stage.process("web").pid
    stage.end("web", status=None)
    assert stage.story()[:2] == ["web/ goal stop", DOWN]
    assert stage.log == [
        (
            Priority.WARN,
            f"web main process ({pid}) is gone, its exit status unknown: expect daemon does not fit this program",
        )
    ]


@pytest.mark.parametrize("normal", [frozenset(), frozenset({0})])
def test_a_lost_main_is_respawned_as_one_that_exited_0_would_be(normal: frozenset[int]) -> None:
    stage = running(service(expect=Expect.FORK, respawn=True, normal_exit_statuses=normal))
    stage.end("web", status=None)
    assert stage.story()[0] == ("web/ goal stop" if normal else ROUND)


@pytest.mark.parametrize("expect", Expect)
def test_what_a_lost_main_may_have_left_is_ended_when_killed_is_left(expect: Expect) -> None:  # design, 2
    stage = running(service(expect=expect, kill_signal=2, kill_timeout=7))
    stage.stop("web")
    uid = stage.instance("web").uid
    asked = stage.engine.step(inputs.ProcessEnded(uid, ProcessName.MAIN), stage.now)
    leftovers = [effect for effect in asked if isinstance(effect, effects.KillLeftovers)]
    assert leftovers == ([effects.KillLeftovers(uid, 2, 7)] if expect in (Expect.FORK, Expect.DAEMON) else [])


# -- what is said -------------------------------------------------------------------------------------------------


def test_the_log_says_how_processes_ended() -> None:
    stage = Stage.of(web=job("pre-start", "main", instance="$N"))
    stage.start("web", "N=a")
    pid = stage.process("web", "pre-start", "a").pid
    stage.end("web", "pre-start", status=3, instance="a")
    stage.start("web", "N=b")
    stage.end("web", "pre-start", instance="b")
    main = stage.process("web", instance="b").pid
    stage.ready("web", "b")
    stage.end("web", signal=10, instance="b")
    assert stage.log == [
        (Priority.WARN, f"web (a) pre-start process ({pid}) terminated with status 3"),
        (Priority.WARN, f"web (b) main process ({main}) killed by USR1 signal"),
    ]


def test_the_log_says_that_a_process_is_respawned_and_when_that_is_too_often() -> None:
    stage = running(service(respawn=True, respawn_limit=RespawnLimit(1, 30)))
    first = stage.process("web").pid
    stage.end("web", status=2)
    second = stage.process("web").pid
    stage.ready("web")
    stage.end("web", signal=40)
    assert [text for _, text in stage.log] == [
        f"web main process ({first}) terminated with status 2",
        "web main process ended, respawning",
        f"web main process ({second}) killed by signal 40",
        "web respawning too fast, stopped",
    ]
    assert {priority for priority, _ in stage.log} == {Priority.WARN}


@pytest.mark.parametrize(("status", "signal"), [(3, None), (None, 15)])
def test_an_end_that_normal_exit_lists_is_no_warning(status: int | None, signal: int | None) -> None:  # design, 31
    config = service(normal_exit_statuses=frozenset({3}), normal_exit_signals=frozenset({15}))
    stage = running(config)
    stage.end("web", status=status, signal=signal)
    assert stage.log == []


@pytest.mark.parametrize(("status", "signal"), [(3, None), (None, 15)])
@pytest.mark.parametrize("process", ["pre-start", "post-stop"])
def test_such_an_end_of_another_process_is_no_warning_either_though_it_fails_the_job(
    process: str, status: int | None, signal: int | None
) -> None:
    stage = Stage.of(web=job(process, normal_exit_statuses=frozenset({3}), normal_exit_signals=frozenset({15})))
    stage.start("web")
    if process == "post-stop":
        stage.stop("web")
    stage.take_news()
    stage.end("web", process, status=status, signal=signal)
    assert stage.log == []
    assert any("failed" in line for line in stage.story())


def test_goals_states_and_good_ends_are_told_as_information() -> None:
    stage = Stage.of(web=service(task=True))
    stage.engine.world.log_priority = Priority.INFO
    stage.start("web")
    pid = stage.process("web").pid
    stage.ready("web")
    stage.log.clear()
    stage.end("web")
    assert stage.log[:3] == [
        (Priority.INFO, f"web main process ({pid}) exited normally"),
        (Priority.INFO, "web goal changed from start to stop"),
        (Priority.INFO, "web state changed from running to stopping"),
    ]
