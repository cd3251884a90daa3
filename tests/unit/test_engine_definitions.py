"""What job files say changes: replacement, deferral while there are instances, and what is announced.

Source: lifecycle specification, section 11; configuration specification, section 9; events specification,
section 3; design, 14.
"""

from __future__ import annotations

import pytest

from support.jobs import both, either, job, on, service
from support.stage import Stage
from upstartd.conf.model import Condition, Definition, JobConfig
from upstartd.engine.states import State


def read(config: JobConfig, directory: str = "conf") -> Definition:
    """One reading of the file of the job web in a directory."""
    return Definition("web", config, f"/{directory}/web.conf")


def described(text: str, **stanzas: object) -> JobConfig:
    return service(description=text, **stanzas)


def description(stage: Stage) -> str:
    """That of the definition in force."""
    return stage.engine.job_class("web").config.description


def stop(stage: Stage) -> list[str]:
    """Stop the job web and tell what clients see from `waiting` on."""
    call = stage.stop("web")
    stage.take_news()
    stage.end("web", signal=15)
    story = stage.story()
    assert story[0] == "web/ post-stopping post-stop waiting"
    assert story[1] == f"{call} answered"
    return story[2:]


STOPPED = "event stopped JOB=web INSTANCE= RESULT=ok"


# -- without instances ----------------------------------------------------------------------------------------


def test_a_job_comes_is_replaced_and_goes_with_its_file() -> None:
    stage = Stage()
    stage.define("web", described("old"))
    assert stage.take_news() == ["web added"]
    stage.define("web", described("new"))
    assert stage.take_news() == ["web removed", "web added"]
    assert description(stage) == "new"
    stage.define("web", None)
    assert stage.take_news() == ["web removed"]
    assert not stage.engine.classes
    stage.define("web", None)
    assert stage.take_news() == []


def test_a_file_that_is_read_again_replaces_the_job_even_if_not_a_word_has_changed() -> None:
    stage = Stage()
    config = service()
    stage.define("web", config)
    stage.define("web", config)
    assert stage.take_news() == ["web added", "web removed", "web added"]


def test_of_several_directories_the_first_counts_and_the_others_change_nothing() -> None:
    stage = Stage()
    first, second = read(described("first"), "a"), read(described("second"), "b")
    stage.files("web", second)
    stage.files("web", first, second)
    assert stage.take_news() == ["web added", "web removed", "web added"]
    assert description(stage) == "first"
    stage.files("web", first, read(described("second again"), "b"))
    stage.files("web", first)
    assert stage.take_news() == []
    stage.files("web", first, second)
    stage.files("web", second)
    assert stage.take_news() == ["web removed", "web added"]
    assert description(stage) == "second"


def test_a_changed_condition_counts_at_once_for_a_job_at_rest() -> None:
    stage = Stage.of(web=service(start_on=on("early")))
    stage.define("web", service(start_on=on("late")))
    stage.emit("early")
    assert not stage.engine.world.instances
    stage.emit("late")
    assert stage.instance("web").state is State.SPAWNED


# -- while there are instances --------------------------------------------------------------------------------


def test_nothing_is_announced_and_the_old_definition_stays_in_force_while_an_instance_exists() -> None:
    stage = Stage.of(web=job("main", "post-stop", description="old"))
    stage.run_up("web")
    stage.take_news()
    stage.define("web", job("pre-start", "main", description="new"))
    assert stage.take_news() == []
    assert description(stage) == "old"
    stage.restart("web")
    stage.end("web", signal=15)
    stage.end("web", "post-stop")
    assert stage.instance("web").state is State.SPAWNED  # no pre-start
    assert description(stage) == "old"


def test_a_changed_file_takes_effect_when_the_last_instance_is_in_waiting_without_instance_removed() -> None:
    stage = Stage.of(web=described("old"))
    stage.run_up("web")
    stage.define("web", described("new"))
    assert stop(stage) == ["web removed", "web added", STOPPED]
    assert description(stage) == "new"


def test_a_job_whose_file_is_deleted_goes_with_its_last_instance() -> None:
    stage = Stage.of(web=described("old"))
    stage.run_up("web")
    stage.define("web", None)
    assert list(stage.engine.classes) == ["web"]
    assert stop(stage) == ["web removed", STOPPED]
    assert not stage.engine.classes
    assert stage.error(stage.start("web")) == ("UnknownJob", "Unknown job: web")


def test_however_often_a_file_changes_its_last_word_counts() -> None:
    stage = Stage.of(web=described("old"))
    stage.run_up("web")
    for config in (described("one"), None, described("two")):
        stage.define("web", config)
    assert stop(stage) == ["web removed", "web added", STOPPED]
    assert description(stage) == "two"


def test_a_deleted_file_that_comes_back_as_it_was_is_a_change() -> None:
    stage = Stage()
    config = described("same")
    stage.define("web", config)
    stage.run_up("web")
    stage.define("web", None)
    stage.define("web", config)
    assert stop(stage) == ["web removed", "web added", STOPPED]


def test_where_only_a_better_directory_takes_over_instance_removed_comes_after_the_replacement() -> None:
    stage = Stage()
    old, better = read(described("old"), "b"), read(described("better"), "a")
    stage.files("web", old)
    stage.run_up("web")
    stage.files("web", better, old)
    assert stop(stage) == ["web removed", "web added", "web/ removed", STOPPED]
    assert description(stage) == "better"


def test_where_nothing_that_counts_has_changed_instance_removed_comes_as_ever() -> None:
    stage = Stage()
    first, other = read(described("first"), "a"), read(described("other"), "b")
    stage.files("web", first, other)
    stage.run_up("web")
    stage.files("web", first, read(described("other again"), "b"))
    stage.files("web", first)
    assert stop(stage) == ["web/ removed", STOPPED]


def test_a_better_directory_that_came_and_went_has_changed_nothing() -> None:
    stage = Stage()
    old, better = read(described("old"), "b"), read(described("better"), "a")
    stage.files("web", old)
    stage.run_up("web")
    stage.files("web", better, old)
    stage.files("web", old)
    assert stop(stage) == ["web/ removed", STOPPED]


def test_while_others_remain_an_instance_of_a_changed_job_is_removed_as_ever() -> None:
    stage = Stage.of(web=service(instance="$N", description="old"))
    for name in ("1", "2"):
        stage.run_up("web", f"N={name}", instance=name)
    stage.define("web", service(instance="$NAME", description="new"))
    stage.stop("web", "N=1")
    stage.take_news()
    stage.end("web", signal=15, instance="1")
    assert stage.story() == [
        "web/1 post-stopping post-stop waiting",
        "call 3 answered",
        "web/1 removed",
        "event stopped JOB=web INSTANCE=1 RESULT=ok",
    ]
    assert description(stage) == "old"


def test_new_instances_of_a_changed_job_follow_the_old_definition() -> None:
    stage = Stage.of(web=service(instance="$N", description="old"))
    stage.run_up("web", "N=1", instance="1")
    stage.define("web", service(instance="$NAME", description="new"))
    stage.start("web", "N=2")
    assert list(stage.engine.job_class("web").instances) == ["1", "2"]


def test_old_conditions_count_while_an_instance_exists_and_new_ones_after_it() -> None:
    stage = Stage.of(web=service(start_on=on("early"), stop_on=on("halt")))
    stage.run_up("web")
    stage.define("web", service(start_on=on("late"), stop_on=on("shutdown")))
    assert stage.answers[stage.emit("shutdown")] is None
    assert stage.instance("web").state is State.RUNNING
    halt = stage.emit("halt")
    stage.take_news()
    stage.end("web", signal=15)
    assert stage.story() == [
        "web/ post-stopping post-stop waiting",
        "web removed",
        "web added",
        f"{halt} answered",
        "event halt",
        STOPPED,
    ]
    stage.emit("early")
    assert not stage.engine.world.instances
    stage.emit("late")
    assert stage.engine.world.instances


def test_a_job_that_is_replaced_in_waiting_may_be_started_by_its_own_stopped_event() -> None:
    stage = Stage.of(web=described("old"))
    stage.run_up("web")
    stage.define("web", described("new", start_on=on("stopped", "web")))
    assert stop(stage)[:3] == ["web removed", "web added", "web/ added"]
    assert description(stage) == "new"


# -- events that a start condition holds over a change -----------------------------------------------------------

HALF = both(on("left"), on("right"))


def test_deleting_a_job_that_holds_an_event_lets_it_go() -> None:
    stage = Stage.of(web=service(start_on=HALF))
    left = stage.emit("left")
    stage.take_news()
    stage.define("web", None)
    assert stage.story() == ["web removed", f"{left} answered", "event left"]
    assert stage.answers[left] is None


def test_half_a_condition_survives_a_change_that_has_a_place_for_its_event() -> None:
    stage = Stage.of(web=service(start_on=HALF))
    left = stage.emit("left", "N=1")
    stage.define("web", service(start_on=both(on("right"), on("left"))))
    assert left not in stage.answers
    stage.emit("right")
    assert "N=1" in stage.process("web").spawn.env


@pytest.mark.parametrize("condition", [(), on("right"), both(on("left", "N=2"), on("right"))])
def test_half_a_condition_is_let_go_by_a_change_that_has_no_place_for_its_event(condition: Condition) -> None:
    stage = Stage.of(web=service(start_on=HALF))
    left = stage.emit("left", "N=1")
    stage.define("web", service(start_on=condition))
    assert stage.answers[left] is None


def test_half_a_condition_survives_a_change_that_waits_for_the_last_instance() -> None:
    stage = Stage.of(web=service(start_on=HALF))
    stage.run_up("web")
    left = stage.emit("left")
    stage.define("web", service(start_on=HALF, description="new"))
    stop(stage)
    assert left not in stage.answers
    stage.emit("right")
    assert stage.instance("web").state is State.SPAWNED
    assert description(stage) == "new"


@pytest.mark.parametrize("condition", [on("left"), either(on("left"), on("right"))])
def test_a_change_whose_condition_the_held_events_satisfy_lets_them_go_and_starts_nothing(  # design, 14
    condition: Condition,
) -> None:
    stage = Stage.of(web=service(start_on=HALF))
    left = stage.emit("left")
    stage.take_news()
    stage.define("web", service(start_on=condition))
    assert stage.story() == ["web removed", "web added", f"{left} answered", "event left"]
    assert not stage.engine.world.instances
    stage.emit("left")
    assert stage.instance("web").state is State.SPAWNED


def test_an_event_that_one_of_two_holders_loses_is_still_held_by_the_other() -> None:
    stage = Stage.of(web=service(start_on=HALF), other=service(start_on=HALF))
    left = stage.emit("left")
    stage.define("web", None)
    assert left not in stage.answers
    stage.define("other", None)
    assert stage.answers[left] is None
