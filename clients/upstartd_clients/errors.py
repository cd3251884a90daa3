"""What can go wrong in a client: one tree, each leaf with its exit code.

The codes are in one place because callers act on them: 1 for everything but what service(8) tells
by the codes of LSB. Not responsible for printing (output.py) or for explaining (explain.py).
Source: clients specification, sections 1 and 5.
"""

from __future__ import annotations

from upstartd.errors import FREEDESKTOP, PermissionDenied, UnknownInstance, UnknownJob, UnknownMethod


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


class ConnectionLost(ClientError):
    """The connection ended, or nothing came for too long, before the answer was there."""


class BadAnswer(ClientError):
    """What came is not what the interface promises."""


class DaemonError(ClientError):
    """The daemon, or the bus, answered with an error: `name` is its name on the bus."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name

    @property
    def is_gone(self) -> bool:
        """Whether the object that was called is not there (any more)."""
        return self.name in (UnknownMethod.dbus_name, FREEDESKTOP + "UnknownObject")

    @property
    def is_unknown_job(self) -> bool:
        """Whether the daemon has no job of that name."""
        return self.name == UnknownJob.dbus_name

    @property
    def is_unknown_instance(self) -> bool:
        """Whether the job has no such instance."""
        return self.name == UnknownInstance.dbus_name

    @property
    def is_refused(self) -> bool:
        """Whether the caller may not do that, in the eyes of the daemon or of the bus."""
        return self.name in (PermissionDenied.dbus_name, FREEDESKTOP + "AccessDenied")

    @property
    def is_nobody(self) -> bool:
        """Whether it is the bus that answered: nobody there has the daemon's name."""
        return self.name in (FREEDESKTOP + "NameHasNoOwner", FREEDESKTOP + "ServiceUnknown")
