"""What is due when: the timers themselves, and what the engine asks to be woken for. Design, 6 and 7."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from support.jobs import job, service
from support.stage import Stage
from upstartd.engine import inputs
from upstartd.engine.timers import Timers

if TYPE_CHECKING:
    from collections.abc import Hashable


def test_nothing_armed_is_never_due() -> None:
    timers = Timers()
    assert timers.next() is None
    assert list(timers.pop_due(1e9)) == []


def test_keys_come_due_in_the_order_of_their_deadlines_and_then_of_their_arming() -> None:
    timers = Timers()
    for key, when in (("c", 3.0), ("a", 1.0), ("d", 3.0), ("b", 2.0)):
        timers.arm(key, when)
    assert timers.next() == 1.0
    assert list(timers.pop_due(0.9)) == []
    assert list(timers.pop_due(3.0)) == ["a", "b", "c", "d"]
    assert timers.next() is None


def test_arming_again_forgets_the_earlier_deadline_and_cancelling_both() -> None:
    timers = Timers()
    timers.arm("a", 1.0)
    timers.arm("a", 5.0)
    assert timers.deadlines() == {"a": 5.0}
    assert list(timers.pop_due(2.0)) == []
    timers.arm("a", 3.0)
    assert timers.next() == 3.0
    timers.cancel("a")
    timers.cancel("never armed")
    assert timers.next() is None
    assert list(timers.pop_due(9.0)) == []


def test_a_key_that_is_armed_again_for_the_same_time_comes_due_once() -> None:
    timers = Timers()
    timers.arm("a", 1.0)
    timers.arm("a", 1.0)
    assert list(timers.pop_due(1.0)) == ["a"]


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.none() | st.integers(0, 20))
        | st.tuples(st.none(), st.integers(0, 20))
    )
)
def test_the_timers_agree_with_a_plain_table(steps: list[tuple[str | None, int | None]]) -> None:
    """(key, time) arms, (key, None) cancels, (None, time) asks for what is due."""
    timers = Timers()
    table: dict[Hashable, int] = {}
    for key, when in steps:
        if key is None:
            assert when is not None
            popped = list(timers.pop_due(when))
            assert set(popped) == {one for one, its in table.items() if its <= when}
            times = [table.pop(one) for one in popped]
            assert times == sorted(times)
        elif when is None:
            timers.cancel(key)
            table.pop(key, None)
        else:
            timers.arm(key, when)
            table[key] = when
        assert timers.deadlines() == table
        assert timers.next() == min(table.values(), default=None)


# -- the engine's ---------------------------------------------------------------------------------------------


def test_an_engine_at_rest_wants_no_waking() -> None:
    stage = Stage.of(web=service(respawn=True), copy=service(task=True), state=job())
    for name in ("web", "state"):
        stage.start(name)
    stage.ready("web")
    stage.end("web", signal=9)
    stage.ready("web")
    stage.emit("nobody")
    assert stage.engine.next_deadline() is None


def test_kill_is_sent_after_the_whole_timeout_whatever_wakes_the_daemon_before() -> None:  # design, 7
    stage = Stage.of(web=service(kill_timeout=2))
    stage.now = 1000.9
    stage.run_up("web")
    stage.stop("web")
    assert stage.engine.next_deadline() == 1002.9
    main = stage.process("web")
    for now in (1001.0, 1002.0, 1002.5, 1002.899):
        stage.now = now
        stage.emit("anything")
        stage.step(inputs.TimePassed())
        assert main.signals == [15]
    stage.now = 1002.9
    stage.emit("anything")
    assert main.signals == [15, 9]
    assert stage.engine.next_deadline() is None


def test_what_is_due_is_done_before_the_input_that_comes_with_the_time() -> None:
    stage = Stage.of(web=service(kill_timeout=1))
    stage.run_up("web")
    stage.stop("web")
    stage.now += 1.0
    stage.restart("web")  # refused; KILL has been sent all the same
    assert stage.process("web").signals == [15, 9]


def test_each_instance_has_its_own_kill_timer() -> None:
    stage = Stage.of(web=service(instance="$N", kill_timeout=5))
    for name in ("1", "2"):
        stage.run_up("web", f"N={name}", instance=name)
        stage.stop("web", f"N={name}")
        stage.pass_time(2.0)
    first, second = stage.process("web", instance="1"), stage.process("web", instance="2")
    stage.pass_time(1.0)
    assert (first.signals, second.signals) == ([15, 9], [15])
    stage.end("web", signal=9, instance="1")
    stage.pass_time(2.0)
    assert second.signals == [15, 9]


def test_the_kill_timer_of_one_run_does_not_reach_into_the_next() -> None:
    stage = Stage.of(web=service(kill_timeout=5))
    stage.run_up("web")
    stage.restart("web")
    stage.pass_time(4.0)
    stage.end("web", signal=15)
    stage.ready("web")
    stage.pass_time(100.0)
    assert stage.process("web").signals == []
