"""What check-config complains about (configuration specification, section 11)."""

from __future__ import annotations

import pytest

from upstartd_clients.check_config import Checker
from upstartd_clients.interface import Condition, Conditions

AND, OR = ["/AND"], ["/OR"]


def job(name: str, start_on: Condition | None = None, stop_on: Condition | None = None,
        emits: tuple[str, ...] = ()) -> Conditions:
    return Conditions(name, list(emits), start_on or [], stop_on or [])


def complaints(start_on: Condition, *, known: tuple[str, ...] = (), emits: tuple[str, ...] = (),
               warn: bool = False) -> list[str]:
    """What is said of a job called `self` beside a job called `other`, which emits `emits`."""
    checked = job("self", start_on)
    checker = Checker([checked, job("other", emits=emits)], known, warn=warn)
    return [str(complaint).removeprefix("  start on: unknown ") for complaint in checker.complaints(checked)]


@pytest.mark.parametrize("event", [
    ["startup"], ["debug"], ["control-alt-delete"], ["keyboard-request"], ["power-status-changed"],
    ["starting", "other"], ["started", "JOB=other"], ["stopping", "$WHICH"], ["stopped"], ["stopped", "RESULT=ok"],
])
def test_what_the_daemon_emits_itself_is_known(event: list[str]) -> None:
    assert complaints([event]) == []


@pytest.mark.parametrize("event", ["runlevel", "session-end", "Startup"])
def test_what_nobody_emits_is_unknown(event: str) -> None:
    assert complaints([[event]]) == [f"event {event}"]
    assert complaints([[event]], known=("x", event)) == []


@pytest.mark.parametrize(("emits", "event", "is_known"), [
    ("net-*", "net-up", True), ("net-?p", "net-up", True), ("net-?p", "net-dump", False), ("[ab]", "b", True),
    ("[!ab]", "b", False), ("*-added", "block-device-added", True), ("net-*", "net", False),
])
def test_emits_are_shell_patterns(emits: str, event: str, is_known: bool) -> None:
    assert complaints([[event]], emits=(emits,)) == ([] if is_known else [f"event {event}"])


@pytest.mark.parametrize(("event", "unknown"), [
    (["started", "nobody"], ["job nobody"]),
    (["stopped", "JOB=nobody"], ["job nobody"]),
    (["stopped", "JOB="], ["job "]),  # no job has an empty name, so this can never be
])
def test_job_events_need_their_job(event: list[str], unknown: list[str]) -> None:
    assert complaints([event]) == unknown


def test_ignored_events_are_not_jobs() -> None:
    assert complaints([["started", "gone"]], known=("gone",)) == ["job gone"]


@pytest.mark.parametrize(("condition", "said", "said_with_warn"), [
    ([["startup"], ["x"], OR], [], ["event x"]),
    ([["startup"], ["x"], AND], ["event x"], ["event x"]),
    ([["x"], ["y"], OR], ["event y", "event x"], ["event y", "event x"]),
    ([["a"], ["b"], AND, ["c"], AND], ["event c", "event b", "event a"], ["event c", "event b", "event a"]),
    # The outer operator holds, the inner one does not: told all the same, as the reference does.
    ([["startup"], ["gone"], ["lost"], AND, OR], ["event lost", "event gone"], ["event lost", "event gone"]),
    # Both inner operators fail: the one on the right side is found first, and no other is looked for.
    ([["a"], ["startup"], AND, ["startup"], OR, ["startup"], ["b"], AND, OR], ["event b"], ["event b", "event a"]),
    ([["startup"], ["x"], OR, ["debug"], AND], [], ["event x"]),
])
def test_the_first_operator_that_fails_is_told_from_right_to_left(
        condition: Condition, said: list[str], said_with_warn: list[str]) -> None:
    assert complaints(condition) == said
    assert complaints(condition, warn=True) == said_with_warn


def test_an_event_may_be_called_as_an_operator_is() -> None:
    assert complaints([AND]) == ["event /AND"]
    assert complaints([AND, ["/OR", "x"], OR]) == ["event /OR", "event /AND"]
    assert complaints([["startup"], OR, AND], known=("/OR",)) == []


def test_an_event_is_told_before_its_job_and_start_on_before_stop_on() -> None:
    both = job("both", [["ready"], ["never"], ["starting", "ghost"], OR, AND], [["shade"], ["startup"], AND])
    checker = Checker([both, job("source", emits=("ready",))])
    assert list(map(str, checker.complaints(both))) == [
        "  start on: unknown job ghost", "  start on: unknown event never", "  stop on: unknown event shade"]


def test_a_job_without_conditions_is_never_at_fault() -> None:
    assert list(Checker([job("plain")]).complaints(job("plain"))) == []
