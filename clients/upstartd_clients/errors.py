"""What can go wrong in a client: one tree, each leaf with its exit code; and what the daemon answers, by its names.

The codes are in one place because callers act on them: 1 for everything but what service(8) tells
by the codes of LSB. Not responsible for printing (output.py) or for explaining (explain.py).
Source: clients specification, sections 1 and 5.
"""

from __future__ import annotations

from upstartd import errors


class ClientError(Exception):
    """Why a client ends without having done what it was asked for; `args[0]` is the sentence to print."""

    exit_code = 1

    @property
    def message(self) -> str:
        """The sentence, without the program's name."""
        return str(self.args[0])


class UsageError(ClientError):
    """The command line makes no sense; a pointer to --help is printed below the message."""


class LocalError(ClientError):
    """Something of this machine that no daemon was asked for: a directory, a file, the environment."""


class ServiceError(ClientError):
    """service(8) cannot do it; `exit_code` is the one LSB has for the case."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class ConnectionFailed(ClientError):
    """There is no way to the daemon. `refused`: something listens there, but does not let this user in."""

    def __init__(self, message: str, *, refused: bool = False) -> None:
        super().__init__(message)
        self.refused = refused


class NoSessionKnown(ConnectionFailed):
    """The user's own daemon is wanted, and nothing says where it is."""


class WrongAddress(ConnectionFailed):
    """The address that was given or found is none, or none that can be connected to."""


class ConnectionLost(ClientError):
    """The connection ended, or nothing came for too long, before the answer was there."""


class BadAnswer(ClientError):
    """What came is not what the interface promises."""


class DaemonError(ClientError):
    """The daemon, or the bus, answered with an error: `name` is its name on the bus.

    Which subclass it is of follows from that; where there is none for it, it is of this class.
    """

    names: tuple[str, ...] = ()  # on the bus; of a subclass

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


class UnknownJob(DaemonError):
    """The daemon has no job of that name."""

    names = (errors.UnknownJob.dbus_name,)


class UnknownInstance(DaemonError):
    """The job has no such instance."""

    names = (errors.UnknownInstance.dbus_name, errors.UnknownJobInstance.dbus_name)


class AlreadyStarted(DaemonError):
    """What is to be started runs, or is on the way there."""

    names = (errors.AlreadyStarted.dbus_name,)


class AlreadyStopped(DaemonError):
    """What is to be stopped is on the way there."""

    names = (errors.AlreadyStopped.dbus_name,)


class NotRunning(DaemonError):
    """There is no main process."""

    names = (errors.NotRunning.dbus_name,)


class JobFailed(DaemonError):
    """The job failed on its way to where it was wanted."""

    names = (errors.JobFailed.dbus_name,)


class EventFailed(DaemonError):
    """A job that the event started or stopped failed."""

    names = (errors.EventFailed.dbus_name,)


class InvalidArgs(DaemonError):
    """The arguments make no sense to the daemon."""

    names = (errors.InvalidArgs.dbus_name,)


class PermissionDenied(DaemonError):
    """The caller may not do that, in the eyes of the daemon or of the bus."""

    names = (errors.PermissionDenied.dbus_name, errors.FREEDESKTOP + "AccessDenied")


class Gone(DaemonError):
    """The object that was called is not there (any more), or has no such method."""

    names = (errors.UnknownMethod.dbus_name, errors.FREEDESKTOP + "UnknownObject")


class NobodyThere(DaemonError):
    """It is the bus that answered: nobody there has the daemon's name."""

    names = (errors.FREEDESKTOP + "NameHasNoOwner", errors.FREEDESKTOP + "ServiceUnknown")


class NoReply(DaemonError):
    """It is the bus that answered: the daemon went away, or took too long, before it did."""

    names = (errors.FREEDESKTOP + "NoReply",)


_KINDS = {name: kind for kind in DaemonError.__subclasses__() for name in kind.names}


def daemon_error(name: str, message: str) -> DaemonError:
    """The error that has this name on the bus."""
    return _KINDS.get(name, DaemonError)(name, message)
