"""The queue: who holds an event and until when, in which order events finish, and how they fail.

Source: events specification, sections 2 to 5, 11 and 13; lifecycle specification, section 12; design, 13 and 15.
"""

from __future__ import annotations

import pytest

from support.jobs import both, either, job, on, service
from support.stage import TO_RUNNING, TO_SPAWNED, Stage
from upstartd.conf.model import Definition, JobFiles
from upstartd.engine import core, inputs, snapshot
from upstartd.engine.core import Engine
from upstartd.engine.effects import LogLine
from upstartd.engine.states import State
from upstartd.engine.world import World
from upstartd.log import Priority

# -- EmitEvent ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("env", [("A=1",), ("A",)])
def test_an_event_without_a_name_is_refused_before_its_env_is_looked_at(env: tuple[str, ...]) -> None:
    stage = Stage()
    assert stage.error(stage.emit("", *env)) == ("InvalidArgs", "Name may not be empty string")
    assert stage.error(stage.emit("noise", "A=1", "B")) == ("InvalidArgs", "Env must be KEY=VALUE pairs")
    assert not any(line.startswith("event") for line in stage.take_news())


def test_any_other_name_and_any_strings_with_equals_are_accepted_and_kept_as_they_are() -> None:
    stage = Stage()
    stage.emit("two words/and a slash", "A=1", "B=", "A=2", "C=x=y", "=nameless", "sp ace=1")
    assert stage.story() == [
        "call 1 answered",
        "event two words/and a slash A=1 B= A=2 C=x=y =nameless sp ace=1",
    ]


def test_an_event_that_nobody_waits_for_finishes_at_once() -> None:
    stage = Stage()
    stage.emit("nobody")
    stage.emit("nobody", wait=False)
    assert stage.story() == ["call 1 answered", "event nobody", "call 2 answered", "event nobody"]
    assert not stage.engine.world.queue.events


def test_without_wait_an_event_is_answered_before_it_is_offered_and_whatever_becomes_of_it() -> None:
    stage = Stage.of(web=job("pre-start", start_on=on("go")))
    stage.emit("go", wait=False)
    assert stage.story()[:2] == ["call 1 answered", "web/ added"]
    stage.end("web", "pre-start", status=1)
    assert stage.answers["call 1"] is None


def test_the_daemon_s_own_events_answer_nobody() -> None:
    stage = Stage.of(web=job(start_on=on("startup")))
    stage.step(inputs.EmitEvent("startup"))
    assert stage.story()[-1] == "event startup"
    assert stage.answers == {}


# -- who holds an event, and until when ------------------------------------------------------------------------


def test_with_wait_an_event_is_answered_when_the_service_it_started_runs() -> None:
    stage = Stage.of(web=job("pre-start", "main", "post-start", start_on=on("go")))
    call = stage.emit("go")
    stage.end("web", "pre-start")
    stage.ready("web")
    assert call not in stage.answers
    stage.take_news()
    stage.end("web", "post-start")
    assert stage.story() == ["web/ running", f"{call} answered", "event go", "event started JOB=web INSTANCE="]


def test_with_wait_an_event_is_answered_when_the_task_it_started_is_back_in_waiting() -> None:
    stage = Stage.of(copy=job("main", "post-stop", task=True, start_on=on("go")))
    call = stage.emit("go")
    stage.ready("copy")
    stage.end("copy")
    assert call not in stage.answers
    stage.take_news()
    stage.end("copy", "post-stop")
    assert stage.story() == [
        "copy/ waiting",
        "copy/ removed",
        f"{call} answered",
        "event go",
        "event stopped JOB=copy INSTANCE= RESULT=ok",
    ]


def test_with_wait_an_event_is_answered_when_the_job_it_stopped_is_in_waiting() -> None:
    stage = Stage.of(web=job("main", "post-stop", stop_on=on("halt")))
    stage.run_up("web")
    call = stage.emit("halt")
    stage.end("web", signal=15)
    assert call not in stage.answers
    stage.take_news()
    stage.end("web", "post-stop")
    assert stage.story() == [
        "web/ waiting",
        "web/ removed",
        f"{call} answered",
        "event halt",
        "event stopped JOB=web INSTANCE= RESULT=ok",
    ]


def test_an_event_waits_for_all_of_its_holders() -> None:
    stage = Stage.of(
        day=job("post-start", start_on=on("sunrise"), stop_on=on("sunset")),
        night=job("pre-start", "post-stop", start_on=on("sunset"), stop_on=on("sunrise")),
    )
    stage.emit("sunset")
    stage.end("night", "pre-start")
    call = stage.emit("sunrise")
    stage.end("day", "post-start")
    assert call not in stage.answers
    stage.end("night", "post-stop")
    assert call in stage.answers


def test_a_service_that_respawns_after_it_ran_holds_nothing() -> None:
    stage = Stage.of(web=service(respawn=True, start_on=on("go")))
    call = stage.emit("go")
    stage.ready("web")
    stage.end("web", signal=9)
    assert call in stage.answers
    assert stage.instance("web").holding == []


def test_a_service_that_respawns_before_it_ran_and_a_task_go_on_holding() -> None:
    stage = Stage.of(
        web=job("main", "post-start", respawn=True, start_on=on("go")),
        copy=service(task=True, respawn=True, start_on=on("run")),
    )
    go, run = stage.emit("go"), stage.emit("run")
    stage.ready("web")
    stage.ready("copy")
    stage.end("web", signal=9)
    stage.end("web", "post-start")
    stage.end("copy", status=1)
    assert stage.instance("web").state is State.SPAWNED
    assert stage.instance("copy").state is State.SPAWNED
    assert go not in stage.answers
    assert run not in stage.answers


@pytest.mark.parametrize("command", ["start", "stop", "restart"])
def test_an_accepted_call_lets_the_events_of_its_instance_go_with_success_and_at_once(command: str) -> None:
    # Design, 13: nothing else has to wake the daemon for the event to be answered.
    stage = Stage.of(slow=job("pre-start", "main", "post-stop", start_on=on("go"), stop_on=on("halt")))
    event = stage.emit("go", "N=1")
    if command == "start":
        stage.end("slow", "pre-start")
        stage.ready("slow")
        event = stage.emit("halt", "N=1")
        stage.end("slow", signal=15)
    stage.take_news()
    getattr(stage, command)("slow")
    story = stage.story()
    assert f"{event} answered" in story
    assert stage.answers[event] is None
    assert any(line.startswith("event") and line.endswith("N=1") for line in story)


def test_a_refused_call_lets_nothing_go() -> None:
    stage = Stage.of(slow=job("pre-start", "main", start_on=on("go")))
    event = stage.emit("go")
    stage.start("slow")
    assert event not in stage.answers


def test_an_event_that_starts_a_job_takes_it_over_from_the_one_that_stopped_it() -> None:
    stage = Stage.of(web=job("main", "post-stop", start_on=on("go"), stop_on=on("halt")))
    stage.run_up("web")
    halt = stage.emit("halt")
    stage.end("web", signal=15)
    go = stage.emit("go")
    assert stage.answers[halt] is None
    assert go not in stage.answers


def test_a_cancelled_stop_lets_the_events_go_when_it_is_back_in_running() -> None:
    stage = Stage.of(web=job("main", "pre-stop", start_on=on("go"), stop_on=on("halt")))
    stage.run_up("web")
    stage.emit("halt")
    go = stage.emit("go")
    assert go not in stage.answers
    stage.take_news()
    stage.end("web", "pre-stop")
    assert stage.story() == ["web/ running", f"{go} answered", "event go"]


def test_the_last_holder_that_lets_go_finishes_the_event_whoever_it_is() -> None:
    stage = Stage.of(
        one=job("pre-start", start_on=on("go")),
        two=job("pre-start", start_on=on("go")),
        pair=job(start_on=both(on("go"), on("never"))),
    )
    call = stage.emit("go")
    stage.end("two", "pre-start")
    stage.end("one", "pre-start")
    assert call not in stage.answers
    stage.define("pair", None)
    assert call in stage.answers


# -- order ------------------------------------------------------------------------------------------------------


def test_what_waits_for_an_event_goes_on_before_it_is_announced_and_what_comes_of_that_is_queued_behind() -> None:
    stage = Stage.of(web=job())
    stage.start("web", wait=False)
    assert stage.story() == [
        "web/ added",
        "web/ goal start",
        "web/ starting",
        "call 1 answered",
        f"web/ {TO_SPAWNED} {TO_RUNNING}",
        "event starting JOB=web INSTANCE=",
        "event started JOB=web INSTANCE=",
    ]


def test_events_emitted_on_the_way_are_reached_in_the_same_round_and_those_in_front_in_the_next() -> None:
    """A job without processes that starts on the `started` of another: its own two events finish first."""
    stage = Stage.of(first=job(), second=job(start_on=on("started", "first")))
    stage.start("first")
    assert [line for line in stage.story() if line.startswith("event")] == [
        "event starting JOB=first INSTANCE=",
        "event starting JOB=second INSTANCE=",
        "event started JOB=second INSTANCE=",
        "event started JOB=first INSTANCE=",
    ]


def test_events_finish_in_the_order_in_which_nothing_holds_them_any_more() -> None:
    stage = Stage.of(held=service(task=True, start_on=on("first")))
    stage.emit("first")
    stage.ready("held")
    stage.take_news()
    for name in ("second", "third"):
        stage.emit(name)
    again = stage.emit("first", "AGAIN=1")
    assert stage.story() == [
        "call 2 answered", "event second", "call 3 answered", "event third", f"{again} answered", "event first AGAIN=1",
    ]  # fmt: skip
    stage.end("held")
    assert stage.story()[-2:] == ["call 1 answered", "event first"]


def test_an_event_finishes_before_the_next_one_is_offered() -> None:
    stage = Stage.of(
        a=job(start_on=on("go")), b=job(start_on=on("starting", "a")), c=job(start_on=on("started", "b"))
    )
    stage.emit("go", wait=False)
    story = [line for line in stage.story() if line.startswith(("event", "a/ ", "b/ ", "c/ "))]
    # `starting a` is held by b; `starting b` finishes before `started b` is offered to c.
    assert story.index("event starting JOB=b INSTANCE=") < story.index("c/ goal start")
    assert [line for line in story if line.startswith("event")] == [
        "event starting JOB=b INSTANCE=",
        "event starting JOB=c INSTANCE=",
        "event started JOB=c INSTANCE=",
        "event starting JOB=a INSTANCE=",
        "event started JOB=b INSTANCE=",
        "event started JOB=a INSTANCE=",
        "event go",
    ]


def test_of_a_job_the_stop_conditions_come_before_the_start_condition() -> None:
    stage = Stage.of(web=job("pre-start", instance="$N", start_on=on("go"), stop_on=on("go")))
    stage.emit("go", "N=1")
    stage.take_news()
    stage.emit("go", "N=2")
    story = stage.story()
    assert story.index("web/1 goal stop") < story.index("web/2 added")


# -- starting and stopping make their job wait -----------------------------------------------------------------------


def test_a_service_on_a_starting_event_holds_the_other_job_until_it_runs() -> None:
    stage = Stage.of(core=service(), shield=service(start_on=on("starting", "core")))
    stage.start("core")
    assert stage.instance("core").state is State.STARTING
    stage.ready("shield")
    assert stage.instance("core").state is State.SPAWNED


def test_a_task_on_a_starting_event_holds_the_other_job_until_it_has_ended() -> None:
    stage = Stage.of(core=service(), prepare=service(task=True, start_on=on("starting", "core")))
    stage.start("core")
    stage.ready("prepare")
    assert stage.instance("core").state is State.STARTING
    stage.end("prepare")
    assert stage.instance("core").state is State.SPAWNED


def test_a_job_that_stops_on_a_starting_event_is_down_before_the_other_comes_up() -> None:
    stage = Stage.of(old=job("main", "post-stop", stop_on=on("starting", "new")), new=service())
    stage.run_up("old")
    stage.start("new")
    stage.end("old", signal=15)
    assert stage.instance("new").state is State.STARTING
    stage.end("old", "post-stop")
    assert stage.instance("new").state is State.SPAWNED


def test_a_job_on_a_stopping_event_holds_the_other_job_while_its_main_still_lives() -> None:
    stage = Stage.of(db=service(), dump=service(task=True, start_on=on("stopping", "db")))
    stage.run_up("db")
    stage.stop("db")
    stage.ready("dump")
    assert stage.process("db").signals == []
    stage.end("dump")
    assert stage.process("db").signals == [15]


@pytest.mark.parametrize("event", ["started", "stopped"])
def test_started_and_stopped_are_news_that_nobody_waits_for(event: str) -> None:
    stage = Stage.of(web=service(), slow=job("pre-start", start_on=on(event, "web")))
    stage.run_up("web")
    stop = stage.stop("web")
    stage.end("web", signal=15)
    assert stage.answers[stop] is None
    assert stage.instance("slow").state is State.PRE_START
    assert [one.name for one in stage.engine.world.queue.events.values()] == [event]


def test_half_a_condition_on_a_starting_event_keeps_the_other_job_in_starting() -> None:
    stage = Stage.of(web=service(), pair=job(start_on=both(on("starting", "web"), on("ready"))))
    stage.start("web")
    assert stage.instance("web").state is State.STARTING
    stage.emit("ready")
    assert stage.instance("web").state is State.SPAWNED


def test_a_stop_event_that_comes_in_starting_lets_the_start_event_go_and_is_held_until_waiting() -> None:
    stage = Stage.of(
        slow=job("main", "post-stop", start_on=on("go"), stop_on=on("halt")),
        holder=service(task=True, start_on=on("starting", "slow")),
    )
    go = stage.emit("go")
    stage.ready("holder")
    stage.take_news()
    halt = stage.emit("halt")
    assert stage.story() == ["slow/ goal stop", f"{go} answered", "event go"]
    stage.end("holder")
    assert stage.instance("slow").state is State.POST_STOP
    assert "UPSTART_STOP_EVENTS=halt" in stage.process("slow", "post-stop").spawn.env
    assert halt not in stage.answers
    stage.end("slow", "post-stop")
    assert stage.answers[halt] is None


# -- failure ----------------------------------------------------------------------------------------------------


def test_an_event_fails_with_the_first_failure_of_a_job_that_holds_it_and_failed_is_queued_behind_it() -> None:
    stage = Stage.of(broken=service(task=True, start_on=on("go")))
    call = stage.emit("go", "COLOUR=red")
    stage.ready("broken")
    stage.take_news()
    stage.end("broken", status=3)
    result = "JOB=broken INSTANCE= RESULT=failed PROCESS=main EXIT_STATUS=3"
    assert stage.story() == [
        "broken/ failed 3",
        "broken/ goal stop",
        "broken/ stopping",
        "call 1 refused: Event failed",
        "event go COLOUR=red",
        "broken/ killed post-stopping post-stop waiting",
        "broken/ removed",
        f"event stopping {result}",
        "event go/failed COLOUR=red",
        f"event stopped {result}",
    ]
    assert stage.error(call) == ("EventFailed", "Event failed")


def test_a_failed_event_brings_failed_even_where_nobody_waits() -> None:
    stage = Stage.of(broken=job("pre-start", start_on=on("go")))
    stage.emit("go", wait=False)
    stage.end("broken", "pre-start", status=1)
    assert "event go/failed" in stage.take_news()


def test_a_failed_event_whose_name_ends_in_failed_brings_no_other() -> None:
    stage = Stage.of(again=job("pre-start", start_on=on("nothing/failed")))
    call = stage.emit("nothing/failed")
    stage.end("again", "pre-start", status=1)
    assert stage.error(call) == ("EventFailed", "Event failed")
    assert not any("failed/failed" in line for line in stage.take_news())


def test_a_failed_event_still_waits_for_its_other_holders() -> None:
    stage = Stage.of(bad=job("pre-start", start_on=on("go")), good=job("pre-start", start_on=on("go")))
    call = stage.emit("go")
    stage.end("bad", "pre-start", status=1)
    assert call not in stage.answers
    stage.end("good", "pre-start")
    assert stage.error(call) == ("EventFailed", "Event failed")


def test_a_service_that_dies_after_it_ran_does_not_fail_the_event_that_started_it() -> None:
    stage = Stage.of(web=service(start_on=on("go")))
    call = stage.emit("go")
    stage.ready("web")
    stage.end("web", signal=11)
    assert stage.answers[call] is None
    assert "event go/failed" not in stage.take_news()


def test_an_event_fails_with_a_job_that_cannot_be_run() -> None:
    stage = Stage.of(web=service(start_on=on("go")))
    call = stage.emit("go")
    stage.spawn_fails(next(iter(stage.processes)))
    assert stage.error(call) == ("EventFailed", "Event failed")


def test_a_guard_of_a_starting_event_that_fails_does_not_stop_the_other_job() -> None:
    stage = Stage.of(web=service(), prepare=service(task=True, start_on=on("starting", "web")))
    stage.start("web")
    stage.ready("prepare")
    stage.end("prepare", status=1)
    assert stage.instance("web").state is State.SPAWNED
    assert "event starting/failed JOB=web INSTANCE=" in stage.take_news()


def test_a_post_stop_that_fails_makes_the_event_that_stopped_the_job_fail() -> None:
    stage = Stage.of(web=job("main", "post-stop", stop_on=on("halt")))
    stage.run_up("web")
    call = stage.emit("halt")
    stage.end("web", signal=15)
    stage.end("web", "post-stop", status=1)
    assert stage.error(call) == ("EventFailed", "Event failed")


def test_a_job_that_starts_on_a_failed_event_gets_its_environment() -> None:
    stage = Stage.of(bad=job("pre-start", start_on=on("go")), rescue=service(task=True, start_on=on("go/failed")))
    stage.emit("go", "COLOUR=red")
    stage.end("bad", "pre-start", status=1)
    assert {"COLOUR=red", "UPSTART_EVENTS=go/failed"} <= set(stage.process("rescue").spawn.env)


# -- files (design, 15) -----------------------------------------------------------------------------------------------


def test_the_jobs_that_an_event_starts_get_its_file_and_its_number() -> None:
    stage = Stage.of(
        reader=job("pre-start", "main", task=True, start_on=on("take")),
        other=service(start_on=on("starting", "reader")),
        stopper=job("main", "post-stop", stop_on=on("take")),
    )
    stage.run_up("stopper")
    stage.emit("take", file=7)
    stage.end("stopper", signal=15)
    for name, process in (("other", "main"), ("stopper", "post-stop")):
        spawn = stage.process(name, process).spawn
        assert spawn.files == ()
        assert not any(entry.startswith("UPSTART_FDS") for entry in spawn.env)
    stage.end("stopper", "post-stop")
    stage.ready("other")
    for process in ("pre-start", "main"):
        assert stage.process("reader", process).spawn.files == (7,)
        assert "UPSTART_FDS=7" in stage.process("reader", process).spawn.env
        if process == "pre-start":
            stage.end("reader", process)


def test_the_files_of_several_events_come_in_the_order_of_the_condition() -> None:
    stage = Stage.of(reader=service(start_on=both(on("a"), both(on("b"), on("c")))))
    stage.emit("c", file=5)
    stage.emit("b")
    stage.emit("a", file=6)
    assert stage.process("reader").spawn.files == (6, 5)
    assert "UPSTART_FDS=6 5" in stage.process("reader").spawn.env


def test_a_file_is_closed_when_neither_the_event_nor_an_instance_needs_it() -> None:
    stage = Stage.of(reader=job("main", "post-stop", respawn=True, start_on=on("take")))
    stage.emit("take", file=7)
    stage.ready("reader")
    assert "event take" in stage.take_news()
    stage.end("reader", signal=9)
    assert stage.process("reader", "post-stop").spawn.files == (7,)
    stage.end("reader", "post-stop")
    assert stage.process("reader").spawn.files == (7,)  # a respawn
    stage.stop("reader")
    stage.end("reader", signal=15)
    assert stage.closed == []
    stage.end("reader", "post-stop")
    assert stage.closed == [7]


def test_a_file_is_kept_until_the_next_starting_from_something_else() -> None:
    stage = Stage.of(reader=job("main", "post-stop", start_on=on("take")))
    stage.emit("take", file=7)
    stage.ready("reader")
    stage.restart("reader")
    stage.end("reader", signal=15)
    assert stage.process("reader", "post-stop").spawn.files == (7,)
    assert stage.closed == []
    stage.end("reader", "post-stop")
    assert stage.closed == [7]
    assert stage.process("reader").spawn.files == ()


def test_a_file_that_is_put_aside_and_never_used_is_closed() -> None:
    stage = Stage.of(reader=job("main", "post-stop", start_on=on("take"), stop_on=on("halt")))
    stage.run_up("reader")
    stage.emit("halt")
    stage.emit("take", file=7)
    assert stage.closed == []
    stage.stop("reader")
    stage.end("reader", signal=15)
    stage.end("reader", "post-stop")
    assert stage.closed == [7]


def test_a_file_that_is_put_aside_and_replaced_is_closed() -> None:
    stage = Stage.of(reader=job("main", "post-stop", start_on=on("take"), stop_on=on("halt")))
    stage.run_up("reader")
    stage.emit("halt")
    stage.emit("take", file=7)
    stage.emit("halt")
    stage.emit("take", file=8)
    assert stage.closed == [7]
    stage.end("reader", signal=15)
    stage.end("reader", "post-stop")
    assert stage.process("reader").spawn.files == (8,)


def test_a_file_is_closed_with_an_event_that_nobody_wants_or_that_is_refused() -> None:
    stage = Stage()
    stage.emit("nobody", file=7)
    assert stage.take_news() == ["call 1 answered", "event nobody"]
    stage.emit("", file=8)
    stage.emit("nobody", "bad", file=9)
    assert stage.closed == [7, 8, 9]


# -- floods -------------------------------------------------------------------------------------------------------


def flood(monkeypatch: pytest.MonkeyPatch) -> Stage:
    """A job without processes that is stopped as soon as it has started, and started as soon as it has stopped."""
    monkeypatch.setattr(core, "_MOST_EVENTS", 50)
    monkeypatch.setattr(core, "_FLOOD_EVENTS", 30)
    stage = Stage.of(flip=job(start_on=either(on("go"), on("stopped", "flip")), stop_on=on("started", "flip")))
    stage.emit("go", wait=False)
    return stage


def test_jobs_that_start_one_another_without_end_leave_a_turn_to_everything_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stage = flood(monkeypatch)
    for _ in range(3):
        due = stage.engine.next_deadline()
        assert due is not None
        assert due > stage.now
        stage.now = due
        stage.take_news()
        stage.step(inputs.TimePassed())
        assert 0 < len([line for line in stage.take_news() if line.startswith("event")]) <= 60
    call = stage.emit("other")
    assert stage.answers[call] is None
    stage.define("flip", None)
    for _ in range(2):
        stage.step(inputs.TimePassed())
    assert stage.engine.next_deadline() is None
    assert not stage.engine.classes
    assert stage.log == [(Priority.WARN, "50 events in a row and no end: do jobs start one another?")]


def test_a_flood_goes_on_in_another_engine_as_it_would_have(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = flood(monkeypatch)
    other = Engine(World({}, {}))
    snapshot.put(snapshot.take(stage.engine), other)
    for _ in range(3):
        one, two = (
            [effect for effect in engine.step(inputs.TimePassed(), stage.now) if not isinstance(effect, LogLine)]
            for engine in (stage.engine, other)
        )
        assert one == two
        assert len(one) > 100


# -- what is said -------------------------------------------------------------------------------------------------


def test_the_log_follows_events_at_info_and_debug() -> None:
    stage = Stage.of(web=job(instance="$N", start_on=on("go")))
    stage.engine.world.log_priority = Priority.DEBUG
    stage.emit("go", "N=x")
    said = [line for line in stage.log if "changed" not in line[1]]
    assert said[:5] == [
        (Priority.DEBUG, "Pending go event"),
        (Priority.INFO, "Handling go event"),
        (Priority.DEBUG, "New instance x"),
        (Priority.DEBUG, "Pending starting event"),
        (Priority.INFO, "Handling starting event"),
    ]
    assert said[-1] == (Priority.DEBUG, "Finished go event")


def test_a_job_that_was_read_after_an_event_had_been_offered_never_sees_it() -> None:
    stage = Stage.of(pair=job(start_on=both(on("a"), on("b"))))
    stage.emit("a")
    stage.step(JobFiles("late", (Definition("late", job(start_on=on("a")), "/late.conf"),)))
    assert not stage.engine.world.instances
