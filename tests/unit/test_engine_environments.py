"""The environments of instances and their processes, the exported variables, and the Env methods.

Source: lifecycle specification, section 6; events specification, sections 2, 9 and 10; design, 10 and 12.
"""

from __future__ import annotations

import pytest

from support.jobs import both, job, on, service
from support.stage import Stage
from upstartd.conf.model import JobConfig, ProcessName
from upstartd.engine import effects, inputs
from upstartd.errors import InvalidArgs, UnknownJob, UnknownJobInstance

TABLE = {"PATH": "/bin", "TERM": "dumb"}
OWN = {"PATH": "/bin", "TERM": "dumb", "FROM_INIT": "init", "LEVEL": "init"}


def stage_of(**jobs: JobConfig) -> Stage:
    """A stage whose table and own environment are those above."""
    stage = Stage(TABLE, OWN)
    for name, config in jobs.items():
        stage.define(name, config)
    stage.take_news()
    return stage


def seen(stage: Stage, name: str, process: str = "main") -> dict[str, str]:
    """The environment of a process, without what is added for every process."""
    env = dict(entry.split("=", 1) for entry in stage.process(name, process).spawn.env)
    assert env.pop("UPSTART_JOB") == name
    assert "UPSTART_INSTANCE" in env
    del env["UPSTART_INSTANCE"]
    return env


# -- what an instance's environment is built from -----------------------------------------------------------------


def test_an_environment_is_the_table_then_the_env_stanzas_then_what_the_call_gives() -> None:
    stage = stage_of(
        vars=service(env=("FROM_INIT", "NOT_IN_INIT", "LEVEL=stanza", "STANZA=stanza", "LITERAL=$LEVEL", "TERM"))
    )
    stage.call(inputs.SetEnvironment, (), ("TABLE=table", "STANZA=table", "NOT_IN_INIT=table"), True)
    stage.start("vars", "LEVEL=call", "EXTRA=a=b c")
    assert seen(stage, "vars") == TABLE | {
        "TABLE": "table",
        "STANZA": "stanza",
        "FROM_INIT": "init",
        "LEVEL": "call",
        "LITERAL": "$LEVEL",
        "EXTRA": "a=b c",
    }


def test_a_bare_env_takes_the_daemon_s_own_value_and_not_the_table_s_and_removes_what_the_daemon_lacks() -> None:
    stage = stage_of(web=service(env=("LEVEL", "NOT_IN_INIT")))
    stage.call(inputs.SetEnvironment, (), ("LEVEL=table", "NOT_IN_INIT=table"), True)
    stage.start("web")
    assert seen(stage, "web") == TABLE | {"LEVEL": "init"}


def test_a_later_value_replaces_an_earlier_one_in_its_place() -> None:
    stage = stage_of(web=service(env=("A=1", "B=2", "A=3")))
    stage.start("web", "B=4", "C=5", "PATH=/sbin", "C=6")
    assert stage.process("web").spawn.env == (
        "PATH=/sbin", "TERM=dumb", "A=3", "B=4", "C=6", "UPSTART_JOB=web", "UPSTART_INSTANCE=",
    )  # fmt: skip


def test_the_variables_of_events_come_in_the_order_of_the_condition_whatever_order_they_came_in() -> None:
    stage = stage_of(pair=service(start_on=both(on("left"), on("right"))))
    stage.emit("right", "R=1", "BOTH=right")
    stage.emit("left", "L=1", "BOTH=left", "L=2")
    assert seen(stage, "pair") == TABLE | {
        "L": "2", "BOTH": "right", "R": "1", "UPSTART_EVENTS": "left right",
    }  # fmt: skip


def test_the_names_of_the_events_cannot_be_faked_by_an_event() -> None:
    stage = stage_of(web=service(env=("LEVEL=stanza",), start_on=on("go")))
    stage.emit("go", "LEVEL=event", "UPSTART_EVENTS=fake", "LEVEL=last", "UPSTART_JOB=fake")
    assert seen(stage, "web") == TABLE | {"LEVEL": "last", "UPSTART_EVENTS": "go"}


def test_started_by_hand_there_are_no_start_events() -> None:
    stage = stage_of(web=service(start_on=on("go")))
    stage.start("web")
    assert "UPSTART_EVENTS" not in seen(stage, "web")


def test_the_instance_name_is_made_from_the_same_environment() -> None:
    stage = stage_of(web=job(instance="${KIND}/$NAME.${UNIT:-0}", env=("KIND=lan",), start_on=on("up")))
    stage.start("web", "NAME=eth0")
    stage.start("web", "NAME=a_b", "UNIT=7", "KIND=w")
    stage.emit("up", "NAME=wlan0", "KIND=air")
    assert list(stage.engine.job_class("web").instances) == ["lan/eth0.0", "w/a_b.7", "air/wlan0.0"]


# -- when it takes effect -----------------------------------------------------------------------------------------


def test_the_environment_of_a_later_start_takes_effect_at_the_next_starting() -> None:
    stage = stage_of(web=job("main", "post-stop"))
    stage.run_up("web", "WHO=first")
    stage.stop("web")
    stage.end("web", signal=15)
    stage.start("web", "NEW=second")
    assert seen(stage, "web", "post-stop") == TABLE | {"WHO": "first"}
    stage.end("web", "post-stop")
    assert seen(stage, "web") == TABLE | {"NEW": "second"}


def test_job_restart_replaces_the_environment_and_what_events_gave_is_lost() -> None:
    stage = stage_of(web=service(env=("COLOUR=red",), start_on=on("go")))
    stage.emit("go", "A=1", "COLOUR=blue")
    stage.ready("web")
    stage.restart("web", "B=2")
    stage.end("web", signal=15)
    assert seen(stage, "web") == TABLE | {"COLOUR": "red", "B": "2"}


def test_instance_restart_instance_start_and_a_respawn_keep_the_environment() -> None:
    stage = stage_of(web=job("main", "post-stop", respawn=True))
    stage.run_up("web", "A=1")
    stage.call(inputs.RestartInstance, "web", "", True)
    for how in ("restart", "start", "respawn"):
        if how == "start":
            stage.stop("web")
        stage.end("web", signal=9)
        if how == "start":
            stage.call(inputs.StartInstance, "web", "", True)
        stage.end("web", "post-stop")
        assert seen(stage, "web") == TABLE | {"A": "1"}
        stage.ready("web")


def test_an_environment_that_is_put_aside_takes_effect_even_at_the_starting_of_a_respawn() -> None:
    stage = stage_of(web=job("pre-start", "main", respawn=True))
    stage.start("web", "A=1")
    stage.restart("web", "A=2")
    stage.end("web", "pre-start")
    assert seen(stage, "web") == TABLE | {"A": "1"}
    stage.ready("web")
    stage.end("web", signal=9)
    assert seen(stage, "web", "pre-start") == TABLE | {"A": "2"}


@pytest.mark.parametrize(("by", "expected"), [("Job.Restart", "3"), ("Instance.Restart", "1"), ("Instance.Start", "1")])
def test_an_environment_that_is_put_aside_is_replaced_by_a_job_call_and_dropped_by_an_instance_call(
    by: str, expected: str
) -> None:
    stage = stage_of(web=job("pre-start", "main", respawn=True))
    stage.start("web", "A=1")
    stage.restart("web", "A=2")
    if by == "Job.Restart":
        stage.restart("web", "A=3")
    elif by == "Instance.Restart":
        stage.call(inputs.RestartInstance, "web", "", True)
    else:
        stage.stop("web")
        stage.call(inputs.StartInstance, "web", "", True)
    stage.end("web", "pre-start")
    stage.ready("web")
    stage.end("web", signal=9)
    assert seen(stage, "web", "pre-start")["A"] == expected


def test_the_environment_of_a_cancelled_stop_s_start_waits_for_a_later_starting() -> None:
    stage = stage_of(web=job("main", "pre-stop", "post-stop"))
    stage.run_up("web", "A=1")
    stage.stop("web")
    stage.start("web", "A=2")
    stage.end("web", "pre-stop")
    assert stage.instance("web").supplies.environment["A"] == "1"
    stage.restart("web")
    stage.end("web", "pre-stop")
    stage.end("web", signal=15)
    assert seen(stage, "web", "post-stop") == TABLE | {"A": "1"}
    stage.end("web", "post-stop")
    assert seen(stage, "web") == TABLE


# -- the stop environment ------------------------------------------------------------------------------------------

EVERYTHING = ("pre-start", "main", "post-start", "pre-stop", "post-stop")


def run_everything(stage: Stage, name: str) -> None:
    """Have a job with every process run."""
    stage.end(name, "pre-start")
    stage.ready(name)
    stage.end(name, "post-start")


def test_the_stop_environment_reaches_pre_stop_and_post_stop_only_and_overrides() -> None:
    stage = stage_of(web=job(*EVERYTHING, env=("WHY=default",), stop_on=on("down")))
    stage.start("web", "WHY=start")
    for process in ("pre-start", "main", "post-start"):
        assert seen(stage, "web", process) == TABLE | {"WHY": "start"}
        if process == "main":
            stage.ready("web")
        else:
            stage.end("web", process)
    stage.emit("down", "WHY=stop", "WHEN=now", "UPSTART_JOB=fake")
    stop = {"WHY": "stop", "WHEN": "now", "UPSTART_STOP_EVENTS": "down"}
    assert seen(stage, "web", "pre-stop") == TABLE | stop
    stage.end("web", "pre-stop")
    stage.end("web", signal=15)
    assert seen(stage, "web", "post-stop") == TABLE | stop


def test_a_stop_event_may_even_override_the_start_events_for_pre_stop() -> None:
    stage = stage_of(web=job("main", "pre-stop", start_on=on("up"), stop_on=on("down")))
    stage.emit("up")
    stage.ready("web")
    stage.emit("down", "UPSTART_EVENTS=fake")
    assert seen(stage, "web", "pre-stop")["UPSTART_EVENTS"] == "fake"
    assert stage.instance("web").supplies.environment["UPSTART_EVENTS"] == "up"


def test_stopped_by_hand_the_env_of_the_call_is_the_stop_environment_and_there_are_no_stop_events() -> None:
    stage = stage_of(web=job("main", "post-stop", instance="$N", env=("N=",)))
    stage.run_up("web", "N=")
    stage.stop("web", "WHY=call", "N=")
    stage.end("web", signal=15)
    assert seen(stage, "web", "post-stop") == TABLE | {"N": "", "WHY": "call"}


def test_instance_stop_and_an_end_by_itself_have_no_stop_environment() -> None:
    for by_itself in (True, False):
        stage = stage_of(web=job("main", "post-stop"))
        stage.run_up("web")
        if not by_itself:
            stage.call(inputs.StopInstance, "web", "", True)
        stage.end("web")
        assert seen(stage, "web", "post-stop") == TABLE


def test_the_stop_environment_is_dropped_when_the_stop_is_cancelled() -> None:
    stage = stage_of(web=job("main", "pre-stop", "post-stop"))
    stage.run_up("web")
    stage.stop("web", "WHY=first")
    stage.start("web")
    stage.end("web", "pre-stop")
    stage.end("web")
    assert seen(stage, "web", "post-stop") == TABLE


def test_the_stop_environment_is_dropped_by_a_restart_and_at_starting() -> None:
    stage = stage_of(web=job("main", "post-stop", stop_on=on("down")))
    stage.run_up("web")
    stage.stop("web", "WHY=first", wait=False)
    stage.start("web", wait=False)
    stage.restart("web")
    stage.end("web", signal=15)
    assert seen(stage, "web", "post-stop") == TABLE
    stage.end("web", "post-stop")
    stage.ready("web")
    stage.emit("down", "WHY=event")
    stage.end("web", signal=15)
    stage.start("web")
    assert seen(stage, "web", "post-stop")["WHY"] == "event"
    stage.end("web", "post-stop")
    stage.ready("web")
    stage.end("web")
    assert seen(stage, "web", "post-stop") == TABLE


@pytest.mark.parametrize("value", ["%d", "100%", "%", "%%", "%s%n"])
def test_the_stop_environment_is_plain_text(value: str) -> None:  # design, 10
    stage = stage_of(web=job("main", "pre-stop", stop_on=on("down")))
    stage.run_up("web")
    stage.emit("down", f"LOAD={value}")
    assert seen(stage, "web", "pre-stop")["LOAD"] == value


# -- what is added for every process -------------------------------------------------------------------------------


def test_the_job_and_the_instance_cannot_be_overridden_and_the_session_is_set_where_there_is_one() -> None:
    stage = Stage(TABLE, OWN, "unix:abstract=/session")
    stage.define("web", job("main", "post-stop", instance="$N"))
    stage.start("web", "N=1", "UPSTART_JOB=fake", "UPSTART_INSTANCE=fake", "UPSTART_SESSION=fake")
    stage.ready("web", "1")
    stage.stop("web", "N=1", "UPSTART_JOB=fake2", "UPSTART_SESSION=fake2")
    main = stage.process("web", instance="1").spawn
    stage.end("web", signal=15, instance="1")
    for spawn in (main, stage.process("web", "post-stop", "1").spawn):
        assert {"UPSTART_JOB=web", "UPSTART_INSTANCE=1", "UPSTART_SESSION=unix:abstract=/session"} <= set(spawn.env)
        assert not any("fake" in entry for entry in spawn.env)


def test_without_a_session_no_address_of_one_is_added() -> None:
    stage = stage_of(web=service())
    stage.start("web")
    assert "UPSTART_SESSION" not in seen(stage, "web")


# -- exported variables ---------------------------------------------------------------------------------------------


def test_exported_variables_come_after_the_others_in_the_order_of_the_stanza_and_replace_nothing() -> None:
    stage = stage_of(
        loud=service(
            env=("COLOUR=red", "JOB=fake"),
            export=("COLOUR", "JOB", "MISSING", "UPSTART_EVENTS", "RESULT", "COLOUR"),
            start_on=on("go"),
        )
    )
    stage.emit("go", "RESULT=fine")
    stage.ready("loud")
    tail = "COLOUR=red UPSTART_EVENTS=go RESULT=fine"
    assert [line for line in stage.take_news() if line.startswith("event st")] == [
        f"event starting JOB=loud INSTANCE= {tail}",
        f"event started JOB=loud INSTANCE= {tail}",
    ]
    stage.call(inputs.SetEnvironment, ("loud", ""), ("COLOUR=green",), True)
    stage.stop("loud", "COLOUR=black")
    stage.end("loud", signal=15)
    assert [line for line in stage.take_news() if line.startswith("event")] == [
        "event stopping JOB=loud INSTANCE= RESULT=ok COLOUR=green UPSTART_EVENTS=go",
        "event stopped JOB=loud INSTANCE= RESULT=ok COLOUR=green UPSTART_EVENTS=go",
    ]


def test_an_exported_variable_does_not_hide_how_a_run_failed() -> None:
    stage = stage_of(loud=service(env=("PROCESS=mine", "EXIT_STATUS=0"), export=("PROCESS", "EXIT_STATUS")))
    stage.run_up("loud")
    stage.take_news()
    stage.end("loud", status=3)
    told = "event stopping JOB=loud INSTANCE= RESULT=failed PROCESS=main EXIT_STATUS=3"
    assert told in stage.take_news()


# -- the Env methods: reading ----------------------------------------------------------------------------------------


def test_the_table_begins_as_it_was_given_and_is_listed_in_order() -> None:
    stage = stage_of()
    assert stage.engine.list_variables(()) == ["PATH=/bin", "TERM=dumb"]
    assert stage.engine.get_variable((), "TERM") == "dumb"


def test_the_environment_of_an_instance_is_listed_without_what_is_added_for_processes() -> None:
    stage = stage_of(web=service(env=("KIND=http",), start_on=on("go")))
    stage.emit("go", "A=1", "KIND=ftp")
    assert stage.engine.list_variables(("web", "")) == [
        "PATH=/bin", "TERM=dumb", "KIND=ftp", "A=1", "UPSTART_EVENTS=go",
    ]  # fmt: skip
    assert stage.engine.get_variable(("web", "", "ignored"), "KIND") == "ftp"


@pytest.mark.parametrize(
    ("details", "error", "message"),
    [
        (("",), InvalidArgs, "Job may not be empty string"),
        (("", ""), InvalidArgs, "Job may not be empty string"),
        (("nope", ""), UnknownJob, "Unknown job: nope"),
        (("nope",), UnknownJob, "Unknown job: nope"),
        (("web",), UnknownJobInstance, "Unknown instance: (null) of job web"),
        (("web", "one"), UnknownJobInstance, "Unknown instance: one of job web"),
        (("idle", ""), UnknownJobInstance, "Unknown instance:  of job idle"),
    ],
)
def test_job_details_that_name_no_instance_are_refused_before_the_variables_are_looked_at(
    details: tuple[str, ...], error: type[Exception], message: str
) -> None:
    stage = stage_of(web=service(), idle=service())
    stage.run_up("web")
    for ask in (
        lambda: stage.engine.list_variables(details),
        lambda: stage.engine.get_variable(details, "NONE"),
    ):
        with pytest.raises(error) as caught:
            ask()
        assert str(caught.value) == message
    for call in (
        stage.call(inputs.SetEnvironment, details, ("",), True),
        stage.call(inputs.UnsetEnvironment, details, ("",)),
        stage.call(inputs.ResetEnvironment, details),
    ):
        assert stage.error(call) == (error.__name__, message)


def test_a_variable_to_get_is_checked_for_its_name_before_the_details_and_for_being_set_after_them() -> None:
    stage = stage_of(web=service())
    stage.run_up("web")
    with pytest.raises(InvalidArgs, match=r"^Variable may not be empty string$"):
        stage.engine.get_variable(("nope",), "")
    for details in ((), ("web", "")):
        with pytest.raises(InvalidArgs, match=r"^No such variable: NONE$"):
            stage.engine.get_variable(details, "NONE")


# -- the Env methods: changing ---------------------------------------------------------------------------------------


def test_variables_are_set_with_a_value_or_without_and_replaced_only_if_that_is_asked_for() -> None:
    stage = stage_of()
    stage.call(inputs.SetEnvironment, (), ("COLOUR=red",), True)
    stage.call(inputs.SetEnvironment, (), ("COLOUR=blue", "NEW=1"), False)
    stage.call(inputs.SetEnvironment, (), ("SHAPE", "SIZE=a=b", "PATH=/x"), True)
    assert stage.engine.list_variables(()) == [
        "PATH=/x", "TERM=dumb", "COLOUR=red", "NEW=1", "SHAPE=", "SIZE=a=b",
    ]  # fmt: skip
    assert all(answer is None for answer in stage.answers.values())


def test_a_global_change_reaches_every_instance_with_the_same_rule_for_replacing() -> None:
    stage = stage_of(web=service(), db=service())
    stage.run_up("web", "A=web")
    stage.run_up("db")
    stage.call(inputs.SetEnvironment, (), ("A=table",), False)
    assert stage.engine.get_variable(("web", ""), "A") == "web"
    assert stage.engine.get_variable(("db", ""), "A") == "table"
    stage.call(inputs.UnsetEnvironment, (), ("A", "TERM", "NOTHING"))
    for details in ((), ("web", ""), ("db", "")):
        assert stage.engine.list_variables(details) == ["PATH=/bin"]


def test_a_change_of_an_instance_reaches_no_other_and_shows_in_what_it_runs_from_then_on() -> None:
    stage = stage_of(web=job("main", "post-stop", instance="$PORT", env=("KIND=http",)))
    for port in ("80", "81"):
        stage.run_up("web", f"PORT={port}", instance=port)
    stage.call(inputs.SetEnvironment, ("web", "80"), ("A=one", "KIND=https"), True)
    stage.call(inputs.SetEnvironment, ("web", "80"), ("PORT=8080",), False)
    stage.call(inputs.UnsetEnvironment, ("web", "80"), ("PATH",))
    assert stage.engine.list_variables(("web", "80")) == ["TERM=dumb", "KIND=https", "PORT=80", "A=one"]
    assert "A" not in dict(entry.split("=", 1) for entry in stage.engine.list_variables(("web", "81")))
    assert stage.engine.list_variables(()) == ["PATH=/bin", "TERM=dumb"]
    stage.stop("web", "PORT=80")
    stage.end("web", signal=15, instance="80")
    env = stage.process("web", "post-stop", "80").spawn.env
    assert {"A=one", "KIND=https"} <= set(env)
    assert not any(entry.startswith("PATH=") for entry in env)


def test_a_changed_environment_shows_in_the_stop_condition() -> None:
    stage = stage_of(web=job(stop_on=on("quit", "WHO=$ID")))
    stage.start("web", "ID=1")
    stage.call(inputs.SetEnvironment, ("web", ""), ("ID=2",), True)
    stage.emit("quit", "WHO=1")
    assert stage.engine.world.instances
    stage.emit("quit", "WHO=2")
    assert not stage.engine.world.instances


def test_resetting_an_instance_leaves_the_table_and_the_env_stanzas() -> None:
    stage = stage_of(web=service(env=("KIND=http",), start_on=on("go")))
    stage.emit("go", "A=1", "KIND=ftp")
    stage.call(inputs.SetEnvironment, (), ("T=table",), True)
    stage.call(inputs.ResetEnvironment, ("web", ""))
    assert stage.engine.list_variables(("web", "")) == ["PATH=/bin", "TERM=dumb", "T=table", "KIND=http"]


def test_resetting_the_table_brings_back_what_it_was_at_the_start_and_touches_no_instance() -> None:
    stage = stage_of(web=service())
    stage.run_up("web")
    stage.call(inputs.SetEnvironment, (), ("T=table",), True)
    for _ in range(2):  # what is unset after one reset is there again after the next
        stage.call(inputs.ResetEnvironment, ())
        assert stage.engine.list_variables(()) == ["PATH=/bin", "TERM=dumb"]
        stage.call(inputs.UnsetEnvironment, (), ("PATH",))
    assert stage.engine.get_variable(("web", ""), "T") == "table"


@pytest.mark.parametrize("name", ["FOOBAR", "FOO=x", "TERMINAL", "TERM=x", "P"])
def test_unset_removes_exactly_the_named_variable(name: str) -> None:  # design, 12
    stage = stage_of()
    stage.call(inputs.SetEnvironment, (), ("FOO=1", "F=2"), True)
    before = stage.engine.list_variables(())
    assert stage.answers[stage.call(inputs.UnsetEnvironment, (), (name,))] is None
    assert stage.engine.list_variables(()) == before


@pytest.mark.parametrize("details", [(), ("web", "")])
def test_unset_on_an_environment_without_entries_is_no_error(details: tuple[str, ...]) -> None:  # design, 12
    stage = Stage({}, {})
    stage.define("web", service())
    stage.run_up("web")
    assert stage.answers[stage.call(inputs.UnsetEnvironment, details, ("A",))] is None
    assert stage.engine.list_variables(details) == []


@pytest.mark.parametrize("details", [(), ("web", "")])
@pytest.mark.parametrize("variable", ["", "=x"])
def test_a_variable_without_a_name_is_refused_and_nothing_of_that_call_is_done(  # design, 12
    details: tuple[str, ...], variable: str
) -> None:
    stage = stage_of(web=service())
    stage.run_up("web")
    refused = ("InvalidArgs", "Variable may not be empty string")
    assert stage.error(stage.call(inputs.SetEnvironment, details, ("A=1", variable), True)) == refused
    assert stage.error(stage.call(inputs.UnsetEnvironment, details, ("TERM", ""))) == refused
    assert stage.engine.list_variables(details) == ["PATH=/bin", "TERM=dumb"]


def test_a_global_set_tells_the_session_s_bus_the_whole_values_and_one_of_an_instance_does_not() -> None:
    stage = stage_of(web=service())
    stage.run_up("web")
    told = stage.engine.step(inputs.SetEnvironment((), ("A=b=c", "D"), True, "me"), stage.now)
    assert told == [effects.UpdateActivationEnvironment((("A", "b=c"), ("D", ""))), effects.Reply("me")]
    told = stage.engine.step(inputs.SetEnvironment(("web", ""), ("A=1",), True, "me"), stage.now)
    assert told == [effects.Reply("me")]


def test_a_process_that_was_asked_for_keeps_the_environment_it_was_asked_for_with() -> None:
    stage = stage_of(web=service())
    stage.start("web")
    spawn = stage.process("web").spawn
    stage.call(inputs.SetEnvironment, ("web", ""), ("A=1",), True)
    assert "A=1" not in spawn.env
    assert spawn.process is ProcessName.MAIN
