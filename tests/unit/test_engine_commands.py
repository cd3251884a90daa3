"""Start, Stop, Restart and Reload: what they check, in which order, what they do and how they are answered.

Source: lifecycle specification, sections 2, 3 and 12; design, 1, 3 and 5.
"""

from __future__ import annotations

import pytest

from support.jobs import both, job, on, service
from support.stage import TO_POST_STOP, TO_PRE_START, TO_RUNNING, TO_SPAWNED, Stage
from upstartd.conf.model import Expect
from upstartd.engine import inputs
from upstartd.engine.effects import InstanceRef
from upstartd.engine.states import Goal, State
from upstartd.errors import InvalidArgs, UnknownInstance, UnknownJob

JOB_METHODS = (inputs.StartJob, inputs.StopJob, inputs.RestartJob)


def stopping_in_post_stop() -> Stage:
    """A job that is on its way down and waits for its post-stop process."""
    stage = Stage.of(web=job("main", "post-stop"))
    stage.run_up("web")
    stage.stop("web", wait=False)
    stage.end("web", signal=15)
    stage.take_news()
    return stage


# -- what is refused --------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", JOB_METHODS)
def test_a_job_that_is_not_there_is_unknown(method: type) -> None:
    stage = Stage.of()
    assert stage.error(stage.call(method, "web", ("A",), True)) == ("UnknownJob", "Unknown job: web")


@pytest.mark.parametrize("entry", ["B", ""])
@pytest.mark.parametrize("method", JOB_METHODS)
def test_an_env_string_without_equals_is_refused_before_anything_else_is_looked_at(method: type, entry: str) -> None:
    stage = Stage.of(web=service(instance="$N"))
    call = stage.call(method, "web", ("A=1", entry), True)
    assert stage.error(call) == ("InvalidArgs", "Env must be KEY=VALUE pairs")
    with pytest.raises(InvalidArgs, match=r"^Env must be KEY=VALUE pairs$"):
        stage.engine.find_instance("web", ("A=1", entry))


@pytest.mark.parametrize("method", JOB_METHODS)
def test_an_instance_name_that_cannot_be_expanded_is_refused(method: type) -> None:
    stage = Stage.of(web=service(instance="$SIZE-$COLOUR"))
    call = stage.call(method, "web", ("SIZE=big",), True)
    assert stage.error(call) == ("InvalidArgs", "Unknown parameter: COLOUR")
    assert not stage.engine.world.instances


def test_start_and_get_instance_tell_the_usage_where_the_instance_name_cannot_be_expanded() -> None:
    stage = Stage.of(web=service(instance="$DEV", usage="web DEV=ttyX"))
    message = "Unknown parameter: DEV\nUsage: web DEV=ttyX"
    assert stage.error(stage.start("web")) == ("InvalidArgs", message)
    with pytest.raises(InvalidArgs) as caught:
        stage.engine.find_instance("web", ())
    assert caught.value.message == message
    assert stage.error(stage.stop("web")) == ("InvalidArgs", "Unknown parameter: DEV")
    assert stage.error(stage.restart("web")) == ("InvalidArgs", "Unknown parameter: DEV")


@pytest.mark.parametrize("method", [inputs.StopJob, inputs.RestartJob])
def test_stop_and_restart_of_an_instance_that_is_not_there_name_it(method: type) -> None:
    stage = Stage.of(web=service(), inst=service(instance="$N"))
    assert stage.error(stage.call(method, "web", (), True)) == ("UnknownInstance", "Unknown instance: ")
    assert stage.error(stage.call(method, "inst", ("N=a b",), True)) == ("UnknownInstance", "Unknown instance: a b")


def test_looking_up_an_instance_gives_it_or_says_that_it_is_unknown() -> None:
    stage = Stage.of(tty=service(instance="$DEV", env=("DEV=tty0",)))
    stage.run_up("tty", "DEV=tty1", instance="tty1")
    assert stage.engine.find_instance("tty", ("DEV=tty1", "OTHER=x")).name == "tty1"
    assert stage.engine.instance_by_name("tty", "tty1").name == "tty1"
    with pytest.raises(UnknownInstance, match=r"^Unknown instance: tty0$"):
        stage.engine.find_instance("tty", ())
    with pytest.raises(UnknownInstance, match=r"^Unknown instance: nobody$"):
        stage.engine.instance_by_name("tty", "nobody")
    with pytest.raises(UnknownJob, match=r"^Unknown job: getty$"):
        stage.engine.job_class("getty")


def test_start_where_the_goal_is_start_is_refused_whatever_the_state() -> None:
    stage = Stage.of(web=job("pre-start", "main"), inst=service(instance="$N"))
    stage.start("web")
    for state in (State.PRE_START, State.SPAWNED, State.RUNNING):
        assert stage.instance("web").state is state
        assert stage.error(stage.start("web")) == ("AlreadyStarted", "Job is already running: web")
        call = stage.call(inputs.StartInstance, "web", "", True)
        assert stage.error(call) == ("AlreadyStarted", "Job is already running: web")
        if state is State.PRE_START:
            stage.end("web", "pre-start")
        elif state is State.SPAWNED:
            stage.ready("web")
    stage.start("inst", "N=one")
    assert stage.error(stage.start("inst", "N=one")) == ("AlreadyStarted", "Job is already running: inst (one)")


def test_a_refused_start_leaves_earlier_callers_waiting_and_the_environment_as_it_was() -> None:
    stage = Stage.of(web=job("pre-start", "main"))
    first = stage.start("web", "A=1")
    stage.start("web", "A=2")
    assert first not in stage.answers
    assert stage.instance("web").next_supplies is None
    stage.end("web", "pre-start")
    assert "A=1" in stage.process("web").spawn.env


def test_stop_and_restart_where_the_goal_is_stop_are_refused() -> None:
    stage = stopping_in_post_stop()
    for call in (
        stage.stop("web"),
        stage.call(inputs.StopInstance, "web", "", True),
        stage.call(inputs.RestartInstance, "web", "", True),
    ):
        assert stage.error(call) == ("AlreadyStopped", "Job has already been stopped: web")
    assert stage.instance("web").state is State.POST_STOP


def test_a_refused_restart_names_the_instance_and_only_job_restart_names_it_alone() -> None:
    stage = Stage.of(inst=job("main", "post-stop", instance="$N"))
    stage.start("inst", "N=one")
    stage.ready("inst", "one")
    stage.stop("inst", "N=one")
    by_instance = stage.call(inputs.RestartInstance, "inst", "one", True)
    assert stage.error(by_instance) == ("AlreadyStopped", "Job has already been stopped: inst (one)")
    assert stage.error(stage.restart("inst", "N=one")) == ("AlreadyStopped", "Job has already been stopped: one")
    assert stage.error(stage.stop("inst", "N=one")) == ("AlreadyStopped", "Job has already been stopped: inst (one)")


# -- without wait -----------------------------------------------------------------------------------------


def test_start_without_wait_is_answered_before_its_starting_event_is_handled() -> None:
    stage = Stage.of(web=job("pre-start", "main"))
    call = stage.start("web", wait=False)
    assert stage.story() == [
        "web/ added",
        "web/ goal start",
        "web/ starting",
        "call 1 answered",
        "web/ " + TO_PRE_START,
        "event starting JOB=web INSTANCE=",
    ]
    assert stage.answers[call] == InstanceRef("web", "")


def test_restart_without_wait_is_answered_after_the_goal_has_gone_there_and_back() -> None:
    stage = Stage.of(web=service())
    stage.run_up("web")
    stage.take_news()
    for call, answer in (
        (stage.restart("web", wait=False), InstanceRef("web", "")),
        (stage.call(inputs.RestartInstance, "web", "", False), None),
    ):
        assert stage.answers[call] == answer
    assert stage.story() == [
        "web/ goal stop",
        "web/ pre-stopping pre-stop stopping",
        "web/ goal start",
        "call 2 answered",
        "web/ killed",
        "event stopping JOB=web INSTANCE= RESULT=ok",
        "web/ goal stop",
        "web/ goal start",
        "call 3 answered",
    ]


def test_stop_without_wait_is_answered_before_its_stopping_event_is_handled() -> None:
    stage = Stage.of(web=service())
    stage.run_up("web")
    stage.take_news()
    call = stage.call(inputs.StopInstance, "web", "", False)
    assert stage.story() == [
        "web/ goal stop",
        "web/ pre-stopping pre-stop stopping",
        "call 2 answered",
        "web/ killed",
        "event stopping JOB=web INSTANCE= RESULT=ok",
    ]
    assert stage.answers[call] is None


# -- with wait --------------------------------------------------------------------------------------------


def test_a_waiting_start_of_a_service_is_answered_with_its_instance_when_it_runs() -> None:
    stage = Stage.of(inst=service(instance="$N"))
    call = stage.start("inst", "N=one")
    assert call not in stage.answers
    stage.ready("inst", "one")
    assert stage.answers[call] == InstanceRef("inst", "one")


def test_a_waiting_start_of_a_task_is_answered_when_it_has_finished() -> None:
    stage = Stage.of(copy=service(task=True))
    call = stage.start("copy")
    stage.ready("copy")
    assert stage.instance("copy").state is State.RUNNING
    assert call not in stage.answers
    stage.take_news()
    stage.end("copy")
    assert stage.story() == [
        "copy/ goal stop",
        f"copy/ {TO_POST_STOP} waiting",
        "call 1 answered",
        "copy/ removed",
        "event stopping JOB=copy INSTANCE= RESULT=ok",
        "event stopped JOB=copy INSTANCE= RESULT=ok",
    ]
    assert stage.answers[call] == InstanceRef("copy", "")


def test_a_waiting_start_of_a_task_is_answered_when_pre_stop_goes_back_to_running() -> None:
    stage = Stage.of(copy=job("main", "pre-stop", task=True))
    stage.start("copy")
    stage.ready("copy")
    stage.stop("copy")
    start = stage.start("copy")
    assert start not in stage.answers
    stage.end("copy", "pre-stop")
    assert stage.answers[start] == InstanceRef("copy", "")
    assert stage.instance("copy").state is State.RUNNING


def test_a_waiting_start_is_answered_well_by_a_service_that_ends_in_good_order_before_it_ran() -> None:
    stage = Stage.of(web=service(expect=Expect.STOP))
    call = stage.start("web")
    stage.take_news()
    stage.end("web")
    assert stage.story()[:3] == [
        "web/ goal stop",
        f"web/ {TO_POST_STOP} waiting",
        "call 1 answered",
    ]
    assert stage.answers[call] == InstanceRef("web", "")


def test_a_waiting_stop_is_answered_in_waiting() -> None:
    stage = stopping_in_post_stop()
    stage.start("web", wait=False)
    stop = stage.stop("web")
    assert stop not in stage.answers
    stage.end("web", "post-stop")
    assert stage.answers[stop] is None
    assert not stage.engine.world.instances


def test_the_first_failure_answers_whoever_waits_in_the_words_of_what_was_asked() -> None:
    stage = Stage.of(web=job("pre-start", "main", "post-stop"))
    start = stage.start("web")
    stage.end("web", "pre-start", status=1)
    assert stage.error(start) == ("JobFailed", "Job failed to start")
    stage.end("web", "post-stop")
    stage.start("web")
    restart = stage.restart("web")
    stage.end("web", "pre-start", status=1)
    assert stage.error(restart) == ("JobFailed", "Job failed to restart")
    stage.end("web", "post-stop")
    stage.start("web")
    stop = stage.stop("web")
    stage.end("web", "pre-start", status=1)
    assert stage.error(stop) == ("JobFailed", "Job failed while stopping")


# -- a later call answers an earlier one --------------------------------------------------------------------


def test_a_later_stop_answers_a_waiting_start_well_before_it_changes_the_goal() -> None:
    stage = Stage.of(long=service(task=True))
    start = stage.start("long")
    stage.ready("long")
    stage.take_news()
    stop = stage.stop("long")
    assert stage.story()[:3] == ["call 1 answered", "long/ goal stop", "long/ pre-stopping pre-stop stopping killed"]
    assert stage.answers[start] == InstanceRef("long", "")
    assert stop not in stage.answers
    stage.end("long", signal=15)
    assert stage.answers[stop] is None


def test_a_later_start_answers_a_waiting_stop_well() -> None:
    stage = Stage.of(web=job("main", "post-stop"))
    stage.run_up("web")
    stop = stage.stop("web")
    stage.end("web", signal=15)
    stage.take_news()
    start = stage.start("web")
    assert stage.story() == [f"{stop} answered", "web/ goal start"]
    assert stage.answers[stop] is None
    stage.end("web", "post-stop")
    stage.ready("web")
    assert stage.answers[start] == InstanceRef("web", "")


@pytest.mark.parametrize("wait", [True, False])
def test_a_later_restart_answers_a_waiting_start_well(wait: bool) -> None:
    stage = Stage.of(web=job("pre-start", "main"))
    stage.start("web")
    stage.take_news()
    stage.restart("web", wait=wait)
    assert stage.story() == [
        "call 1 answered",
        "web/ goal stop",
        "web/ goal start",
        *([] if wait else ["call 2 answered"]),
    ]


def test_a_stop_condition_answers_a_waiting_start_well() -> None:
    stage = Stage.of(web=job("pre-start", "main", stop_on=on("halt")))
    start = stage.start("web")
    stage.take_news()
    stage.emit("halt")
    assert stage.story() == ["call 1 answered", "web/ goal stop"]
    assert stage.answers[start] == InstanceRef("web", "")


def test_a_start_condition_answers_a_waiting_stop_well() -> None:
    stage = Stage.of(web=job("main", "post-stop", start_on=on("go")))
    stage.run_up("web")
    stop = stage.stop("web")
    stage.end("web", signal=15)
    stage.emit("go")
    assert stage.answers[stop] is None


def test_a_condition_that_changes_nothing_answers_nobody() -> None:
    stage = Stage.of(web=job("pre-start", "main", "post-stop", start_on=on("go"), stop_on=on("halt")))
    start = stage.start("web")
    stage.emit("go")
    assert start not in stage.answers
    stop = stage.stop("web")
    stage.emit("halt")
    assert stop not in stage.answers


# -- restart ------------------------------------------------------------------------------------------------


def test_restart_runs_a_job_down_to_post_stop_and_up_again_as_the_same_instance() -> None:
    stage = Stage.of(web=job("pre-start", "main", "post-start", "post-stop"))
    stage.start("web")
    stage.end("web", "pre-start")
    stage.ready("web")
    stage.end("web", "post-start")
    stage.take_news()
    call = stage.restart("web")
    assert stage.story() == [
        "web/ goal stop",
        "web/ pre-stopping pre-stop stopping",
        "web/ goal start",
        "web/ killed",
        "event stopping JOB=web INSTANCE= RESULT=ok",
    ]
    stage.end("web", signal=15)
    assert stage.story() == ["web/ post-stopping post-stop"]
    stage.end("web", "post-stop")
    assert stage.story() == ["web/ starting " + TO_PRE_START, "event starting JOB=web INSTANCE="]
    stage.end("web", "pre-start")
    assert stage.story() == ["web/ spawning spawned"]
    stage.ready("web")
    assert stage.story() == ["web/ post-starting post-start"]
    stage.end("web", "post-start")
    assert stage.story() == ["web/ running", "call 2 answered", "event started JOB=web INSTANCE="]
    assert stage.answers[call] == InstanceRef("web", "")


def test_restart_while_pre_start_runs_changes_the_goal_there_and_back_and_waits_for_running() -> None:
    stage = Stage.of(web=job("pre-start", "main"))
    stage.start("web")
    stage.take_news()
    stage.restart("web")
    assert stage.story() == ["call 1 answered", "web/ goal stop", "web/ goal start"]
    assert list(stage.instance("web").pids) == [stage.process("web", "pre-start").spawn.process]
    stage.end("web", "pre-start")
    stage.ready("web")
    assert stage.story() == [
        "web/ spawning spawned " + TO_RUNNING,
        "call 2 answered",
        "event started JOB=web INSTANCE=",
    ]


def test_restart_while_expect_still_waits_does_not_stop_anything() -> None:
    stage = Stage.of(web=service(expect=Expect.FORK))
    stage.start("web")
    stage.restart("web")
    assert stage.instance("web").state is State.SPAWNED
    assert stage.process("web").signals == []


def test_a_restart_whose_post_stop_fails_ends_in_waiting() -> None:
    stage = Stage.of(web=job("main", "post-stop"))
    stage.run_up("web")
    call = stage.restart("web")
    stage.end("web", signal=15)
    stage.take_news()
    stage.end("web", "post-stop", status=8)
    assert stage.story() == [
        "web/ failed 8",
        "call 2 refused: Job failed to restart",
        "web/ goal stop",
        "web/ waiting",
        "web/ removed",
        "event stopped JOB=web INSTANCE= RESULT=failed PROCESS=post-stop EXIT_STATUS=8",
    ]
    assert stage.error(call) == ("JobFailed", "Job failed to restart")


# -- design, 1: restart of a job with pre-stop -----------------------------------------------------------------


def restarting_in_pre_stop(*, wait: bool = True) -> Stage:
    """A running job with a pre-stop process, right after a Restart."""
    stage = Stage.of(web=job("main", "pre-stop"))
    stage.run_up("web")
    stage.take_news()
    stage.restart("web", wait=wait)
    return stage


def test_restart_of_a_job_with_pre_stop_runs_that_and_then_replaces_main() -> None:
    stage = restarting_in_pre_stop(wait=False)
    assert stage.story() == [
        "web/ goal stop",
        "web/ pre-stopping pre-stop",
        "web/ goal start",
        "call 2 answered",
    ]
    old = stage.process("web")
    stage.end("web", "pre-stop")
    assert stage.story() == ["web/ stopping killed", "event stopping JOB=web INSTANCE= RESULT=ok"]
    assert old.signals == [15]
    stage.end("web", signal=15)
    assert stage.story() == [
        "web/ post-stopping post-stop starting " + TO_SPAWNED,
        "event starting JOB=web INSTANCE=",
    ]
    stage.ready("web")
    assert stage.story() == ["web/ " + TO_RUNNING, "event started JOB=web INSTANCE="]
    assert stage.process("web").pid != old.pid


def test_restart_with_wait_of_a_job_with_pre_stop_is_answered_when_the_new_main_runs() -> None:
    stage = restarting_in_pre_stop()
    stage.end("web", "pre-stop")
    stage.end("web", signal=15)
    assert "call 2" not in stage.answers
    stage.ready("web")
    assert stage.answers["call 2"] == InstanceRef("web", "")


def test_start_during_the_pre_stop_of_a_restart_is_refused_as_already_started() -> None:
    stage = restarting_in_pre_stop()
    assert stage.error(stage.start("web")) == ("AlreadyStarted", "Job is already running: web")
    stage.end("web", "pre-stop")
    assert stage.instance("web").state is State.KILLED


def test_stop_during_the_pre_stop_of_a_restart_makes_it_a_plain_stop() -> None:
    stage = restarting_in_pre_stop()
    stage.take_news()
    stop = stage.stop("web")
    assert stage.story() == ["call 2 answered", "web/ goal stop"]
    stage.end("web", "pre-stop")
    stage.end("web", signal=15)
    assert stage.answers[stop] is None
    assert not stage.engine.world.instances


def test_main_that_ends_during_the_pre_stop_of_a_restart_is_no_failure() -> None:
    stage = restarting_in_pre_stop()
    stage.take_news()
    stage.end("web", signal=11)
    assert stage.story() == []
    stage.end("web", "pre-stop")
    assert stage.story()[:2] == [
        f"web/ {TO_POST_STOP} starting",
        "event stopping JOB=web INSTANCE= RESULT=ok",
    ]


def test_restart_during_the_pre_stop_of_a_restart_goes_on_with_it() -> None:
    stage = restarting_in_pre_stop()
    stage.take_news()
    stage.restart("web")
    assert stage.story() == ["call 2 answered", "web/ goal stop", "web/ goal start"]
    stage.end("web", "pre-stop")
    assert stage.instance("web").state is State.KILLED


# -- design, 3: a stop while expect still waits ----------------------------------------------------------------


@pytest.mark.parametrize("expect", [Expect.STOP, Expect.FORK, Expect.DAEMON])
@pytest.mark.parametrize("by", ["method", "event"])
def test_a_stop_while_expect_still_waits_kills_main_and_is_no_failure(expect: Expect, by: str) -> None:
    stage = Stage.of(web=job("main", "pre-stop", expect=expect, stop_on=on("halt")))
    stage.start("web")
    stage.take_news()
    if by == "method":
        stage.stop("web")
    else:
        stage.emit("halt")
    assert stage.story() == [
        "call 1 answered",
        "web/ goal stop",
        "web/ stopping killed",
        "event stopping JOB=web INSTANCE= RESULT=ok",
    ]
    assert stage.process("web").signals == [15]
    stage.pass_time(5.0)
    assert stage.process("web").signals == [15, 9]
    stage.end("web", signal=9)
    assert stage.story()[0] == "web/ post-stopping post-stop waiting"
    assert stage.answers["call 2"] is None


def test_a_main_that_cannot_be_run_after_it_was_told_to_end_is_no_failure() -> None:
    stage = Stage.of(web=service(expect=Expect.FORK))
    stage.start("web")
    stop = stage.stop("web")
    stage.take_news()
    stage.spawn_fails((stage.instance("web").uid, stage.process("web").spawn.process))
    assert stage.story()[0] == "web/ post-stopping post-stop waiting"
    assert stage.answers[stop] is None
    assert stage.engine.next_deadline() is None


# -- design, 5: start and restart during a respawn ---------------------------------------------------------------


def respawning_in_post_start() -> Stage:
    """Main has ended while post-start still runs, and is to be respawned."""
    stage = Stage.of(web=job("main", "post-start", respawn=True))
    stage.start("web")
    stage.ready("web")
    stage.end("web", signal=9)
    assert stage.instance("web").goal is Goal.RESPAWN
    stage.take_news()
    return stage


def test_start_while_the_goal_is_respawn_is_refused_and_the_respawn_goes_on() -> None:
    stage = respawning_in_post_start()
    assert stage.error(stage.start("web")) == ("AlreadyStarted", "Job is already running: web")
    call = stage.call(inputs.StartInstance, "web", "", True)
    assert stage.error(call) == ("AlreadyStarted", "Job is already running: web")
    stage.end("web", "post-start")
    assert stage.process("web").spawn.process.value == "main"


def test_restart_while_the_goal_is_respawn_changes_no_goal_and_is_answered_when_it_runs() -> None:
    stage = respawning_in_post_start()
    call = stage.restart("web", "A=1")
    assert stage.story() == ["call 1 answered"]
    stage.end("web", "post-start")
    assert stage.story()[:2] == ["web/ goal start", f"web/ {TO_POST_STOP} starting"]
    assert "A=1" in stage.process("web").spawn.env
    stage.ready("web")
    stage.end("web", "post-start")
    assert stage.answers[call] == InstanceRef("web", "")


def test_restart_without_wait_while_the_goal_is_respawn_is_answered_at_once() -> None:
    stage = respawning_in_post_start()
    call = stage.call(inputs.RestartInstance, "web", "", False)
    assert stage.story() == ["call 1 answered", "call 2 answered"]
    assert stage.answers[call] is None
    assert stage.instance("web").goal is Goal.RESPAWN


def test_stop_while_the_goal_is_respawn_stops() -> None:
    stage = respawning_in_post_start()
    stage.stop("web")
    assert stage.story() == ["call 1 answered", "web/ goal stop"]
    stage.end("web", "post-start")
    assert not stage.engine.world.instances


# -- reload ---------------------------------------------------------------------------------------------------


def test_reload_sends_the_reload_signal_and_changes_neither_goal_nor_state() -> None:
    stage = Stage.of(web=service(), usr=service(reload_signal=12))
    for name, signal in (("web", 1), ("usr", 12)):
        stage.run_up(name)
        stage.take_news()
        stage.call(inputs.ReloadInstance, name, "")
        assert stage.process(name).signals == [signal]
        assert [line for line in stage.take_news() if not line.endswith("answered")] == []


def test_reload_without_a_main_process_is_refused() -> None:
    stage = Stage.of(state=job(instance="$N"))
    stage.start("state", "N=one")
    call = stage.call(inputs.ReloadInstance, "state", "one")
    assert stage.error(call) == ("NotRunning", "Job is not running: state (one)")


def test_reload_of_a_main_process_that_is_being_killed_is_sent_too() -> None:
    stage = Stage.of(web=service())
    stage.run_up("web")
    stage.stop("web")
    stage.call(inputs.ReloadInstance, "web", "")
    assert stage.process("web").signals == [15, 1]


# -- start conditions and calls together ------------------------------------------------------------------------


def test_instances_of_other_names_are_independent_of_each_other() -> None:
    stage = Stage.of(tty=service(instance="$DEV"))
    for name in ("tty1", "tty2"):
        stage.start("tty", f"DEV={name}")
        stage.ready("tty", name)
    stage.stop("tty", "DEV=tty1")
    stage.end("tty", signal=15, instance="tty1")
    assert list(stage.engine.job_class("tty").instances) == ["tty2"]
    assert stage.instance("tty", "tty2").state is State.RUNNING


@pytest.mark.parametrize("name", ["", " ", "a/b", "é", "\udcff", "$"])
def test_an_instance_may_have_any_name(name: str) -> None:
    stage = Stage.of(web=service(instance="$N"))
    call = stage.start("web", f"N={name}")
    stage.ready("web", name)
    assert stage.answers[call] == InstanceRef("web", name)


def test_a_start_by_hand_does_not_empty_the_start_condition() -> None:
    stage = Stage.of(pair=service(start_on=both(on("left"), on("right"))))
    left = stage.emit("left")
    stage.run_up("pair")
    assert left not in stage.answers
    stage.stop("pair")
    stage.end("pair", signal=15)
    stage.emit("right")
    assert stage.instance("pair").goal is Goal.START
