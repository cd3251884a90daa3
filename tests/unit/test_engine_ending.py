"""How a session and a system instance end: runtime specification, section 8; design, Ending in order."""

from __future__ import annotations

import pytest

from support.jobs import both, job, on, service
from support.stage import Stage
from upstartd.engine import inputs
from upstartd.engine.states import State
from upstartd.log import Priority

LOGOUT, SHUTDOWN = "logout", "shutdown"


def end_session(stage: Stage, kind: str = LOGOUT) -> str:
    return stage.call(inputs.EndSession, kind)


# -- a session, nobody listening ----------------------------------------------------------------------------------


def test_a_session_without_instances_that_is_told_to_shut_down_ends_at_once() -> None:
    stage = Stage.of(web=service())
    end_session(stage, SHUTDOWN)
    assert stage.story() == ["call 1 answered", "event session-end TYPE=shutdown"]
    assert stage.ended == 0
    assert stage.engine.next_deadline() is None


def test_at_logout_clients_are_served_until_it_is_looked_after_a_second_whether_anything_is_left() -> None:
    stage = Stage.of(web=service(), task=job())
    end_session(stage)
    assert stage.story() == ["call 1 answered", "event session-end TYPE=logout"]
    stage.pass_time(0.9)
    assert stage.ended is None
    again, task = end_session(stage), stage.start("task")
    assert stage.answers[again] is None
    assert task in stage.answers
    stage.stop("task")
    stage.pass_time(0.1)
    assert stage.ended == 0
    assert stage.engine.next_deadline() is None


def test_every_instance_is_told_to_stop_before_the_call_is_answered_and_the_event_is_handled() -> None:
    stage = Stage.of(one=job("main", "post-stop"), two=service(stop_on=on("session-end")))
    stage.run_up("one")
    stage.run_up("two")
    stage.take_news()
    end_session(stage)
    assert stage.story() == [
        "one/ goal stop",
        "one/ pre-stopping pre-stop stopping",
        "two/ goal stop",
        "two/ pre-stopping pre-stop stopping",
        "call 3 answered",
        "event session-end TYPE=logout",
        "one/ killed",
        "event stopping JOB=one INSTANCE= RESULT=ok",
        "two/ killed",
        "event stopping JOB=two INSTANCE= RESULT=ok",
    ]
    stage.end("two", signal=15)
    stage.end("one", signal=15)
    assert stage.ended is None
    stage.end("one", "post-stop")
    assert stage.ended is None
    stage.pass_time(1.0)
    assert stage.ended == 0


def test_a_stop_on_session_end_adds_nothing_to_the_stop() -> None:
    stage = Stage.of(watch=job("main", "post-stop", stop_on=on("session-end")))
    stage.run_up("watch")
    end_session(stage)
    stage.end("watch", signal=15)
    assert not any(entry.startswith("TYPE=") for entry in stage.process("watch", "post-stop").spawn.env)


def test_a_stop_at_the_session_s_end_goes_through_pre_stop_kill_timeout_and_post_stop() -> None:
    stage = Stage.of(web=job("main", "pre-stop", "post-stop", kill_timeout=3))
    stage.run_up("web")
    end_session(stage)
    stage.end("web", "pre-stop")
    main = stage.process("web")
    stage.pass_time(3.0)
    assert main.signals == [15, 9]
    stage.end("web", signal=9)
    stage.end("web", "post-stop")
    stage.pass_time(1.0)
    assert stage.ended == 0
    assert not [text for priority, text in stage.log if "failed to stop" in text]


def test_whoever_waits_for_an_instance_is_answered_when_it_has_stopped() -> None:
    stage = Stage.of(web=job("pre-start", "main", start_on=on("go")), db=job("pre-start"))
    event, start = stage.emit("go"), stage.start("db")
    end_session(stage)
    assert not {event, start} & stage.answers.keys()
    stage.end("web", "pre-start")
    stage.end("db", "pre-start")
    assert {event, start} <= stage.answers.keys()


def test_respawning_is_switched_off_for_good() -> None:
    stage = Stage.of(web=job("main", "post-start", respawn=True), bye=service(respawn=True, start_on=on("session-end")))
    stage.start("web")
    stage.ready("web")
    stage.end("web", signal=9)  # the goal is respawn, held up by post-start
    end_session(stage)
    stage.end("web", "post-start")
    stage.ready("bye")
    stage.take_news()
    stage.end("bye", signal=9)
    assert stage.story()[:2] == ["bye/ failed 2304", "bye/ goal stop"]
    stage.pass_time(1.0)
    assert stage.ended == 0


def test_events_and_calls_are_served_while_the_session_ends() -> None:
    stage = Stage.of(web=job("main", "post-stop"), late=service(start_on=on("late")))
    stage.run_up("web")
    end_session(stage)
    late = stage.emit("late")
    stage.ready("late")
    assert stage.answers[late] is None
    stage.end("web", signal=15)
    stage.end("web", "post-stop")
    assert stage.ended is None
    stage.stop("late")
    stage.end("late", signal=15)
    stage.pass_time(1.0)
    assert stage.ended == 0


def test_a_second_request_is_accepted_and_does_nothing() -> None:
    stage = Stage.of(web=job("main", "post-stop"))
    stage.run_up("web")
    end_session(stage)
    stage.take_news()
    end_session(stage, SHUTDOWN)
    stage.step(inputs.EndInOrder())
    assert stage.story() == ["call 3 answered"]
    stage.end("web", signal=15)
    stage.end("web", "post-stop")
    stage.pass_time(1.0)
    assert stage.ended == 0


def test_a_signal_that_ends_the_session_answers_nobody() -> None:
    stage = Stage.of(web=service())
    stage.step(inputs.EndSession(SHUTDOWN))
    assert stage.story() == ["event session-end TYPE=shutdown"]
    assert stage.ended == 0


# -- a session, somebody listening ----------------------------------------------------------------------------------


def test_at_logout_what_the_event_starts_may_run_until_it_ends_while_the_others_stop() -> None:
    stage = Stage.of(web=service(), farewell=service(start_on=on("session-end")))
    stage.run_up("web")
    end_session(stage)
    assert stage.instance("web").state is State.KILLED
    assert "TYPE=logout" in stage.process("farewell").spawn.env
    stage.ready("farewell")
    stage.end("web", signal=15)
    stage.pass_time(4.9)
    assert stage.instance("farewell").state is State.RUNNING
    stage.end("farewell")
    assert stage.ended is None
    stage.pass_time(0.1)
    assert stage.ended == 0


def test_at_logout_what_the_event_starts_is_stopped_after_five_seconds() -> None:
    stage = Stage.of(farewell=service(start_on=on("session-end")))
    end_session(stage)
    stage.ready("farewell")
    stage.pass_time(4.9)
    assert stage.process("farewell").signals == []
    stage.pass_time(0.1)
    assert stage.process("farewell").signals == [15]
    stage.end("farewell", signal=15)
    stage.pass_time(1.0)
    assert stage.ended == 0


def test_at_logout_a_job_that_is_not_meant_by_the_event_is_not_waited_for() -> None:
    stage = Stage.of(web=service(), other=service(start_on=on("session-end", "TYPE=shutdown")))
    stage.run_up("web")
    end_session(stage)
    stage.pass_time(5.0)
    assert stage.process("web").signals == [15, 9]
    stage.pass_time(1.0)
    assert stage.ended == 0  # the kill phase has been the only one


def test_at_logout_a_job_without_processes_is_stopped_when_no_process_is_left() -> None:
    stage = Stage.of(web=service(), flag=job(start_on=on("session-end")))
    stage.run_up("web")
    end_session(stage)
    assert stage.instance("flag").state is State.RUNNING
    stage.end("web", signal=15)
    assert stage.ended is None
    stage.pass_time(1.0)
    assert not stage.engine.world.instances
    stage.pass_time(1.0)
    assert stage.ended == 0


def test_at_shutdown_what_the_event_starts_is_not_told_to_stop() -> None:
    stage = Stage.of(bye=service(start_on=on("session-end")))
    end_session(stage, SHUTDOWN)
    stage.ready("bye")
    stage.pass_time(3.0)
    assert stage.process("bye").signals == []
    stage.end("bye")
    assert stage.ended == 0


def test_a_session_whose_instances_have_no_process_left_ends_within_a_second() -> None:
    stage = Stage.of(web=service(), pair=job(start_on=both(on("stopping", "web"), on("never"))))
    stage.run_up("web")
    end_session(stage)  # `stopping web` is held by half a condition
    stage.end("web", signal=9)
    assert stage.instance("web").state is State.STOPPING
    stage.pass_time(1.0)
    assert stage.ended == 0


# -- jobs that do not stop --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("timeouts", "seconds"), [((1,), 5), ((5,), 5), ((1, 30), 30)])
def test_after_the_longest_kill_timeout_but_five_seconds_at_least_the_daemon_ends_without_the_rest(
    timeouts: tuple[int, ...], seconds: int
) -> None:
    stage = Stage()
    for timeout in timeouts:
        stage.define(f"job{timeout}", job("main", "pre-stop", instance="x", kill_timeout=timeout))
        stage.start(f"job{timeout}")
        stage.ready(f"job{timeout}", "x")
    end_session(stage)
    stage.pass_time(seconds)
    assert stage.ended is None
    stage.log.clear()
    stage.pass_time(1.0)
    assert stage.ended == 0
    assert stage.log == [(Priority.WARN, f"job job{timeout} (x) failed to stop") for timeout in timeouts]
    assert all(process.signals == [] for process in stage.processes.values())


@pytest.mark.parametrize("what", [inputs.EndSession(LOGOUT), inputs.EndSession(SHUTDOWN), inputs.EndInOrder()])
def test_the_daemon_ends_even_if_nothing_wakes_it_but_what_it_asked_for(what: inputs.Input) -> None:
    stage = Stage.of(web=job("main", "pre-stop"), bye=service(start_on=on("session-end"), stop_on=on("shutdown")))
    stage.run_up("web")
    stage.step(what)
    for _ in range(20):
        due = stage.engine.next_deadline()
        assert due is not None
        stage.now = due
        stage.step(inputs.TimePassed())
        if stage.ended is not None:
            break
    assert stage.ended == 0


def test_the_stop_at_the_session_s_end_has_no_stop_environment() -> None:
    stage = Stage.of(web=job("main", "post-stop", stop_on=on("halt")))
    stage.run_up("web")
    stage.emit("halt", "WHY=event", wait=False)
    stage.start("web")
    end_session(stage)
    stage.end("web", signal=15)
    assert not any("WHY" in entry or "STOP" in entry for entry in stage.process("web", "post-stop").spawn.env)


def test_a_job_that_is_killed_at_the_end_of_its_timeout_still_runs_post_stop() -> None:
    stage = Stage.of(web=job("main", "post-stop", kill_timeout=5))
    stage.run_up("web")
    end_session(stage)
    stage.pass_time(5.0)
    assert stage.process("web").signals == [15, 9]
    stage.end("web", signal=9)
    stage.end("web", "post-stop")
    stage.pass_time(1.0)
    assert stage.ended == 0
    assert not [text for _, text in stage.log if "failed to stop" in text]


def test_the_log_tells_why_the_daemon_ends_and_how_long_it_took() -> None:
    for seconds, took in ((0.0, "<1 second"), (2.5, "2 seconds")):
        stage = Stage.of(web=service())
        stage.run_up("web")
        stage.engine.world.log_priority = Priority.INFO
        stage.log.clear()
        end_session(stage, SHUTDOWN)
        stage.pass_time(seconds)
        stage.end("web", signal=15)
        assert stage.log[0] == (Priority.INFO, "Quiescing due to shutdown request")
        assert stage.log[-1] == (Priority.INFO, f"Quiesce shutdown sequence took {took}")


# -- ending in order ---------------------------------------------------------------------------------------------------


def end_in_order(stage: Stage) -> None:
    stage.step(inputs.EndInOrder())


def test_a_system_instance_without_instances_ends_at_once_after_its_two_events() -> None:
    stage = Stage.of(web=service())
    end_in_order(stage)
    assert stage.story() == ["event runlevel RUNLEVEL=0", "event shutdown"]
    assert stage.ended == 0


def test_the_last_events_start_nothing() -> None:
    stage = Stage.of(
        rc=service(start_on=on("runlevel", "RUNLEVEL=0")),
        halt=service(start_on=on("shutdown")),
        next=service(start_on=on("stopped", "web")),
        web=service(stop_on=on("shutdown")),
    )
    stage.run_up("web")
    end_in_order(stage)
    assert list(stage.processes) == [(stage.instance("web").uid, stage.process("web").spawn.process)]
    stage.end("web", signal=15)
    assert stage.ended == 0


def test_what_the_last_events_stop_is_down_before_the_others_are_told() -> None:
    stage = Stage.of(web=job("main", "post-stop", stop_on=on("runlevel", "[016]")), db=job("main", "post-stop"))
    stage.run_up("web")
    stage.run_up("db")
    end_in_order(stage)
    assert (stage.process("web").signals, stage.process("db").signals) == ([15], [])
    stage.end("web", signal=15)
    assert "RUNLEVEL=0" in stage.process("web", "post-stop").spawn.env
    stage.end("web", "post-stop")
    assert stage.process("db").signals == [15]
    stage.end("db", signal=15)
    stage.end("db", "post-stop")
    assert stage.ended == 0


def test_jobs_that_stop_on_each_other_s_stopping_go_in_their_order() -> None:
    stage = Stage.of(
        app=service(stop_on=on("stopping", "db")),
        db=service(stop_on=on("stopping", "net")),
        net=service(stop_on=on("shutdown")),
    )
    for name in ("net", "db", "app"):
        stage.run_up(name)
    end_in_order(stage)
    for name, before in (("app", ("db", "net")), ("db", ("net",)), ("net", ())):
        assert all(stage.process(other).signals == [] for other in before)
        assert stage.process(name).signals == [15]
        stage.end(name, signal=15)
    assert stage.ended == 0


def test_while_a_system_instance_ends_starting_is_refused_and_stopping_is_not() -> None:
    stage = Stage.of(web=job("main", "post-stop"), db=service(instance="$N"))
    stage.run_up("web")
    stage.run_up("db", "N=1", instance="1")
    stage.stop("web")
    stage.end("web", signal=15)
    end_in_order(stage)
    sentence = "The daemon is ending, nothing is started any more: "
    for call, title in (
        (stage.start("web"), "web"),
        (stage.call(inputs.StartInstance, "web", "", True), "web"),
        (stage.restart("db", "N=1"), "db (1)"),
        (stage.call(inputs.RestartInstance, "db", "1", True), "db (1)"),
    ):
        assert stage.error(call) == ("PermissionDenied", sentence + title)
    assert stage.start("db") in stage.answers  # the checks of every start come first
    stop = stage.stop("db", "N=1")
    stage.end("db", signal=15, instance="1")
    assert stage.answers[stop] is None


def test_nothing_respawns_while_a_system_instance_ends() -> None:
    stage = Stage.of(web=service(respawn=True), slow=job("main", "post-stop", stop_on=on("shutdown")))
    stage.run_up("web")
    stage.run_up("slow")
    end_in_order(stage)
    stage.end("web", signal=9)
    assert "web" not in {one.job_class.name for one in stage.engine.world.instances.values()}


def test_what_does_not_stop_is_killed_and_the_daemon_ends_well() -> None:
    stage = Stage.of(web=job("main", "pre-stop", "post-stop", kill_timeout=2))
    stage.run_up("web")
    end_in_order(stage)
    stage.pass_time(6.0)
    assert (Priority.WARN, "job web failed to stop") in stage.log
    assert [process.signals for process in stage.processes.values()] == [[9], [9]]
    assert stage.ended is None
    stage.end("web", "pre-stop", signal=9)
    stage.end("web", signal=9)
    post_stop = stage.process("web", "post-stop")  # it runs after the others were killed
    stage.pass_time(1.0)
    assert post_stop.signals == [9]
    assert stage.ended == 0


def test_a_job_that_the_last_events_stop_and_that_hangs_does_not_keep_the_others_running() -> None:
    stage = Stage.of(hangs=job("main", "pre-stop", stop_on=on("shutdown")), web=service())
    stage.run_up("hangs")
    stage.run_up("web")
    end_in_order(stage)
    stage.pass_time(5.9)
    assert stage.process("web").signals == []
    stage.pass_time(0.1)
    assert stage.process("web").signals == [15]
