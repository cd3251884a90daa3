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
