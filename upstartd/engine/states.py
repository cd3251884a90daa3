"""Goals, states and the one table of transitions. Nothing but the table and its checks lives here.

An instance moves by itself from state to state until it must wait for something. Each time it
leaves a state, `next_state` says where to, from the state, the goal at that moment, and whether the
main process is there. What a state does on entry, and what it waits for, is the instance's matter
(engine/instance.py). Source: lifecycle specification, section 3; design, 1, 4 and 17.
"""

from __future__ import annotations

import enum


class Goal(enum.Enum):
    """What is wanted of an instance."""

    STOP = "stop"
    START = "start"
    RESPAWN = "respawn"
    # A restart that pre-stop holds up: `start` to everybody who asks, but main is to be replaced first.
    RESTART = "restart"

    @property
    def word(self) -> str:
        """The goal as clients see it."""
        return "start" if self is Goal.RESTART else self.value


class State(enum.Enum):
    """Where an instance is on its way; the value is what clients see."""

    WAITING = "waiting"
    STARTING = "starting"
    SECURITY_SPAWNING = "security-spawning"
    SECURITY = "security"
    PRE_STARTING = "pre-starting"
    PRE_START = "pre-start"
    SPAWNING = "spawning"
    SPAWNED = "spawned"
    POST_STARTING = "post-starting"
    POST_START = "post-start"
    RUNNING = "running"
    PRE_STOPPING = "pre-stopping"
    PRE_STOP = "pre-stop"
    STOPPING = "stopping"
    KILLED = "killed"
    POST_STOPPING = "post-stopping"
    POST_STOP = "post-stop"

    @property
    def word(self) -> str:
        """The state as clients see it."""
        return self.value


# What an instance in a state does next, by its goal: stop, start, respawn, restart. A respawn or a restart
# can only be wanted where main has run; in the other rows those two columns are what `start` would do.
_S = State
_ROWS: dict[State, tuple[State, State, State, State]] = {
    _S.WAITING: (_S.WAITING, _S.STARTING, _S.STARTING, _S.STARTING),
    _S.STARTING: (_S.STOPPING, _S.SECURITY_SPAWNING, _S.SECURITY_SPAWNING, _S.SECURITY_SPAWNING),
    _S.SECURITY_SPAWNING: (_S.SECURITY, _S.SECURITY, _S.SECURITY, _S.SECURITY),
    _S.SECURITY: (_S.STOPPING, _S.PRE_STARTING, _S.PRE_STARTING, _S.PRE_STARTING),
    _S.PRE_STARTING: (_S.PRE_START, _S.PRE_START, _S.PRE_START, _S.PRE_START),
    _S.PRE_START: (_S.STOPPING, _S.SPAWNING, _S.SPAWNING, _S.SPAWNING),
    _S.SPAWNING: (_S.SPAWNED, _S.SPAWNED, _S.SPAWNED, _S.SPAWNED),
    _S.SPAWNED: (_S.STOPPING, _S.POST_STARTING, _S.STOPPING, _S.STOPPING),
    _S.POST_STARTING: (_S.POST_START, _S.POST_START, _S.POST_START, _S.POST_START),
    _S.POST_START: (_S.STOPPING, _S.RUNNING, _S.STOPPING, _S.STOPPING),
    _S.RUNNING: (_S.PRE_STOPPING, _S.RUNNING, _S.STOPPING, _S.STOPPING),
    _S.PRE_STOPPING: (_S.PRE_STOP, _S.PRE_STOP, _S.PRE_STOP, _S.PRE_STOP),
    _S.PRE_STOP: (_S.STOPPING, _S.RUNNING, _S.STOPPING, _S.STOPPING),
    _S.STOPPING: (_S.KILLED, _S.KILLED, _S.KILLED, _S.KILLED),
    _S.KILLED: (_S.POST_STOPPING, _S.POST_STOPPING, _S.POST_STOPPING, _S.POST_STOPPING),
    _S.POST_STOPPING: (_S.POST_STOP, _S.POST_STOP, _S.POST_STOP, _S.POST_STOP),
    _S.POST_STOP: (_S.WAITING, _S.STARTING, _S.STARTING, _S.STARTING),
}
TRANSITIONS: dict[tuple[State, Goal], State] = {
    (state, goal): row[column]
    for state, row in _ROWS.items()
    for column, goal in enumerate((Goal.STOP, Goal.START, Goal.RESPAWN, Goal.RESTART))
}

# Where no main process is alive there is nothing for pre-stop to prepare.
WITHOUT_MAIN: dict[tuple[State, Goal], State] = {
    (State.RUNNING, Goal.STOP): State.STOPPING,
}


def next_state(state: State, goal: Goal, *, main_is_there: bool) -> State:
    """The state that an instance goes to when it leaves `state`. Total: there is an answer for every pair.

    `main_is_there`: the main process is alive. (A job whose main process ended before the start that cancels its stop
    comes to `running` without one, and stays there until it is stopped.)
    """
    step = state, goal
    if not main_is_there and step in WITHOUT_MAIN:
        return WITHOUT_MAIN[step]
    return TRANSITIONS[step]
