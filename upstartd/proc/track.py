"""Following a main process until it is ready, as a table: what is awaited, and what happened -> what to do.

Pure: the news of a process comes in as a wait status, requests go out; whoever uses the table (supervisor.py)
makes the system calls and knows which process is which. Source: lifecycle specification, section 4; ptrace(2).
"""

from __future__ import annotations

import enum
import os
import signal
from typing import NamedTuple

from upstartd.conf.model import Expect
from upstartd.proc.kernel import PTRACE_EVENT_EXEC, PTRACE_EVENT_FORK, PTRACE_EVENT_STOP


class Awaiting(enum.Enum):
    """What has to happen before a process needs no following any more."""

    NOTHING = enum.auto()
    EXECUTION = enum.auto()  # without expect: its program has been executed
    STOP = enum.auto()  # expect stop
    ONLY_FORK = enum.auto()  # expect fork
    FIRST_FORK = enum.auto()  # expect daemon
    SECOND_FORK = enum.auto()  # expect daemon, in the child of the first
    LEAVE = enum.auto()  # traced, and to be traced no longer at the next opportunity
    DEATH = enum.auto()  # traced and told to end: what it forks now is no main process


class News(enum.Enum):
    """What can happen to a process that has not ended."""

    EXECUTED = enum.auto()  # its set-up has told so; a traced process is at EXEC then
    STOPPED = enum.auto()  # by SIGSTOP
    SUSPENDED = enum.auto()  # by another signal of job control
    CONTINUED = enum.auto()
    # The rest happens to traced processes only, which stand still then.
    EXEC = enum.auto()
    FORK = enum.auto()
    SIGNAL = enum.auto()  # one is about to be delivered
    HELD = enum.auto()  # job control stops it
    TRAP = enum.auto()  # any other stop: it is new, or job control has continued it


class Request(enum.Enum):
    """What to do with a process that something has happened to; the value is how a message says it."""

    NOTHING = "do nothing with"
    CONTINUE = "continue"  # with SIGCONT
    RESUME = "resume"  # with the signal that was about to be delivered
    LISTEN = "leave stopped"
    DETACH = "stop tracing"  # and resume, with the signal that was about to be delivered


class Move(NamedTuple):
    """What follows from news. `follows`: the child of the fork is main from now on, and `then` is for it."""

    request: Request = Request.NOTHING
    then: Awaiting | None = None  # None: what was awaited is still awaited
    follows: bool = False
    ready: bool = False


TRACED = frozenset(
    {Awaiting.ONLY_FORK, Awaiting.FIRST_FORK, Awaiting.SECOND_FORK, Awaiting.LEAVE, Awaiting.DEATH}
)

FIRST_AWAITED = {
    Expect.NONE: Awaiting.EXECUTION,
    Expect.STOP: Awaiting.STOP,
    Expect.FORK: Awaiting.ONLY_FORK,
    Expect.DAEMON: Awaiting.FIRST_FORK,
}

# What happens to a traced process while nothing else is said, and to one that is to be let go.
_GO_ON = {
    News.EXEC: Move(Request.RESUME),
    News.FORK: Move(Request.RESUME),
    News.SIGNAL: Move(Request.RESUME),
    News.HELD: Move(Request.LISTEN),
    News.TRAP: Move(Request.RESUME),
}
_LET_GO = dict.fromkeys(_GO_ON, Move(Request.DETACH, Awaiting.NOTHING))

_RULES: dict[Awaiting, dict[News, Move]] = {
    Awaiting.NOTHING: {},
    Awaiting.EXECUTION: {News.EXECUTED: Move(Request.NOTHING, Awaiting.NOTHING, ready=True)},
    Awaiting.STOP: {News.STOPPED: Move(Request.CONTINUE, Awaiting.NOTHING, ready=True)},
    Awaiting.ONLY_FORK: {
        **_GO_ON,
        News.FORK: Move(Request.DETACH, Awaiting.LEAVE, follows=True, ready=True),
    },
    Awaiting.FIRST_FORK: {
        **_GO_ON,
        News.FORK: Move(Request.DETACH, Awaiting.SECOND_FORK, follows=True),
    },
    Awaiting.SECOND_FORK: {
        **_GO_ON,
        News.FORK: Move(Request.DETACH, Awaiting.LEAVE, follows=True, ready=True),
        News.EXEC: Move(Request.DETACH, Awaiting.NOTHING, ready=True),
    },
    Awaiting.LEAVE: _LET_GO,
    Awaiting.DEATH: _GO_ON,
}

# Total: news that no rule mentions changes nothing.
TABLE: dict[tuple[Awaiting, News], Move] = {
    (awaiting, news): _RULES[awaiting].get(news, Move()) for awaiting in Awaiting for news in News
}

_EVENTS = {PTRACE_EVENT_FORK: News.FORK, PTRACE_EVENT_EXEC: News.EXEC}


def ptrace_event(status: int) -> int:
    """The ptrace event in the wait status of a stopped process; 0 where there is none."""
    return status >> 16


def read_status(status: int, *, traced: bool) -> tuple[News, int]:
    """What the wait status of a process that has not ended says, and the signal in it."""
    if os.WIFCONTINUED(status):
        return News.CONTINUED, int(signal.SIGCONT)
    number = os.WSTOPSIG(status)
    event = ptrace_event(status)
    if event == PTRACE_EVENT_STOP:
        return (News.TRAP if number == signal.SIGTRAP else News.HELD), number
    if event:
        return _EVENTS.get(event, News.TRAP), number
    if traced:
        return News.SIGNAL, number
    return (News.STOPPED if number == signal.SIGSTOP else News.SUSPENDED), number


def after_kill(awaiting: Awaiting) -> Awaiting:
    """What is awaited of a process that has been told to end before it was ready.

    A fork that it makes on its way out, to clean up say, is no main process. One that waits for a stop still
    gets its SIGCONT, as else it could not act on the signal.
    """
    return Awaiting.DEATH if awaiting in TRACED and awaiting is not Awaiting.LEAVE else awaiting
