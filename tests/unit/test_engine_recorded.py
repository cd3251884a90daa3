"""The reference as it was recorded: scenarios of the conformance suite, played on the stage.

The orders of signals and answers below are those of the recordings of the same name; processes end here when
the test says so. (The daemon as a whole is held against all recordings in tests/conformance.)
"""

from __future__ import annotations

from support.jobs import both, either, job, on, service
from support.stage import TO_POST_STOP, TO_PRE_START, TO_RUNNING, TO_SPAWNED, Stage, ends, starts
from upstartd.conf.model import RespawnLimit


def test_lifecycle_restart() -> None:
    stage = Stage.of(web=job("pre-start", "main", "post-start", "post-stop"))
    stage.start("web")
    stage.end("web", "pre-start")
    stage.ready("web")
    stage.end("web", "post-start")
    assert stage.story() == [
        "web/ added",
        "web/ goal start",
        "web/ starting " + TO_PRE_START,
        "event starting JOB=web INSTANCE=",
        "web/ spawning spawned " + TO_RUNNING,
        "call 1 answered",
        "event started JOB=web INSTANCE=",
    ]
    stage.restart("web")
    stage.end("web", signal=15)
    stage.end("web", "post-stop")
    stage.end("web", "pre-start")
    stage.ready("web")
    stage.end("web", "post-start")
    assert stage.story() == [
        "web/ goal stop",
        "web/ pre-stopping pre-stop stopping",
        "web/ goal start",
        "web/ killed",
        "event stopping JOB=web INSTANCE= RESULT=ok",
        "web/ post-stopping post-stop starting " + TO_PRE_START,
        "event starting JOB=web INSTANCE=",
        "web/ spawning spawned " + TO_RUNNING,
        "call 2 answered",
        "event started JOB=web INSTANCE=",
    ]


def test_lifecycle_start_in_pre_stop() -> None:
    stage = Stage.of(web=job("main", "pre-stop"))
    stage.run_up("web")
    stage.take_news()
    stage.stop("web")
    assert stage.story() == ["web/ goal stop", "web/ pre-stopping pre-stop"]
    stage.start("web")
    assert stage.story() == ["call 2 answered", "web/ goal start"]
    stage.end("web", "pre-stop")
    assert stage.story() == ["web/ running", "call 3 answered"]
    stage.stop("web")
    stage.end("web", "pre-stop")
    stage.end("web", signal=15)
    assert stage.story() == [
        "web/ goal stop",
        "web/ pre-stopping pre-stop stopping killed",
        "event stopping JOB=web INSTANCE= RESULT=ok",
        "web/ post-stopping post-stop waiting",
        "call 4 answered",
        "web/ removed",
        "event stopped JOB=web INSTANCE= RESULT=ok",
    ]


def test_lifecycle_respawn_in_post_start() -> None:
    stage = Stage.of(web=job("main", "post-start", respawn=True))
    stage.start("web")
    stage.ready("web")
    assert stage.story() == [*starts("web"), "web/ post-starting post-start"]
    stage.end("web", signal=9)
    assert stage.story() == ["web/ goal respawn"]
    stage.end("web", "post-start")
    stage.ready("web")
    stage.end("web", "post-start")
    assert stage.story() == [
        "web/ goal start",
        f"web/ {TO_POST_STOP} starting",
        "event stopping JOB=web INSTANCE= RESULT=ok",
        "web/ " + TO_SPAWNED,
        "event starting JOB=web INSTANCE=",
        "web/ " + TO_RUNNING,
        "call 1 answered",
        "event started JOB=web INSTANCE=",
    ]


def test_lifecycle_respawn_task() -> None:
    stage = Stage.of(hopeless=service(task=True, respawn=True, respawn_limit=RespawnLimit(1, 60)))
    stage.start("hopeless")
    stage.ready("hopeless")
    stage.end("hopeless", status=4)
    stage.ready("hopeless")
    stage.end("hopeless", status=4)
    tail = "JOB=hopeless INSTANCE= RESULT=failed PROCESS=respawn"
    assert stage.story() == [
        *starts("hopeless"),
        "hopeless/ " + TO_RUNNING,
        "event started JOB=hopeless INSTANCE=",
        f"hopeless/ {TO_POST_STOP} starting",
        "event stopping JOB=hopeless INSTANCE= RESULT=ok",
        "hopeless/ " + TO_SPAWNED,
        "event starting JOB=hopeless INSTANCE=",
        "hopeless/ " + TO_RUNNING,
        "event started JOB=hopeless INSTANCE=",
        "hopeless/ failed 0",
        "call 1 refused: Job failed to start",
        "hopeless/ goal stop",
        f"hopeless/ {TO_POST_STOP} waiting",
        "hopeless/ removed",
        f"event stopping {tail}",
        f"event stopped {tail}",
    ]


def test_lifecycle_main_ends_in_stopping() -> None:
    stage = Stage.of(web=job("main", "post-stop"), helper=service(task=True, start_on=on("stopping", "web")))
    stage.run_up("web")
    stage.take_news()
    stage.stop("web")
    stage.ready("helper")
    assert stage.story() == [
        "web/ goal stop",
        "web/ pre-stopping pre-stop stopping",
        *starts("helper"),
        "helper/ " + TO_RUNNING,
        "event started JOB=helper INSTANCE=",
    ]
    stage.end("web", signal=9)
    stage.end("helper")
    stage.end("web", "post-stop")
    assert stage.story() == [
        *ends("helper"),
        "web/ killed post-stopping post-stop",
        "event stopping JOB=web INSTANCE= RESULT=ok",
        "web/ waiting",
        "call 2 answered",
        "web/ removed",
        "event stopped JOB=web INSTANCE= RESULT=ok",
    ]


def test_lifecycle_conf_changed_while_running() -> None:
    stage = Stage.of(web=service(description="old"))
    stage.run_up("web")
    stage.take_news()
    stage.define("web", service(description="new"))
    assert stage.story() == []
    assert stage.engine.job_class("web").config.description == "old"
    stage.restart("web")
    stage.end("web", signal=15)
    stage.ready("web")
    assert stage.story() == [
        "web/ goal stop",
        "web/ pre-stopping pre-stop stopping",
        "web/ goal start",
        "web/ killed",
        "event stopping JOB=web INSTANCE= RESULT=ok",
        "web/ post-stopping post-stop starting " + TO_SPAWNED,
        "event starting JOB=web INSTANCE=",
        "web/ " + TO_RUNNING,
        "call 2 answered",
        "event started JOB=web INSTANCE=",
    ]
    stage.stop("web")
    stage.end("web", signal=15)
    assert stage.story() == [
        "web/ goal stop",
        "web/ pre-stopping pre-stop stopping killed",
        "event stopping JOB=web INSTANCE= RESULT=ok",
        "web/ post-stopping post-stop waiting",
        "call 3 answered",
        "web removed",
        "web added",
        "event stopped JOB=web INSTANCE= RESULT=ok",
    ]
    assert stage.engine.job_class("web").config.description == "new"


def test_config_running_instances_modified() -> None:
    stage = Stage.of(worker=service(instance="$N", description="old"))
    stage.run_up("worker", "N=1", instance="1")
    stage.define("worker", service(instance="$NAME", description="new"))
    stage.run_up("worker", "N=2", instance="2")
    stage.take_news()
    for name, description, gone in (
        ("1", "old", ["worker/1 removed"]),
        ("2", "new", ["worker removed", "worker added"]),
    ):
        call = stage.stop("worker", f"N={name}")
        stage.end("worker", signal=15, instance=name)
        assert stage.story() == [
            f"worker/{name} goal stop",
            f"worker/{name} pre-stopping pre-stop stopping killed",
            f"event stopping JOB=worker INSTANCE={name} RESULT=ok",
            f"worker/{name} post-stopping post-stop waiting",
            f"{call} answered",
            *gone,
            f"event stopped JOB=worker INSTANCE={name} RESULT=ok",
        ]
        assert stage.engine.job_class("worker").config.description == description
    assert stage.error(stage.start("worker", "N=3")) == ("InvalidArgs", "Unknown parameter: NAME")


def test_events_same_event_starts_and_stops() -> None:
    stage = Stage.of(cycle=service(start_on=on("turn"), stop_on=on("turn")))
    stage.emit("turn", "N=1")
    stage.ready("cycle")
    assert stage.story() == [
        *starts("cycle"),
        "cycle/ " + TO_RUNNING,
        "call 1 answered",
        "event turn N=1",
        "event started JOB=cycle INSTANCE=",
    ]
    stage.emit("turn", "N=2")
    stage.end("cycle", signal=15)
    stage.ready("cycle")
    assert stage.story() == [
        "cycle/ goal stop",
        "cycle/ pre-stopping pre-stop stopping",
        "cycle/ goal start",
        "cycle/ killed",
        "event stopping JOB=cycle INSTANCE= RESULT=ok",
        "cycle/ post-stopping post-stop starting " + TO_SPAWNED,
        "event starting JOB=cycle INSTANCE=",
        "cycle/ " + TO_RUNNING,
        "call 2 answered",
        "event turn N=2",
        "event started JOB=cycle INSTANCE=",
    ]


def test_events_stop_on_starting() -> None:
    stage = Stage.of(
        old=job("main", "post-stop", start_on=on("boot"), stop_on=on("starting", "new")), new=service()
    )
    stage.emit("boot")
    stage.ready("old")
    stage.take_news()
    stage.start("new")
    stage.end("old", signal=15)
    stage.end("old", "post-stop")
    stage.ready("new")
    assert stage.story() == [
        "new/ added",
        "new/ goal start",
        "new/ starting",
        "old/ goal stop",
        "old/ pre-stopping pre-stop stopping killed",
        "event stopping JOB=old INSTANCE= RESULT=ok",
        "old/ post-stopping post-stop waiting",
        "old/ removed",
        "new/ " + TO_SPAWNED,
        "event starting JOB=new INSTANCE=",
        "event stopped JOB=old INSTANCE= RESULT=ok",
        "new/ " + TO_RUNNING,
        "call 2 answered",
        "event started JOB=new INSTANCE=",
    ]


def test_events_queue_order() -> None:
    stage = Stage.of(held=service(task=True, start_on=on("first")))
    stage.emit("first")
    stage.ready("held")
    assert stage.story() == [*starts("held"), "held/ " + TO_RUNNING, "event started JOB=held INSTANCE="]
    stage.emit("second", wait=False)
    stage.emit("first", "AGAIN=1")
    stage.emit("third")
    assert stage.story() == [
        "call 2 answered", "event second", "call 3 answered", "event first AGAIN=1", "call 4 answered", "event third",
    ]  # fmt: skip
    stage.end("held")
    assert stage.story() == [
        *ends("held"),
        "call 1 answered",
        "event first",
    ]


def test_events_wrapper_service() -> None:
    stage = Stage.of(
        core=service(),
        shield=service(start_on=on("starting", "core"), stop_on=on("stopped", "core")),
        client=service(start_on=on("started", "core"), stop_on=on("stopping", "core")),
    )
    stage.start("core")
    stage.ready("shield")
    stage.ready("core")
    stage.ready("client")
    assert stage.story() == [
        "core/ added",
        "core/ goal start",
        "core/ starting",
        *starts("shield"),
        "shield/ " + TO_RUNNING,
        "core/ " + TO_SPAWNED,
        "event starting JOB=core INSTANCE=",
        "event started JOB=shield INSTANCE=",
        "core/ " + TO_RUNNING,
        "call 1 answered",
        *starts("client"),
        "client/ " + TO_RUNNING,
        "event started JOB=core INSTANCE=",
        "event started JOB=client INSTANCE=",
    ]
    stage.stop("core")
    stage.end("client", signal=15)
    stage.end("core", signal=15)
    stage.end("shield", signal=15)
    assert stage.story() == [
        "core/ goal stop",
        "core/ pre-stopping pre-stop stopping",
        "client/ goal stop",
        "client/ pre-stopping pre-stop stopping killed",
        "event stopping JOB=client INSTANCE= RESULT=ok",
        "client/ post-stopping post-stop waiting",
        "client/ removed",
        "core/ killed",
        "event stopping JOB=core INSTANCE= RESULT=ok",
        "event stopped JOB=client INSTANCE= RESULT=ok",
        "core/ post-stopping post-stop waiting",
        "call 2 answered",
        "core/ removed",
        "shield/ goal stop",
        "shield/ pre-stopping pre-stop stopping killed",
        "event stopping JOB=shield INSTANCE= RESULT=ok",
        "shield/ post-stopping post-stop waiting",
        "shield/ removed",
        "event stopped JOB=core INSTANCE= RESULT=ok",
        "event stopped JOB=shield INSTANCE= RESULT=ok",
    ]


def test_events_starting_hook() -> None:
    stage = Stage.of(
        web=service(),
        prepare=service(task=True, start_on=on("starting", "web")),
        note=service(task=True, start_on=on("starting/failed", "JOB=web")),
    )
    stage.start("web")
    stage.ready("prepare")
    stage.take_news()
    stage.end("prepare", status=1)
    failed = "JOB=prepare INSTANCE= RESULT=failed PROCESS=main EXIT_STATUS=1"
    assert stage.story() == [
        "prepare/ failed 1",
        "prepare/ goal stop",
        "prepare/ stopping",
        "web/ " + TO_SPAWNED,
        "event starting JOB=web INSTANCE=",
        "prepare/ killed post-stopping post-stop waiting",
        "prepare/ removed",
        f"event stopping {failed}",
        "note/ added",
        "note/ goal start",
        "note/ starting",
        f"event stopped {failed}",
        "note/ " + TO_SPAWNED,
        "event starting JOB=note INSTANCE=",
    ]


def test_events_emit_failed() -> None:
    stage = Stage.of(broken=job("pre-start", "main", start_on=on("go")))
    stage.emit("go")
    stage.end("broken", "pre-start", status=1)
    failed = "JOB=broken INSTANCE= RESULT=failed PROCESS=pre-start EXIT_STATUS=1"
    assert stage.story() == [
        "broken/ added",
        "broken/ goal start",
        "broken/ starting " + TO_PRE_START,
        "event starting JOB=broken INSTANCE=",
        "broken/ failed 1",
        "broken/ goal stop",
        "broken/ stopping",
        "call 1 refused: Event failed",
        "event go",
        "broken/ killed post-stopping post-stop waiting",
        "broken/ removed",
        f"event stopping {failed}",
        "event go/failed",
        f"event stopped {failed}",
    ]


def test_events_emit_other_jobs() -> None:
    stage = Stage.of(
        day=job("post-start", start_on=on("sunrise"), stop_on=on("sunset")),
        night=job("pre-start", "post-stop", start_on=on("sunset"), stop_on=on("sunrise")),
    )
    stage.emit("sunset")
    stage.end("night", "pre-start")
    stage.take_news()
    stage.emit("sunrise")
    stage.end("day", "post-start")
    stage.end("night", "post-stop")
    story = stage.story()
    # Which of two jobs an event reaches first is open; what follows in each is not.
    assert [line for line in story if "night" in line or "sunrise" in line or line.startswith("call")] == [
        "night/ goal stop",
        "night/ stopping",
        "night/ killed post-stopping post-stop",
        "event stopping JOB=night INSTANCE= RESULT=ok",
        "night/ waiting",
        "night/ removed",
        "call 2 answered",
        "event sunrise",
        "event stopped JOB=night INSTANCE= RESULT=ok",
    ]
    assert [line for line in story if "day" in line] == [
        "day/ added",
        "day/ goal start",
        "day/ starting",
        f"day/ {TO_SPAWNED} post-starting post-start",
        "event starting JOB=day INSTANCE=",
        "day/ running",
        "event started JOB=day INSTANCE=",
    ]


def test_events_stop_during_starting() -> None:
    stage = Stage.of(
        slow=job("main", "post-stop", start_on=on("go"), stop_on=on("halt")),
        holder=service(task=True, start_on=on("starting", "slow")),
    )
    stage.emit("go")
    stage.ready("holder")
    stage.take_news()
    stage.emit("halt")
    stage.end("holder")
    stage.end("slow", "post-stop")
    assert stage.story() == [
        "slow/ goal stop",
        "call 1 answered",
        "event go",
        *ends("holder"),
        "slow/ stopping",
        "event starting JOB=slow INSTANCE=",
        "slow/ killed post-stopping post-stop",
        "event stopping JOB=slow INSTANCE= RESULT=ok",
        "slow/ waiting",
        "slow/ removed",
        "call 2 answered",
        "event halt",
        "event stopped JOB=slow INSTANCE= RESULT=ok",
    ]


def test_events_and_again() -> None:
    stage = Stage.of(multi=job(start_on=both(on("a"), either(on("b"), on("c"))), stop_on=on("halt")))
    up = [
        "multi/ added",
        "multi/ goal start",
        f"multi/ starting {TO_SPAWNED} {TO_RUNNING}",
        "event starting JOB=multi INSTANCE=",
        "event started JOB=multi INSTANCE=",
    ]
    stage.emit("a", wait=False)
    stage.emit("b")
    assert stage.story() == ["call 1 answered", *up, "event a", "call 2 answered", "event b"]
    stage.emit("halt")
    assert stage.story() == [
        *ends("multi"),
        "call 3 answered",
        "event halt",
    ]
    stage.emit("c", wait=False)
    stage.emit("a")
    assert stage.story() == ["call 4 answered", *up, "event c", "call 5 answered", "event a"]


def test_events_job_deleted_releases_event() -> None:
    stage = Stage.of(pair=service(start_on=both(on("left"), on("right"))))
    stage.emit("left")
    stage.define("pair", None)
    stage.emit("right")
    assert stage.story() == ["pair removed", "call 1 answered", "event left", "call 2 answered", "event right"]


def test_events_command_releases_event() -> None:
    stage = Stage.of(slow=job("pre-start", "main", start_on=on("go")))
    stage.emit("go")
    stage.take_news()
    stage.stop("slow")
    stage.end("slow", "pre-start")
    assert stage.story() == [
        "slow/ goal stop",
        "call 1 answered",
        "event go",
        f"slow/ {TO_POST_STOP} waiting",
        "call 2 answered",
        "slow/ removed",
        "event stopping JOB=slow INSTANCE= RESULT=ok",
        "event stopped JOB=slow INSTANCE= RESULT=ok",
    ]
