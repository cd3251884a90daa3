"""The table of how main processes are followed."""

from __future__ import annotations

import signal

import pytest

from support.scripted_kernel import AT_EXEC, AT_FORK, CONTINUED, NEWBORN, held, stopped
from upstartd.conf.model import Expect
from upstartd.proc.track import (
    FIRST_AWAITED,
    TABLE,
    TRACED,
    Awaiting,
    Move,
    News,
    Request,
    after_kill,
    read_status,
)

STANDING_STILL = {News.EXEC, News.FORK, News.SIGNAL, News.HELD, News.TRAP}


def test_the_table_is_total() -> None:
    assert set(TABLE) == {(awaiting, news) for awaiting in Awaiting for news in News}


def test_every_expect_has_something_to_wait_for() -> None:
    assert set(FIRST_AWAITED) == set(Expect)


@pytest.mark.parametrize("awaiting", TRACED)
@pytest.mark.parametrize("news", STANDING_STILL)
def test_a_traced_process_that_stands_still_is_never_forgotten(awaiting: Awaiting, news: News) -> None:
    assert TABLE[awaiting, news].request in (Request.RESUME, Request.LISTEN, Request.DETACH)


@pytest.mark.parametrize("awaiting", TRACED)
def test_a_process_that_job_control_stops_is_left_stopped(awaiting: Awaiting) -> None:
    # Detached, it stays stopped as well.
    assert TABLE[awaiting, News.HELD].request in (Request.LISTEN, Request.DETACH)


@pytest.mark.parametrize("awaiting", set(Awaiting) - TRACED)
@pytest.mark.parametrize("news", STANDING_STILL)
def test_nothing_is_asked_of_the_tracer_for_a_process_that_is_not_traced(awaiting: Awaiting, news: News) -> None:
    assert TABLE[awaiting, news] == Move()


@pytest.mark.parametrize("move", TABLE.values())
def test_tracing_ends_exactly_when_a_process_is_detached(move: Move) -> None:
    if move.then is Awaiting.NOTHING:
        assert move.request in (Request.DETACH, Request.CONTINUE, Request.NOTHING)
    if move.request is Request.DETACH:
        assert move.follows or move.then is Awaiting.NOTHING


@pytest.mark.parametrize(
    ("awaiting", "news"),
    [
        (Awaiting.EXECUTION, News.EXECUTED),
        (Awaiting.STOP, News.STOPPED),
        (Awaiting.ONLY_FORK, News.FORK),
        (Awaiting.SECOND_FORK, News.FORK),
        (Awaiting.SECOND_FORK, News.EXEC),
    ],
)
def test_main_gets_ready(awaiting: Awaiting, news: News) -> None:
    assert TABLE[awaiting, news].ready


def test_main_gets_ready_in_no_other_way() -> None:
    assert sum(move.ready for move in TABLE.values()) == 5


def test_a_second_stop_means_nothing() -> None:
    after = TABLE[Awaiting.STOP, News.STOPPED].then
    assert after is not None
    assert TABLE[after, News.STOPPED] == Move()


@pytest.mark.parametrize("awaiting", Awaiting)
def test_nothing_that_a_process_forks_is_followed_once_it_was_told_to_end(awaiting: Awaiting) -> None:
    assert not TABLE[after_kill(awaiting), News.FORK].follows


@pytest.mark.parametrize(
    ("status", "traced", "news", "number"),
    [
        (CONTINUED, False, News.CONTINUED, signal.SIGCONT),
        (stopped(signal.SIGSTOP), False, News.STOPPED, signal.SIGSTOP),
        (stopped(signal.SIGTSTP), False, News.SUSPENDED, signal.SIGTSTP),
        (stopped(signal.SIGSTOP), True, News.SIGNAL, signal.SIGSTOP),
        (stopped(signal.SIGTERM), True, News.SIGNAL, signal.SIGTERM),
        (AT_FORK, True, News.FORK, signal.SIGTRAP),
        (AT_EXEC, True, News.EXEC, signal.SIGTRAP),
        (NEWBORN, True, News.TRAP, signal.SIGTRAP),
        (held(signal.SIGTTOU), True, News.HELD, signal.SIGTTOU),
        (5 << 16 | stopped(signal.SIGTRAP), True, News.TRAP, signal.SIGTRAP),
    ],
)
def test_wait_statuses_are_read(status: int, traced: bool, news: News, number: int) -> None:
    assert read_status(status, traced=traced) == (news, number)
