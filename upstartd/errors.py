"""The errors that callers of the daemon can meet, each with its one name on the bus.

Not responsible for diagnostics about job files (conf/diagnostics.py): those are no
answers to a caller. Names and messages: events specification, section 1; lifecycle
specification, section 2.
"""

from __future__ import annotations

UPSTART = "com.ubuntu.Upstart0_6.Error."
FREEDESKTOP = "org.freedesktop.DBus.Error."


class UpstartdError(Exception):
    """What a caller is told. Only its leaves are raised; `args[0]` is the message on the bus."""

    dbus_name = ""

    def __init__(self, message: str) -> None:
        if not self.dbus_name:
            raise TypeError(f"{type(self).__name__} is a branch of the error tree; raise one of its leaves")
        super().__init__(message)

    @property
    def message(self) -> str:
        """The sentence for the caller."""
        return str(self.args[0])


class UserError(UpstartdError):
    """The caller asked for something that is not there or makes no sense."""


class JobError(UpstartdError):
    """What was asked for was tried, and a job failed."""


class Refused(UpstartdError):
    """The caller may not do that."""


class ProtocolError(UpstartdError):
    """The call itself does not fit the interface."""


class InvalidArgs(UserError):
    dbus_name = FREEDESKTOP + "InvalidArgs"


class UnknownJob(UserError):
    dbus_name = UPSTART + "UnknownJob"


class UnknownInstance(UserError):
    dbus_name = UPSTART + "UnknownInstance"


class UnknownJobInstance(UserError):
    dbus_name = UPSTART + "UnknownJobInstance"


class AlreadyStarted(UserError):
    dbus_name = UPSTART + "AlreadyStarted"


class AlreadyStopped(UserError):
    dbus_name = UPSTART + "AlreadyStopped"


class NotRunning(UserError):
    dbus_name = UPSTART + "NotRunning"


class JobFailed(JobError):
    dbus_name = UPSTART + "JobFailed"


class EventFailed(JobError):
    dbus_name = UPSTART + "EventFailed"


class OperationFailed(JobError):
    """The system refused something; the message is its text."""

    dbus_name = FREEDESKTOP + "Failed"


class PermissionDenied(Refused):
    dbus_name = UPSTART + "PermissionDenied"


class ReadOnlyProperty(Refused):
    dbus_name = FREEDESKTOP + "AccessDenied"


class UnknownMethod(ProtocolError):
    dbus_name = FREEDESKTOP + "UnknownMethod"


class FileNotFound(UserError):
    dbus_name = FREEDESKTOP + "FileNotFound"


class BadAddress(UserError):
    dbus_name = FREEDESKTOP + "BadAddress"


class LimitsExceeded(Refused):
    """What was asked for is more than is allowed to anybody."""

    dbus_name = FREEDESKTOP + "LimitsExceeded"


class BusError(UpstartdError):
    """What a bus, or the way to it, answered to the daemon itself: passed on under the name it came with."""

    def __init__(self, dbus_name: str, message: str) -> None:
        self.dbus_name = dbus_name
        super().__init__(message)


class InternalError(UpstartdError):
    """A bug of ours. The caller gets an id that the log has beside the traceback."""

    dbus_name = FREEDESKTOP + "Failed"
