"""A method call that is to be answered, now or later, once.

This is the `caller` of the engine's inputs: what the engine gives back with its answer. Not responsible for
finding or carrying out the method (dispatch.py).
"""

from __future__ import annotations

import fcntl
from typing import TYPE_CHECKING, Any

from upstartd.bus.encode import encode_error, encode_return
from upstartd.bus.wire import NO_REPLY_EXPECTED
from upstartd.descriptors import FIRST_INTERNAL
from upstartd.errors import InvalidArgs, UnknownMethod, UpstartdError

if TYPE_CHECKING:
    from upstartd.bus.connections import Connection
    from upstartd.bus.host import Host
    from upstartd.bus.objects import Node
    from upstartd.bus.wire import Message


class Call:
    """One call from one client. It may outlive its connection; answering it then does nothing.

    `uid` is the user who calls, None where that is not known; `root` the root directory of the chroot session that the
    call comes from, if it comes from one; `output` the type of what the method gives.
    """

    __slots__ = ("_connection", "_destination", "_reply_is_expected", "_serial", "is_answered", "output", "root", "uid")

    def __init__(self, connection: Connection, message: Message, uid: int | None) -> None:
        self._connection = connection
        # On a private connection the sender is whatever the peer likes to say, and there is nobody else to reach.
        self._destination = message.sender if connection.uid is None else None
        self._serial = message.serial
        self._reply_is_expected = not message.flags & NO_REPLY_EXPECTED
        self.is_answered = False
        self.output = ""
        self.uid = uid
        self.root = connection.root

    def reply(self, value: Any = None) -> None:
        """Answer with what the method gives: a value of its `output` type, or nothing where it has none."""
        values = [value] if self.output else []
        self._answer(encode_return(self._serial, self._destination, self.output, values))

    def error(self, error: UpstartdError) -> None:
        """Refuse, or tell that it did not work."""
        self._answer(encode_error(self._serial, self._destination, error.dbus_name, error.message))

    def _answer(self, data: bytes) -> None:
        assert not self.is_answered, "a call is answered once"
        self.is_answered = True
        if self._reply_is_expected:
            self._connection.send(data)


class Request:
    """What a handler gets: the call, what it was made to, and whose jobs are there."""

    __slots__ = ("call", "host", "message", "node")

    def __init__(self, call: Call, host: Host, message: Message, node: Node) -> None:
        self.call = call
        self.host = host
        self.message = message
        self.node = node

    def no_such_method(self) -> UnknownMethod:
        """The error for a method or property that is not there. It ends in a newline, as the reference's does."""
        message = self.message
        return UnknownMethod(
            f'Method "{message.member}" with signature "{message.signature}" on interface '
            f'"{message.interface or "(null)"}" doesn\'t exist\n'
        )

    def invalid_arguments(self) -> InvalidArgs:
        """The error for arguments that do not fit the method."""
        return InvalidArgs(f"Invalid arguments to {self.message.member} method")

    def take_file(self, index: int) -> int:
        """The descriptor that argument `index` of type `h` stands for: a copy that is the caller's to close.

        Raises InvalidArgs where none came for it, OSError where it cannot be copied.
        """
        if index >= len(self.message.files):
            raise self.invalid_arguments()
        return fcntl.fcntl(self.message.files[index], fcntl.F_DUPFD_CLOEXEC, FIRST_INTERNAL)
