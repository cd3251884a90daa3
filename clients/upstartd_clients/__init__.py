"""The clients of upstartd, thin callers over D-Bus, and the library that they are made of.

    from upstartd_clients import Upstart

    with Upstart.connect() as upstart:
        upstart.job("web").start()

upstartd_clients.aio has the same for an event loop. docs/reference/library.md describes both. What is named here is
imported when it is first asked for: a command must not wait for what it does not need.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from upstartd_clients.errors import (
        AlreadyStarted,
        AlreadyStopped,
        BadAnswer,
        ClientError,
        ConnectionFailed,
        ConnectionLost,
        DaemonError,
        EventFailed,
        Gone,
        InvalidArgs,
        JobFailed,
        NobodyThere,
        NoReply,
        NotRunning,
        PermissionDenied,
        UnknownInstance,
        UnknownJob,
        UsageError,
    )
    from upstartd_clients.interface import Conditions, Status
    from upstartd_clients.signals import (
        EventEmitted,
        Failed,
        GoalChanged,
        InstanceAdded,
        InstanceRemoved,
        JobAdded,
        JobRemoved,
        Restarted,
        Signal,
        StateChanged,
    )
    from upstartd_clients.upstart import Follower, Instance, Job, Upstart

_MODULES = ("upstart", "interface", "signals", "errors")

__all__ = [  # noqa: RUF022  # in the order of the documentation: what one begins with first
    "Upstart", "Job", "Instance", "Follower", "Conditions", "Status",
    "EventEmitted", "Failed", "GoalChanged", "InstanceAdded", "InstanceRemoved", "JobAdded", "JobRemoved", "Restarted",
    "Signal", "StateChanged",
    "AlreadyStarted", "AlreadyStopped", "BadAnswer", "ClientError", "ConnectionFailed", "ConnectionLost", "DaemonError",
    "EventFailed", "Gone", "InvalidArgs", "JobFailed", "NoReply", "NobodyThere", "NotRunning", "PermissionDenied",
    "UnknownInstance", "UnknownJob", "UsageError",
]


def __getattr__(name: str) -> object:
    if name in __all__:
        from importlib import import_module

        for module in _MODULES:
            if (found := getattr(import_module(f"{__name__}.{module}"), name, None)) is not None:
                return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
