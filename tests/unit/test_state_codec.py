"""State as JSON: what goes out comes back, and nothing of the wrong shape comes in."""

from __future__ import annotations

import dataclasses
import enum
import json
from collections.abc import Mapping  # noqa: TC003 - codec.py reads the annotations
from typing import Any

import pytest

from support.stage import Stage
from upstartd.conf.parser import parse
from upstartd.engine import snapshot
from upstartd.engine.core import Engine
from upstartd.engine.snapshot import EngineState, SnapshotError
from upstartd.engine.world import World
from upstartd.state.codec import DecodeError, decode, encode

JOB = """\
description "caf\\u00e9"
start on (a and b K=v) or c
stop on d
respawn
limit nofile 1 unlimited
cgroup memory limit_in_bytes 5
normal exit 1 TERM
expect fork
pre-start exec true
exec sleep 5
"""


def busy_stage() -> Stage:
    """An engine with a half-met condition, a running pre-start and a call that waits."""
    stage = Stage()
    config = parse(JOB, "web.conf").config
    assert config is not None
    stage.define("web", config)
    stage.emit("a")
    stage.start("web", "BYTES=\udcff")
    return stage


def as_json(stage: Stage) -> Any:
    return json.loads(json.dumps(encode(snapshot.take(stage.engine))))


def test_a_state_comes_back_as_it_was() -> None:
    data = as_json(busy_stage())
    engine = Engine(World({}, {}))
    snapshot.put(decode(EngineState, data), engine)
    assert encode(snapshot.take(engine)) == data
    instance = engine.instance_by_name("web", "")
    assert instance.supplies.environment["BYTES"] == "\udcff"
    assert instance.config.settings.limits[0].hard is None


def test_goals_and_states_are_spelt_as_readers_of_the_state_expect() -> None:
    job = as_json(busy_stage())["job_classes"][0]["jobs"][0]
    assert (job["goal"], job["state"]) == ("JOB_START", "JOB_PRE_START")


def replaced(data: Any, path: tuple[Any, ...], value: object) -> Any:
    inner = data
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return data


@pytest.mark.parametrize(
    ("path", "value", "where"),
    [
        (("last_uid",), "1", "state.last_uid"),
        (("last_uid",), True, "state.last_uid"),
        (("events",), {}, "state.events"),
        (("events", 0, "id"), None, "state.events[0].id"),
        (("events", 0, "surprise"), 1, "surprise"),
        (("job_classes", 0, "jobs", 0, "goal"), "JOB_DANCE", ".goal"),
        (("job_classes", 0, "jobs", 0, "goal"), [], ".goal"),
        (("job_classes", 0, "jobs", 0, "pids"), {"dance": 1}, ".pids"),
        (("job_classes", 0, "start_places"), {"x": 1}, ".start_places"),
        (("definitions", 0, "config", "start_on", 0), 7, ".start_on[0]"),
        (("ending", "began"), "soon", "state.ending.began"),
    ],
)
def test_a_value_of_the_wrong_shape_is_refused_with_the_place_it_stands_at(
    path: tuple[Any, ...], value: object, where: str
) -> None:
    with pytest.raises(DecodeError) as refused:
        decode(EngineState, replaced(as_json(busy_stage()), path, value))
    assert where in str(refused.value)


class Colour(enum.Enum):
    RED = enum.auto()


@dataclasses.dataclass(frozen=True)
class Part:
    name: str
    weight: float | None = None


@dataclasses.dataclass(frozen=True)
class Whole:
    parts: Mapping[int, Part | Colour] = dataclasses.field(default_factory=dict)
    sizes: tuple[int, str | None] = (0, None)
    either: Part | tuple[Part, ...] | tuple[str, ...] = ()
    anything: object = None


@pytest.mark.parametrize(
    "whole",
    [
        Whole(),
        Whole(parts={1: Part("a", 2.5), -2: Colour.RED}, sizes=(3, "x"), anything={"any": ["thing", 1, None]}),
        Whole(either=Part("a")),
        Whole(either=(Part("a"), Part("b", 1.0))),
        Whole(either=("a", "b")),
    ],
)
def test_whatever_is_encoded_comes_back_equal(whole: Whole) -> None:
    assert decode(Whole, json.loads(json.dumps(encode(whole)))) == whole


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "whole: expected an object, found '[]'"),
        ({"colour": 1}, "whole: missing [], unknown ['colour']"),
        ({"parts": {"1": {}}}, "whole.parts['1']: missing ['name'], unknown []"),
        ({"parts": {"one": "RED"}}, "whole.parts: key: expected a number, found 'one'"),
        ({"parts": {"1": "BLUE"}}, "whole.parts['1']: expected a Colour, found 'BLUE'"),
        ({"parts": {"1": 5}}, "whole.parts['1']: expected an object or a Colour, found '5'"),
        ({"parts": {"1": {"name": "a", "weight": []}}},
         "whole.parts['1'].weight: expected a number or null, found '[]'"),
        ({"sizes": [1]}, "whole.sizes: expected a list of 2, found '[1]'"),
        ({"sizes": [1, 2]}, "whole.sizes[1]: expected a text or null, found '2'"),
        ({"sizes": [True, None]}, "whole.sizes[0]: expected a whole number, found 'True'"),
        ({"either": [{"name": 1}]}, "whole.either[0].name: expected a text, found '1'"),
    ],
)
def test_a_refusal_says_what_is_wanted_what_was_found_and_where(data: object, message: str) -> None:
    with pytest.raises(DecodeError) as refused:
        decode(Whole, data, "whole")
    assert str(refused.value) == message


def test_a_type_that_has_no_json_is_a_mistake_of_the_program() -> None:
    with pytest.raises(TypeError, match="cannot decode"):
        decode(complex, 1)
    with pytest.raises(TypeError, match="cannot encode complex"):
        encode(1j)


@pytest.mark.parametrize("key", ["events", "definitions", "job_classes", "last_uid"])
def test_a_missing_part_is_refused(key: str) -> None:
    data = as_json(busy_stage())
    del data[key]
    with pytest.raises(DecodeError, match=key):
        decode(EngineState, data)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("last_event",), 0),
        (("last_uid",), 0),
        (("events",), []),
        (("definitions",), []),
        (("job_classes", 0, "name"), "other"),
        (("job_classes", 0, "definition"), -1),
        (("job_classes", 0, "jobs", 0, "pids"), {}),
        (("job_classes", 0, "jobs", 0, "state"), "JOB_STARTING"),
        (("job_classes", 0, "jobs", 0, "state"), "JOB_SPAWNED"),
        (("job_classes", 0, "start_places"), {"2": 1}),
        (("job_classes", 0, "start_places"), {"99": 1}),
        (("job_classes", 0, "jobs", 0, "state"), "JOB_WAITING"),
        (("job_classes", 0, "jobs", 0, "holding"), [77]),
        (("events", 0, "blocks"), 5),
    ],
)
def test_a_state_that_contradicts_itself_is_refused(path: tuple[Any, ...], value: object) -> None:
    state = decode(EngineState, replaced(as_json(busy_stage()), path, value))
    with pytest.raises(SnapshotError):
        snapshot.put(state, Engine(World({}, {})))


def test_the_callers_that_no_state_can_have_are_counted() -> None:
    stage = busy_stage()
    assert snapshot.waiting_callers(stage.engine) == 2  # of the call, and of the event that the condition holds
    stage.emit("nobody-waits-for-this")
    assert snapshot.waiting_callers(stage.engine) == 2
    stage.stop("web", wait=False)  # The start has failed by that.
    assert snapshot.waiting_callers(stage.engine) == 1
