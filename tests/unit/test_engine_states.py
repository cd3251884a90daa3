"""The table of transitions, and that instances walk through it as it says: lifecycle specification, section 3."""

from __future__ import annotations

import pytest

from support.jobs import job, on, service
from support.stage import TO_POST_STOP, TO_PRE_START, TO_RUNNING, TO_SPAWNED, Stage, ends
from upstartd.conf.model import ProcessName
from upstartd.engine import inputs
from upstartd.engine.states import TRANSITIONS, WITHOUT_MAIN, Goal, State, next_state

EVERYTHING = ("pre-start", "main", "post-start", "pre-stop", "post-stop")

# Written down from the specification, in words: where each state leads to with the goal start, and with stop.
ROWS = """
    waiting            starting           waiting
    starting           security-spawning  stopping
    security-spawning  security           security
    security           pre-starting       stopping
    pre-starting       pre-start          pre-start
    pre-start          spawning           stopping
    spawning           spawned            spawned
    spawned            post-starting      stopping
    post-starting      post-start         post-start
    post-start         running            stopping
    running            running            pre-stopping
    pre-stopping       pre-stop           pre-stop
    pre-stop           running            stopping
    stopping           killed             killed
    killed             post-stopping      post-stopping
    post-stopping      post-stop          post-stop
    post-stop          starting           waiting
"""


def go(state: State, goal: Goal, *, main: bool = True) -> State:
    """The next state of an instance whose job has a main process; `main`: it is alive."""
    return next_state(state, goal, main_is_there=main)


# -- the table --------------------------------------------------------------------------------------------


def test_the_table_has_an_answer_for_every_state_and_goal() -> None:
    assert set(TRANSITIONS) == {(state, goal) for state in State for goal in Goal}
    for state, goal in TRANSITIONS:
        for main_is_there in (True, False):
            assert isinstance(next_state(state, goal, main_is_there=main_is_there), State)


@pytest.mark.parametrize("row", ROWS.strip().splitlines(), ids=lambda row: row.split()[0])
def test_a_row_of_the_table_is_that_of_the_specification(row: str) -> None:
    state, start, stop = map(State, row.split())
    assert (go(state, Goal.START), go(state, Goal.STOP)) == (start, stop)


def test_the_specification_has_a_row_for_every_state() -> None:
    assert {State(row.split()[0]) for row in ROWS.strip().splitlines()} == set(State)


@pytest.mark.parametrize("goal", [Goal.RESPAWN, Goal.RESTART])
@pytest.mark.parametrize("state", [State.SPAWNED, State.POST_START, State.RUNNING, State.PRE_STOP])
def test_whoever_wants_main_anew_goes_down_from_where_main_may_run(state: State, goal: Goal) -> None:
    assert go(state, goal) is State.STOPPING
    assert go(state, goal, main=False) is State.STOPPING


@pytest.mark.parametrize("state", State)
def test_elsewhere_whoever_wants_main_anew_goes_the_way_of_start(state: State) -> None:
    if state not in (State.SPAWNED, State.POST_START, State.RUNNING, State.PRE_STOP):
        assert go(state, Goal.RESPAWN) is go(state, Goal.RESTART) is go(state, Goal.START)


def test_without_a_living_main_process_a_stop_runs_no_pre_stop() -> None:
    assert go(State.RUNNING, Goal.STOP, main=False) is State.STOPPING


def test_the_exceptions_to_the_table_are_exceptions() -> None:
    assert all(TRANSITIONS[step] is not state for step, state in WITHOUT_MAIN.items())


# -- the diagram that the table draws ---------------------------------------------------------------------


def walk(state: State, goal: Goal, end: State) -> list[State]:
    """The states from `state` to `end`, each left with the same goal."""
    states = [state]
    while states[-1] is not end:
        assert len(states) <= len(State), f"{goal} never leads from {state} to {end}"
        states.append(go(states[-1], goal))
    return states


@pytest.mark.parametrize("state", State)
def test_the_goal_stop_leads_from_every_state_to_waiting(state: State) -> None:
    assert walk(state, Goal.STOP, State.WAITING)[-1] is State.WAITING


@pytest.mark.parametrize("state", State)
def test_the_goal_start_leads_from_every_state_to_running(state: State) -> None:
    assert walk(state, Goal.START, State.RUNNING)[-1] is State.RUNNING


@pytest.mark.parametrize("state", State)
def test_every_way_to_waiting_passes_post_stop(state: State) -> None:
    if state is not State.WAITING:
        assert State.POST_STOP in walk(state, Goal.STOP, State.WAITING)


def test_a_respawn_and_a_restart_go_through_every_state_of_the_way_down_but_pre_stop() -> None:
    for goal in (Goal.RESPAWN, Goal.RESTART):
        way = walk(State.RUNNING, goal, State.STARTING)
        assert [one.word for one in way] == ["running", "stopping", "killed", "post-stopping", "post-stop", "starting"]


def test_clients_see_a_restart_as_the_goal_start() -> None:
    assert [goal.word for goal in Goal] == ["stop", "start", "respawn", "start"]


# -- instances on their way -------------------------------------------------------------------------------


def test_a_job_with_every_process_goes_through_all_states_and_waits_for_each_process() -> None:
    stage = Stage()
    stage.define("web", job(*EVERYTHING))
    stage.take_news()
    stage.start("web")
    assert stage.story() == [
        "web/ added",
        "web/ goal start",
        "web/ starting " + TO_PRE_START,
        "event starting JOB=web INSTANCE=",
    ]
    stage.end("web", "pre-start")
    assert stage.story() == ["web/ spawning spawned"]
    stage.ready("web")
    assert stage.story() == ["web/ post-starting post-start"]
    stage.end("web", "post-start")
    assert stage.story() == ["web/ running", "call 1 answered", "event started JOB=web INSTANCE="]
    stage.stop("web")
    assert stage.story() == ["web/ goal stop", "web/ pre-stopping pre-stop"]
    stage.end("web", "pre-stop")
    assert stage.story() == ["web/ stopping killed", "event stopping JOB=web INSTANCE= RESULT=ok"]
    stage.end("web", signal=15)
    assert stage.story() == ["web/ post-stopping post-stop"]
    stage.end("web", "post-stop")
    assert stage.story() == [
        "web/ waiting",
        "call 2 answered",
        "web/ removed",
        "event stopped JOB=web INSTANCE= RESULT=ok",
    ]


def test_a_job_without_processes_passes_every_state_at_once() -> None:
    stage = Stage()
    stage.define("state", job())
    stage.take_news()
    stage.start("state")
    assert stage.story() == [
        "state/ added",
        "state/ goal start",
        f"state/ starting {TO_SPAWNED} {TO_RUNNING}",
        "call 1 answered",
        "event starting JOB=state INSTANCE=",
        "event started JOB=state INSTANCE=",
    ]
    stage.restart("state")
    assert stage.story() == [
        "state/ goal stop",
        "state/ stopping",
        "state/ goal start",
        "state/ killed post-stopping post-stop starting",
        "event stopping JOB=state INSTANCE= RESULT=ok",
        f"state/ {TO_SPAWNED} {TO_RUNNING}",
        "call 2 answered",
        "event starting JOB=state INSTANCE=",
        "event started JOB=state INSTANCE=",
    ]
    stage.stop("state")
    assert stage.story() == [
        "state/ goal stop",
        f"state/ {TO_POST_STOP} waiting",
        "call 3 answered",
        "state/ removed",
        "event stopping JOB=state INSTANCE= RESULT=ok",
        "event stopped JOB=state INSTANCE= RESULT=ok",
    ]


def test_a_job_without_main_runs_every_other_process_but_pre_stop() -> None:
    stage = Stage()
    stage.define("state", job("pre-start", "post-start", "pre-stop", "post-stop"))
    stage.start("state")
    stage.end("state", "pre-start")
    stage.end("state", "post-start")
    assert stage.instance("state").state is State.RUNNING
    assert not stage.processes
    stage.take_news()
    stage.stop("state")
    assert stage.story() == [
        "state/ goal stop",
        f"state/ {TO_POST_STOP}",
        "event stopping JOB=state INSTANCE= RESULT=ok",
    ]
    stage.end("state", "post-stop")
    assert not stage.engine.world.instances


def test_stop_while_pre_start_runs_goes_straight_to_stopping_and_runs_post_stop() -> None:
    stage = Stage()
    stage.define("web", job(*EVERYTHING))
    stage.start("web")
    stage.take_news()
    stage.stop("web")
    assert stage.story() == ["call 1 answered", "web/ goal stop"]
    stage.end("web", "pre-start")
    assert stage.story() == [
        f"web/ {TO_POST_STOP}",
        "event stopping JOB=web INSTANCE= RESULT=ok",
    ]
    stage.end("web", "post-stop")
    assert stage.story()[:2] == ["web/ waiting", "call 2 answered"]


def test_stop_while_post_start_runs_lets_it_end_and_kills_main_without_pre_stop() -> None:
    stage = Stage()
    stage.define("web", job("main", "post-start", "pre-stop", "post-stop"))
    stage.start("web")
    stage.ready("web")
    stage.take_news()
    stage.stop("web")
    assert stage.story() == ["call 1 answered", "web/ goal stop"]
    stage.end("web", "post-start")
    assert stage.story() == ["web/ stopping killed", "event stopping JOB=web INSTANCE= RESULT=ok"]
    assert stage.process("web").signals == [15]


def test_stop_in_starting_waits_for_the_starting_event_and_runs_nothing_but_post_stop() -> None:
    stage = Stage()
    stage.define("web", job("pre-start", "main", "post-stop"))
    stage.define("helper", service(task=True, start_on=on("starting", "web")))
    stage.start("web")
    stage.ready("helper")
    stage.take_news()
    stage.stop("web")
    assert stage.story() == ["call 1 answered", "web/ goal stop"]
    stage.end("helper")
    assert stage.story() == [
        *ends("helper"),
        "web/ stopping",
        "event starting JOB=web INSTANCE=",
        "web/ killed post-stopping post-stop",
        "event stopping JOB=web INSTANCE= RESULT=ok",
    ]
    assert [process.spawn.process.value for process in stage.processes.values()] == ["post-stop"]
    stage.end("web", "post-stop")
    assert stage.story() == [
        "web/ waiting",
        "call 2 answered",
        "web/ removed",
        "event stopped JOB=web INSTANCE= RESULT=ok",
    ]


def test_stop_in_spawned_waits_until_main_is_executed_and_then_kills_it() -> None:
    stage = Stage()
    stage.define("web", service())
    stage.start("web")
    stage.stop("web")
    assert stage.instance("web").state is State.SPAWNED
    stage.take_news()
    stage.ready("web")
    assert stage.story() == ["web/ stopping killed", "event stopping JOB=web INSTANCE= RESULT=ok"]
    assert stage.process("web").signals == [15]


def test_start_during_pre_stop_goes_back_to_running_with_the_same_main_process_and_no_event() -> None:
    stage = Stage()
    stage.define("web", job("main", "pre-stop"))
    stage.run_up("web")
    main = stage.process("web")
    stage.stop("web")
    stage.take_news()
    stage.start("web")
    assert stage.story() == ["call 2 answered", "web/ goal start"]
    stage.end("web", "pre-stop")
    assert stage.story() == ["web/ running", "call 3 answered"]
    assert stage.process("web") is main
    assert main.signals == []


@pytest.mark.parametrize("ended", ["post-start", "pre-stop"])
def test_start_after_main_has_ended_cancels_the_stop_and_leads_to_running_without_a_process(ended: str) -> None:
    stage = Stage()
    stage.define("web", job("main", ended))
    stage.start("web")
    stage.ready("web")
    if ended == "pre-stop":
        stage.stop("web")
    stage.end("web")
    stage.take_news()
    again = stage.start("web")
    stage.end("web", ended)
    started = ["event started JOB=web INSTANCE="] if ended == "post-start" else []
    assert stage.story()[1:] == ["web/ goal start", "web/ running", f"{again} answered", *started]
    assert not stage.instance("web").pids
    stage.stop("web")
    assert stage.story()[1] == f"web/ {TO_POST_STOP} waiting"


@pytest.mark.parametrize("state", ["stopping", "killed", "post-stop"])
def test_start_on_the_way_down_goes_round_through_post_stop_as_the_same_instance(state: str) -> None:
    stage = Stage()
    stage.define("web", job("main", "post-stop"))
    stage.define("helper", service(task=True, start_on=on("stopping", "web")))
    stage.run_up("web")
    uid = stage.instance("web").uid
    stage.stop("web")
    stage.ready("helper")
    if state != "stopping":
        stage.end("helper")
    if state == "post-stop":
        stage.end("web", signal=15)
    assert stage.instance("web").state is State(state)
    stage.start("web")
    if state == "stopping":
        stage.end("helper")
    if state != "post-stop":
        stage.end("web", signal=15)
    stage.end("web", "post-stop")
    stage.ready("web")
    assert stage.instance("web").uid == uid
    assert stage.instance("web").state is State.RUNNING
    assert not [line for line in stage.take_news() if line.startswith(("web/ removed", "event stopped JOB=web"))]


def test_main_that_ends_in_stopping_is_not_a_failure_and_killed_is_passed_through() -> None:
    stage = Stage()
    stage.define("web", job("main", "post-stop"))
    stage.define("helper", service(task=True, start_on=on("stopping", "web")))
    stage.run_up("web")
    stage.stop("web")
    stage.ready("helper")
    stage.take_news()
    stage.end("web", signal=9)
    assert stage.story() == []
    assert stage.instance("web").state is State.STOPPING
    stage.end("helper")
    assert stage.story()[5:] == [
        "web/ killed post-stopping post-stop",
        "event stopping JOB=web INSTANCE= RESULT=ok",
    ]


@pytest.mark.parametrize("process", ["pre-start", "post-start", "pre-stop", "post-stop"])
def test_a_process_that_hangs_holds_the_instance_whatever_the_goal_and_is_never_killed(process: str) -> None:
    stage = Stage()
    stage.define("web", job("main", process))
    stage.start("web")
    if process != "pre-start":
        stage.ready("web")
    stage.stop("web")
    if process == "post-stop":
        stage.end("web", signal=15)
    hanging = stage.process("web", process)
    state = stage.instance("web").state
    assert state.word == process
    stage.pass_time(1000.0)
    assert stage.instance("web").state is state
    assert hanging.signals == []


# -- the security process ---------------------------------------------------------------------------------


def test_the_security_process_runs_before_pre_start_and_its_status_does_not_matter() -> None:
    stage = Stage(apparmor=True)
    stage.define("web", service(apparmor_load="/etc/apparmor.d/web"))
    stage.take_news()
    stage.start("web")
    assert stage.story()[2:] == ["web/ starting security-spawning security", "event starting JOB=web INSTANCE="]
    assert stage.process("web", "security").spawn.command.text == "/sbin/apparmor_parser -r -W /etc/apparmor.d/web"
    stage.end("web", "security", status=1)
    assert stage.story() == ["web/ pre-starting pre-start spawning spawned"]


def test_without_apparmor_no_security_process_is_run() -> None:
    stage = Stage()
    stage.define("web", service(apparmor_load="/etc/apparmor.d/web"))
    stage.start("web")
    assert stage.instance("web").state is State.SPAWNED


def test_stop_while_the_security_process_runs_goes_straight_to_stopping() -> None:
    stage = Stage(apparmor=True)
    stage.define("web", job("main", "pre-stop", apparmor_load="/etc/apparmor.d/web"))
    stage.start("web")
    stage.stop("web")
    stage.take_news()
    stage.end("web", "security")
    assert stage.story()[0] == f"web/ {TO_POST_STOP} waiting"


def test_a_security_process_that_cannot_be_spawned_fails_the_job() -> None:  # design, 32
    stage = Stage(apparmor=True)
    stage.define("web", job("main", "post-stop", apparmor_load="/etc/apparmor.d/web"))
    start = stage.start("web")
    stage.take_news()
    stage.spawn_fails((stage.instance("web").uid, stage.process("web", "security").spawn.process))
    assert stage.story() == [
        "web/ failed -1",
        "call 1 refused: Job failed to start",
        "web/ goal stop",
        f"web/ {TO_POST_STOP}",
        "event stopping JOB=web INSTANCE= RESULT=failed PROCESS=security",
    ]
    assert stage.error(start) == ("JobFailed", "Job failed to start")


def news_of_main(uid: int) -> tuple[inputs.Input, ...]:
    """Everything that can be heard of a main process."""
    return (
        inputs.ProcessForked(uid, ProcessName.MAIN, 7),
        inputs.MainReady(uid),
        inputs.MainFollowed(uid, 8),
        inputs.SpawnFailed(uid, ProcessName.MAIN, "unable to execute: No such file or directory"),
        inputs.ProcessEnded(uid, ProcessName.MAIN, 1),
    )


def test_news_of_an_instance_that_is_gone_changes_nothing() -> None:
    stage = Stage()
    stage.define("web", service())
    stage.run_up("web")
    main = stage.process("web").spawn
    stage.end("web")
    stage.take_news()
    for late in news_of_main(main.instance):
        stage.step(late)
    assert stage.take_news() == []


def test_news_of_a_process_that_is_gone_changes_nothing() -> None:
    stage = Stage()
    stage.define("web", job("main", "post-stop"))
    stage.run_up("web")
    instance = stage.instance("web")
    stage.end("web")
    stage.take_news()
    for late in news_of_main(instance.uid):
        stage.step(late)
    assert stage.take_news() == []
    assert instance.processes == [(ProcessName.POST_STOP, stage.process("web", "post-stop").pid)]
