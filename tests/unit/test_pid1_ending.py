"""How the engine ends a machine whose jobs have been told by a `runlevel` event (engine/ending.py)."""

from __future__ import annotations

import pytest

from support.jobs import job, on, service
from support.stage import Stage
from upstartd.engine import inputs

DOWN = on("runlevel", "[06]")


def end(stage: Stage) -> None:
    stage.step(inputs.EndInOrder(announced=True))


def running(stage: Stage) -> set[str]:
    """The jobs that have processes."""
    titles = {instance.uid: instance.title for instance in stage.engine.world.instances.values()}
    return {titles[uid] for uid, _ in stage.processes}


def test_the_runlevel_is_told_to_jobs_that_do_not_know_it_and_only_to_them() -> None:
    stage = Stage.of()
    stage.step(inputs.EndInOrder(runlevel="6"))
    assert stage.story() == ["event runlevel RUNLEVEL=6", "event shutdown"]
    stage = Stage.of()
    end(stage)
    assert stage.story() == ["event shutdown"]
    assert stage.ended == 0


@pytest.mark.parametrize("level", ["0", "6"])
def test_a_task_that_the_way_down_has_started_ends_before_anything_else_is_stopped(level: str) -> None:
    stage = Stage.of(save_clock=service(task=True, start_on=DOWN), web=service())
    stage.run_up("web")
    stage.emit("runlevel", f"RUNLEVEL={level}", "PREVLEVEL=2")
    stage.ready("save_clock")
    end(stage)
    assert (stage.process("web").signals, stage.process("save_clock").signals) == ([], [])
    stage.end("save_clock")
    assert stage.process("web").signals == [15]
    stage.end("web", signal=15)
    assert stage.ended == 0


def test_a_task_of_an_earlier_runlevel_is_stopped_like_everything_else() -> None:
    stage = Stage.of(forever=service(task=True, start_on=on("runlevel", "[2345]")))
    stage.emit("runlevel", "RUNLEVEL=2")
    stage.ready("forever")
    end(stage)
    assert stage.process("forever").signals == [15]


def test_what_the_way_down_has_started_and_does_not_end_is_stopped_at_last() -> None:
    stage = Stage.of(save_clock=service(task=True, start_on=DOWN, kill_timeout=8))
    stage.emit("runlevel", "RUNLEVEL=0")
    stage.ready("save_clock")
    end(stage)
    stage.pass_time(8.9)
    assert stage.process("save_clock").signals == []
    stage.pass_time(0.2)
    assert stage.process("save_clock").signals == [15]


def test_jobs_start_as_long_as_the_way_down_takes_and_not_afterwards() -> None:
    stage = Stage.of(
        web=service(stop_on=DOWN),
        backup=service(task=True, start_on=on("stopping", "web")),
        other=service(),
        late=service(start_on=on("stopping", "other")),
    )
    stage.run_up("web")
    stage.run_up("other")
    stage.emit("runlevel", "RUNLEVEL=6")
    end(stage)
    stage.ready("backup")
    assert running(stage) == {"web", "other", "backup"}
    stage.end("backup")
    stage.end("web", signal=15)
    assert stage.process("other").signals == [15]
    assert running(stage) == {"other"}
    stage.end("other", signal=15)
    assert stage.ended == 0


def test_what_has_no_process_does_not_keep_the_end_waiting() -> None:
    stage = Stage.of(web=service(stop_on=on("shutdown")), network=job())
    stage.run_up("web")
    stage.start("network")
    stage.step(inputs.EndInOrder())
    stage.end("web", signal=15)
    assert stage.ended == 0
