"""Operands, patterns and conditions over time: events specification, sections 6 and 7; design, 14 and 16."""

from __future__ import annotations

import ctypes

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from support.jobs import both, either, job, on, service
from support.stage import TO_RUNNING, TO_SPAWNED, Stage, starts
from upstartd.conf.model import Condition, EventPattern, Operator
from upstartd.engine.condition import Places, event_names
from upstartd.engine.event import Event, EventQueue
from upstartd.engine.matching import glob_matches, operand_matches
from upstartd.engine.states import State

LIBC = ctypes.CDLL(None)


def matches(operand: str, *env: str, **variables: str) -> bool:
    """Whether an operand with the arguments in `operand` (split at blanks) matches an event with `env`."""
    return operand_matches(EventPattern("plug", tuple(operand.split())), env, variables)


# -- operands -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operand", "expected"),
    [
        ("", True),
        ("usb", True),
        ("usb disk", True),
        ("usb disk 9", True),
        ("usb disk 9 more", False),
        ("disk", False),
        ("KIND=disk", True),
        ("usb SIZE=9", True),
        ("usb SIZE=8", False),
        ("COLOUR=red", False),
        ("SIZE=9 BUS=usb", True),
    ],
)
def test_positional_arguments_count_and_named_ones_look_for_their_variable(operand: str, expected: bool) -> None:
    assert matches(operand, "BUS=usb", "KIND=disk", "SIZE=9") is expected


def test_a_positional_argument_looks_at_the_value_whatever_the_name() -> None:
    assert matches("usb", "=usb")
    assert matches("a=b", "a=b")
    assert not matches("usb", "usb=disk")


def test_an_argument_looks_at_the_first_variable_of_its_name() -> None:
    assert matches("A=1", "A=1", "A=2")
    assert not matches("A=2", "A=1", "A=2")
    assert not matches("A!=1", "A=1", "A=2")


@pytest.mark.parametrize(
    ("operand", "env", "expected"),
    [
        ("IFACE!=lo", ("IFACE=eth0",), True),
        ("IFACE!=lo", ("IFACE=lo",), False),
        ("IFACE!=lo", ("NAME=eth0",), False),
        ("IFACE!=eth*", ("IFACE=eth0",), False),
        ("IFACE!=eth*", ("IFACE=lo",), True),
        ("IFACE!=", ("IFACE=lo",), True),
        ("IFACE!=", ("IFACE=",), False),
        ("IFACE!=lo ADDR=10.*", ("IFACE=eth0", "ADDR=10.0.0.1"), True),
        ("IFACE!=lo ADDR=10.*", ("IFACE=eth0",), False),
    ],
)
def test_not_equal_needs_the_variable_and_another_value(operand: str, env: tuple[str, ...], expected: bool) -> None:
    assert matches(operand, *env) is expected


def test_the_first_operator_of_an_argument_counts() -> None:  # design, 16
    assert matches("KEY=a!=b", "KEY=a!=b")
    assert matches("KEY=a=b", "KEY=a=b")
    assert not matches("KEY!=a!=b", "KEY=a!=b")
    assert matches("KEY!=a=b", "KEY=a!=b")
    assert matches("KEY!!=a", "KEY!=b")


def test_the_value_of_an_argument_is_expanded_and_then_a_pattern() -> None:
    assert matches("DEV=$ID", "DEV=tty1", ID="tty1")
    assert matches("DEV=$ID", "DEV=tty1", ID="tty*")
    assert matches("${ID:-t*}", "DEV=tty1")
    assert not matches("DEV!=$ID", "DEV=tty1", ID="tty1")


def test_an_argument_that_cannot_be_expanded_does_not_match() -> None:
    for operand in ("DEV=$ID", "DEV!=$ID", "$ID", "DEV=${ID", "DEV=${ID:x}"):
        assert not matches(operand, "DEV=tty1")


def test_names_of_events_are_no_patterns() -> None:
    stage = Stage.of(web=service(start_on=on("tt*")), db=service(start_on=on("tty")))
    stage.emit("tty")
    assert [instance.job_class.name for instance in stage.engine.world.instances.values()] == ["db"]


# -- patterns -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "value", "expected"),
    [
        ("tty*", "tty2", True),
        ("*/tty*", "/dev/serial/tty2", True),
        ("*", ".hidden/file", True),
        ("tty?", "tty2", True),
        ("tty?", "tty12", False),
        ("tty[12]", "tty2", True),
        ("tty[!12]", "tty2", False),
        ("tty[!12]", "tty3", True),
        ("tty[0-9]", "tty7", True),
        ("tty[[:digit:]]", "tty7", True),
        ("tty[[:upper:][:digit:]]", "ttyS", True),
        ("[]-]", "]", True),
        ("[a-]", "-", True),
        ("[9-0]", "5", False),
        ("[!9-0]", "5", True),
        ("[![:nosuch:]]", "a", False),
        ("a*b*c", "abbc", True),
        ("a*b*c", "adc", False),
        ("ab*ba", "aba", False),
        ("\\*", "*", True),
        ("\\*", "x", False),
        ("", "", True),
        ("", "x", False),
        ("*", "", True),
        ("TTY", "tty", False),
        ("a b", "a b", True),
        ("[a", "[a", True),
        ("a\\", "a\\", False),
        ("*a*b*c", "xaxbxc", True),
        ("*a*b*c", "xaxcxb", False),
        ("?", "\n", True),
        ("*é?", "caféx", True),
        ("[[:nosuch:]a]", "a", False),
        ("[a[:nosuch:]]", "a", True),
    ],
)
def test_patterns_are_those_of_fnmatch(pattern: str, value: str, expected: bool) -> None:
    assert glob_matches(pattern, value) is expected


# Pieces of patterns, each with something that it is about.
PIECES = {
    **{char: char for char in "ab1-]!^:/.zA ~\n"},
    "[": "[", "*": "ab", "?": "z", "\\[": "[", "\\]": "]", "\\a": "a", "\\": "\\",
    "[a-c]": "b", "[!a]": "b", "[^a1]": "!", "[]a]": "]", "[!]a]": "b", "[a-]": "-", "[b-a]": "a",
    "[!b-a]": "a", "[a-a]": "a", "[\\]]": "]", "[a\\-z]": "-",
    "[[:alpha:]]": "z", "[![:digit:]]": "a", "[:space:]": "s", "[[:nope:]]": "n",
    "[a[:nope:]z]": "a", "[![:nope:]]": "a", "[[=a=]]": "a", "[[=]=]]": "]", "[[.-.]]": "-", "[[.a.]-z]": "b",
    "[1[.].]a]": "]",
}  # fmt: skip
ANYTHING = st.text("ab1-]![^*?\\:/.zA ~\n", max_size=6)


@st.composite
def patterns_and_values(draw: st.DrawFn) -> tuple[str, str]:
    """A pattern, and a value that it matches, or nearly, or not at all."""
    pieces = draw(st.lists(st.sampled_from(sorted(PIECES)), max_size=6))
    # A set that does not end is none. With something special in it, what it means is nobody's to say.
    assume("[" not in pieces or set("".join(pieces)) <= set("[]ab1zA*?"))
    value = "".join(PIECES[piece] for piece in pieces)
    if draw(st.integers(0, 3)) == 0:
        at = draw(st.integers(0, len(value)))
        value = value[:at] + draw(ANYTHING) + value[at + draw(st.integers(0, 2)) :]
    return "".join(pieces), value


@settings(max_examples=1000)
@given(patterns_and_values())
def test_patterns_match_what_the_c_library_matches(pattern_and_value: tuple[str, str]) -> None:
    pattern, value = pattern_and_value
    assert glob_matches(pattern, value) is (LIBC.fnmatch(pattern.encode(), value.encode(), 0) == 0)


def test_no_pattern_takes_long() -> None:
    pattern, value = "*a" * 200 + "b", "a" * 20_000
    assert not glob_matches(pattern, value)  # with back-tracking this would not end


# -- operators ------------------------------------------------------------------------------------------------

LEAVES = st.sampled_from("abcd").map(on)
CONDITIONS = st.recursive(
    LEAVES, lambda parts: st.builds(both, parts, parts) | st.builds(either, parts, parts), max_leaves=12
)


def filled(condition: Condition, *names: str) -> Places:
    """The places of a condition after events with these names."""
    queue = EventQueue()
    places = Places(condition, queue)
    for name in names:
        event = Event(name)
        queue.add(event)
        places.take(event, {})
    return places


def true_names(condition: Condition, *names: str) -> list[str]:
    places = filled(condition, *names)
    return [places.filled[place].name for place in places.true_places()]


def evaluated(condition: Condition, names: set[str]) -> tuple[bool, list[str]]:
    """Whether the condition is true, and the leaves under operators that are all true: the words of the
    specification, taken literally."""
    stack: list[tuple[bool, list[str]]] = []
    for part in condition:
        if isinstance(part, EventPattern):
            stack.append((part.name in names, [part.name] if part.name in names else []))
            continue
        (right, of_right), (left, of_left) = stack.pop(), stack.pop()
        true = (left and right) if part is Operator.AND else (left or right)
        stack.append((true, of_left + of_right if true else []))
    return stack.pop()


@given(condition=CONDITIONS, names=st.sets(st.sampled_from("abcd")))
def test_the_true_parts_are_the_filled_places_under_true_operators(condition: Condition, names: set[str]) -> None:
    true, leaves = evaluated(condition, names)
    assert true_names(condition, *sorted(names)) == leaves
    assert bool(leaves) is true


def test_and_and_or_have_the_values_that_one_expects() -> None:
    assert true_names(both(on("a"), on("b")), "a") == []
    assert true_names(both(on("a"), on("b")), "b", "a") == ["a", "b"]
    assert true_names(either(on("a"), on("b")), "b") == ["b"]
    assert true_names(either(both(on("a"), on("b")), on("c")), "a", "c") == ["c"]
    assert true_names(both(either(on("a"), on("b")), on("c")), "c", "b") == ["b", "c"]
    assert true_names((), "a") == []


def test_a_condition_of_any_depth_is_evaluated_without_recursion() -> None:
    condition = on("a")
    for _ in range(20_000):
        condition = both(condition, on("a"))
    assert len(true_names(condition, "a")) == 20_001
    deep: Condition = (*[EventPattern("a")] * 20_000, *[Operator.OR] * 19_999)
    assert len(true_names(deep, "a")) == 20_000


def test_the_names_of_a_condition_are_those_of_its_operands() -> None:
    assert event_names(either(both(on("a", "X=1"), on("b")), on("a"))) == {"a", "b"}
    assert event_names(()) == frozenset()


# -- places ---------------------------------------------------------------------------------------------------


def test_an_event_fills_every_empty_place_that_it_matches() -> None:
    condition = either(on("ping", "A=1"), both(on("pong"), on("ping")))
    stage = Stage.of(web=job("pre-start", start_on=condition))
    stage.emit("pong")
    stage.emit("ping", "A=1")
    # One event in two places, both under true operators: it is named twice.
    assert stage.instance("web").supplies.environment["UPSTART_EVENTS"] == "ping pong ping"


def test_an_event_that_fills_no_place_of_a_true_part_is_not_named() -> None:
    condition = either(on("ping", "A=1"), both(on("pong"), on("ping")))
    stage = Stage.of(web=job("pre-start", start_on=condition))
    stage.emit("ping", "A=1")
    assert stage.instance("web").supplies.environment["UPSTART_EVENTS"] == "ping"


def test_the_first_event_counts_where_a_place_is_filled_and_the_second_is_not_held() -> None:
    stage = Stage.of(pair=job("pre-start", start_on=both(on("left"), on("right"))))
    first = stage.emit("right", "R=1")
    second = stage.emit("right", "R=2")
    assert first not in stage.answers
    assert second in stage.answers
    stage.emit("left")
    assert "R=1" in stage.process("pair", "pre-start").spawn.env


def test_a_condition_that_is_true_lets_go_of_the_parts_that_were_not_needed() -> None:
    stage = Stage.of(mixed=service(task=True, start_on=either(both(on("a"), on("b")), on("c"))))
    held = stage.emit("a", "A=1")
    stage.take_news()
    starting = stage.emit("c")
    assert stage.story() == [
        *starts("mixed"),
        f"{held} answered",
        "event a A=1",
    ]
    assert "A=1" not in stage.process("mixed").spawn.env
    assert starting not in stage.answers
    stage.ready("mixed")
    stage.end("mixed")
    later = stage.emit("b")
    assert later not in stage.answers
    assert not stage.engine.world.instances


def test_a_start_condition_is_evaluated_afresh_after_each_start() -> None:
    stage = Stage.of(multi=job(start_on=both(on("a"), either(on("b"), on("c"))), stop_on=on("halt")))
    stage.emit("a")
    stage.emit("b")
    assert stage.instance("multi").state is State.RUNNING
    stage.emit("halt")
    stage.emit("c")
    assert not stage.engine.world.instances
    stage.emit("a")
    assert stage.instance("multi").state is State.RUNNING


def test_a_start_condition_is_matched_while_the_job_runs_and_completing_it_only_empties_it() -> None:
    stage = Stage.of(pair=job(start_on=both(on("left"), on("right")), stop_on=on("halt")))
    stage.start("pair")
    left = stage.emit("left", "N=1")
    stage.take_news()
    right = stage.emit("right")
    assert stage.story() == [f"{right} answered", "event right", f"{left} answered", "event left N=1"]
    assert "N" not in stage.instance("pair").supplies.environment


def test_half_a_condition_outlives_the_job_and_starts_it_later() -> None:
    stage = Stage.of(pair=job(start_on=both(on("left"), on("right")), stop_on=on("halt")))
    stage.start("pair")
    left = stage.emit("left")
    stage.emit("halt")
    assert left not in stage.answers
    stage.emit("right")
    assert stage.instance("pair").state is State.RUNNING
    assert left in stage.answers


def test_a_start_condition_belongs_to_the_job_and_not_to_an_instance() -> None:
    stage = Stage.of(web=job(instance="$N", start_on=both(on("a"), on("b"))))
    stage.emit("a", "N=1")
    stage.emit("b", "N=2")
    assert list(stage.engine.job_class("web").instances) == ["2"]


def test_each_instance_collects_for_its_own_stop_condition() -> None:
    config = service(instance="$ID", stop_on=both(on("drain", "ID=$ID"), on("quit")))
    stage = Stage.of(node=config)
    early = stage.emit("quit")
    assert early in stage.answers
    for name in ("1", "2"):
        stage.start("node", f"ID={name}")
        stage.ready("node", name)
    drain = stage.emit("drain", "ID=1", "HOW=gently")
    stage.take_news()
    quit_ = stage.emit("quit", "HOW=now")
    assert stage.story() == [
        "node/1 goal stop",
        "node/1 pre-stopping pre-stop stopping killed",
        "event stopping JOB=node INSTANCE=1 RESULT=ok",
    ]
    stage.end("node", signal=15, instance="1")
    assert stage.story() == [
        "node/1 post-stopping post-stop waiting",
        "node/1 removed",
        f"{drain} answered",
        "event drain ID=1 HOW=gently",
        "event stopped JOB=node INSTANCE=1 RESULT=ok",
    ]
    last = stage.emit("drain", "ID=2")
    stage.take_news()
    stage.end("node", signal=15, instance="2")
    assert stage.story() == [
        "node/2 post-stopping post-stop waiting",
        "node/2 removed",
        f"{quit_} answered",
        "event quit HOW=now",
        f"{last} answered",
        "event drain ID=2",
        "event stopped JOB=node INSTANCE=2 RESULT=ok",
    ]


def test_a_stop_condition_is_emptied_when_its_instance_is_gone() -> None:
    stage = Stage.of(web=service(stop_on=both(on("a"), on("b"))))
    stage.run_up("web")
    half = stage.emit("a")
    stage.end("web")
    assert half in stage.answers
    stage.run_up("web")
    assert stage.instance("web").stop_places.filled == {}


def test_a_stop_condition_keeps_its_half_over_a_restart() -> None:
    stage = Stage.of(web=service(stop_on=both(on("a"), on("b"))))
    stage.run_up("web")
    stage.emit("a")
    stage.restart("web")
    stage.end("web", signal=15)
    stage.ready("web")
    stage.emit("b")
    assert stage.instance("web").state is State.KILLED


def test_references_in_a_start_condition_see_no_variables_but_their_own_defaults() -> None:
    stage = Stage.of(
        plain=job(env=("WANT=red",), start_on=on("paint", "COLOUR=$WANT")),
        default=job(env=("WANT=red",), start_on=on("paint", "COLOUR=${WANT:-blue}")),
        dollar=job(start_on=on("paint", "PRICE=${}5", "TAG=a$")),
    )
    stage.emit("paint", "COLOUR=red", "PRICE=5", "TAG=a")
    assert not stage.engine.world.instances
    stage.emit("paint", "COLOUR=blue", "PRICE=$5", "TAG=a$")
    assert {one.job_class.name for one in stage.engine.world.instances.values()} == {"default", "dollar"}


def test_references_in_a_stop_condition_see_the_instance_s_environment() -> None:
    stage = Stage.of(worker=job(instance="$ID", env=("MODE=plain",), stop_on=on("quit", "WHO=$ID", "HOW=${MODE}")))
    stage.start("worker", "ID=1")
    stage.start("worker", "ID=2", "MODE=loud")
    stage.emit("quit", "WHO=2", "HOW=plain")
    assert list(stage.engine.job_class("worker").instances) == ["1", "2"]
    stage.emit("quit", "HOW=loud", "WHO=2")
    assert list(stage.engine.job_class("worker").instances) == ["1"]


def test_references_in_a_stop_condition_know_the_start_events_but_not_what_is_added_for_processes() -> None:
    stage = Stage.of(
        web=job(start_on=on("go"), stop_on=either(on("a", "X=$UPSTART_JOB"), on("b", "X=$UPSTART_EVENTS")))
    )
    stage.emit("go")
    stage.emit("a", "X=web")
    assert stage.instance("web").state is State.RUNNING
    stage.emit("b", "X=go")
    assert not stage.engine.world.instances


# -- what is done when a condition is true ------------------------------------------------------------------------


def test_an_instance_whose_goal_is_start_stays_as_it_is_and_the_events_are_let_go() -> None:
    stage = Stage.of(dev=service(instance="$DEV", start_on=on("add")))
    stage.emit("add", "DEV=a", "BY=one")
    stage.ready("dev", "a")
    second = stage.emit("add", "DEV=a", "BY=two")
    assert second in stage.answers
    assert stage.instance("dev", "a").next_supplies is None
    assert stage.instance("dev", "a").supplies.environment["BY"] == "one"


def test_a_job_whose_instance_name_cannot_be_expanded_is_skipped_and_the_event_does_not_fail() -> None:
    stage = Stage.of(dev=service(instance="$DEV", start_on=on("add")))
    call = stage.emit("add", "NODEV=x")
    assert stage.answers[call] is None
    assert not stage.engine.world.instances
    assert [text for _, text in stage.log] == ["Failed to obtain dev instance: Unknown parameter: DEV"]
    assert stage.engine.job_class("dev").start_places.filled == {}


def test_a_job_that_is_skipped_hides_the_event_from_nobody() -> None:  # design, 11
    stage = Stage.of(
        aaa=service(start_on=on("add")),
        bad=service(instance="$DEV", start_on=on("add")),
        zzz=service(start_on=on("add")),
    )
    stage.emit("add")
    assert {one.job_class.name for one in stage.engine.world.instances.values()} == {"aaa", "zzz"}


def test_a_second_stop_event_neither_waits_nor_changes_the_stop_under_way() -> None:
    stage = Stage.of(slow=job("main", "post-stop", stop_on=on("halt")))
    stage.run_up("slow")
    first = stage.emit("halt", "N=1")
    stage.end("slow", signal=15)
    second = stage.emit("halt", "N=2")
    assert second in stage.answers
    assert first not in stage.answers
    assert stage.instance("slow").stop_environment == {"N": "1", "UPSTART_STOP_EVENTS": "halt"}
    stage.end("slow", "post-stop")
    assert first in stage.answers


def test_a_start_event_that_comes_while_the_job_stops_brings_it_back_and_answers_the_stop_event() -> None:
    stage = Stage.of(bounce=job("main", "post-stop", start_on=on("up"), stop_on=on("down")))
    stage.emit("up", "N=1")
    stage.ready("bounce")
    down = stage.emit("down", "N=2")
    stage.end("bounce", signal=15)
    assert "N=2" in stage.process("bounce", "post-stop").spawn.env
    stage.take_news()
    up = stage.emit("up", "N=3")
    assert stage.story() == ["bounce/ goal start", f"{down} answered", "event down N=2"]
    stage.end("bounce", "post-stop")
    assert "N=3" in stage.process("bounce").spawn.env
    assert up not in stage.answers
    stage.take_news()
    stage.ready("bounce")
    assert stage.story() == [
        f"bounce/ {TO_RUNNING}",
        f"{up} answered",
        "event up N=3",
        "event started JOB=bounce INSTANCE=",
    ]


def test_an_event_in_both_conditions_restarts_a_running_job_and_waits_for_running() -> None:
    stage = Stage.of(cycle=service(start_on=on("turn"), stop_on=on("turn")))
    stage.emit("turn", "N=1")
    stage.ready("cycle")
    stage.take_news()
    turn = stage.emit("turn", "N=2")
    assert stage.story() == [
        "cycle/ goal stop",
        "cycle/ pre-stopping pre-stop stopping",
        "cycle/ goal start",
        "cycle/ killed",
        "event stopping JOB=cycle INSTANCE= RESULT=ok",
    ]
    stage.end("cycle", signal=15)
    assert stage.story() == [
        f"cycle/ post-stopping post-stop starting {TO_SPAWNED}",
        "event starting JOB=cycle INSTANCE=",
    ]
    assert {"N=2", "UPSTART_EVENTS=turn"} <= set(stage.process("cycle").spawn.env)
    assert not [entry for entry in stage.process("cycle").spawn.env if "STOP_EVENTS" in entry]
    stage.ready("cycle")
    assert stage.story() == [
        f"cycle/ {TO_RUNNING}",
        f"{turn} answered",
        "event turn N=2",
        "event started JOB=cycle INSTANCE=",
    ]


def test_an_event_in_both_conditions_leaves_its_stop_environment_to_post_stop() -> None:
    stage = Stage.of(cycle=job("main", "post-stop", start_on=on("turn"), stop_on=on("turn")))
    stage.emit("turn", "N=1")
    stage.ready("cycle")
    stage.emit("turn", "N=2")
    stage.end("cycle", signal=15)
    env = set(stage.process("cycle", "post-stop").spawn.env)
    assert {"N=2", "UPSTART_STOP_EVENTS=turn", "UPSTART_EVENTS=turn"} <= env


def test_an_event_in_both_conditions_restarts_a_job_with_pre_stop_too() -> None:  # design, 17
    stage = Stage.of(cycle=job("main", "pre-stop", start_on=on("turn"), stop_on=on("turn")))
    stage.emit("turn", "N=1")
    stage.ready("cycle")
    stage.take_news()
    turn = stage.emit("turn", "N=2")
    assert stage.story() == ["cycle/ goal stop", "cycle/ pre-stopping pre-stop", "cycle/ goal start"]
    stage.end("cycle", "pre-stop")
    stage.end("cycle", signal=15)
    assert "N=2" in stage.process("cycle").spawn.env
    assert turn not in stage.answers
    stage.ready("cycle")
    assert turn in stage.answers


@pytest.mark.parametrize("stop_on", [on("turn", "N=1"), both(on("turn"), on("never"))])
def test_an_event_that_does_not_complete_the_stop_condition_only_cancels_the_stop(stop_on: Condition) -> None:
    stage = Stage.of(cycle=job("main", "pre-stop", start_on=on("turn"), stop_on=stop_on))
    stage.run_up("cycle")
    stage.stop("cycle")
    stage.emit("turn", "N=2")
    stage.end("cycle", "pre-stop")
    assert stage.instance("cycle").state is State.RUNNING


def test_an_event_in_both_conditions_starts_a_job_that_does_not_run() -> None:
    stage = Stage.of(cycle=service(start_on=on("turn"), stop_on=on("turn")))
    stage.emit("turn")
    assert stage.instance("cycle").state is State.SPAWNED
    assert stage.instance("cycle").stop_places.filled == {}
