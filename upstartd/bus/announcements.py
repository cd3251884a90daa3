"""What has happened, as signals: one table from the engine's announcements to messages.

Not responsible for who gets them (service.py). Source: events specification, "Signals of the manager"; lifecycle
specification, section 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from upstartd.bus.encode import encode_signal
from upstartd.bus.interfaces import INSTANCE, JOB, MANAGER, SIGNALS
from upstartd.bus.objects import MANAGER_PATH, instance_path, job_path
from upstartd.engine import effects

if TYPE_CHECKING:
    from collections.abc import Callable

    from upstartd.bus.interfaces import Member
    from upstartd.engine.effects import Announcement


@dataclass(frozen=True, slots=True)
class Restarted:
    """The daemon has executed itself anew, and is back."""


@dataclass(frozen=True, slots=True)
class _Signal:
    """The signal that an announcement is: where it comes from, and its arguments, given the root of its session."""

    member: Member
    path: Callable[[Any, str], str]
    arguments: Callable[[Any, str], list[Any]]


def _manager_path(_: object, __: str) -> str:
    return MANAGER_PATH


def _job_path(
    of: effects.JobAdded | effects.JobRemoved | effects.InstanceAdded | effects.InstanceRemoved, root: str
) -> str:
    return job_path(of.job, root)


def _instance_path(
    of: effects.InstanceAdded | effects.InstanceRemoved | effects.GoalChanged | effects.StateChanged | effects.Failed,
    root: str,
) -> str:
    return instance_path(of.job, of.instance, root)


SIGNAL_OF: dict[type, _Signal] = {
    effects.JobAdded: _Signal((MANAGER, "JobAdded"), _manager_path, lambda *of: [_job_path(*of)]),
    effects.JobRemoved: _Signal((MANAGER, "JobRemoved"), _manager_path, lambda *of: [_job_path(*of)]),
    effects.EventEmitted: _Signal((MANAGER, "EventEmitted"), _manager_path, lambda of, _: [of.name, list(of.env)]),
    Restarted: _Signal((MANAGER, "Restarted"), _manager_path, lambda *_: []),
    effects.InstanceAdded: _Signal((JOB, "InstanceAdded"), _job_path, lambda *of: [_instance_path(*of)]),
    effects.InstanceRemoved: _Signal((JOB, "InstanceRemoved"), _job_path, lambda *of: [_instance_path(*of)]),
    effects.GoalChanged: _Signal((INSTANCE, "GoalChanged"), _instance_path, lambda of, _: [of.goal.word]),
    effects.StateChanged: _Signal((INSTANCE, "StateChanged"), _instance_path, lambda of, _: [of.state.word]),
    effects.Failed: _Signal((INSTANCE, "Failed"), _instance_path, lambda of, _: [of.status]),
}


def signal_of(announcement: Announcement | Restarted, root: str = "") -> bytes:
    """The signal, as bytes for every connection. `root` is the root directory of the session that it is from."""
    signal = SIGNAL_OF[type(announcement)]
    return encode_signal(
        signal.path(announcement, root), *signal.member, SIGNALS[signal.member], signal.arguments(announcement, root))
