"""One D-Bus connection: calls go out, their answers come in, and the process blocks meanwhile.

jeepney does the codec and the authentication. Not responsible for where to connect (connect.py) or what to ask
(upstart.py). Source: D-Bus specification, Message Protocol; design, The private socket.
"""

from __future__ import annotations

import struct
import time
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

# jeepney has no type information; what comes out of it is checked against the signatures in Call. These modules
# and no others, because `jeepney.io` has integrations with event loops beside the blocking one.
from jeepney.low_level import HeaderFields, MessageFlag, MessageType, Parser  # type: ignore[import-untyped]
from jeepney.wrappers import DBusAddress, new_method_call  # type: ignore[import-untyped]

from upstartd_clients.errors import BadAnswer, ConnectionLost, DaemonError

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable, Iterator

ANSWER_SECONDS = 25.0  # what D-Bus libraries commonly wait for an answer
# Calls that are sent ahead of their answers, and bytes that are sent in one piece: so many and so few that both sides
# have work at all times, and that neither has to wait for room in the socket.
_CALLS_AHEAD = 256
_PIECE = 4096
# Everything that jeepney raises for bytes that are no D-Bus message.
_NO_MESSAGE = (ValueError, KeyError, IndexError, TypeError, AssertionError, struct.error)


class Call(NamedTuple):
    """One method call. `takes` and `gives` are the D-Bus signatures of its arguments and its answer."""

    path: str
    interface: str
    member: str
    takes: str = ""
    arguments: tuple[Any, ...] = ()
    gives: str = ""


class Connection:
    """An authenticated socket to a bus, or to a daemon directly. `destination` is whom calls are for."""

    def __init__(self, sock: socket.socket, destination: str) -> None:
        self._destination = destination
        self._socket = sock
        self._parser = Parser()
        self._serial = 0
        self._outgoing = bytearray()
        self._answers: dict[int, Any] = {}  # serial -> message; None as long as it has not come

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def call(self, call: Call, *, seconds: float | None = ANSWER_SECONDS, destination: str = "") -> tuple[Any, ...]:
        """What the call returns, of the types that `gives` says. It waits `seconds`, without limit if None.

        DaemonError if the answer is an error, ConnectionLost if there is none, BadAnswer if it is of other types.
        """
        answer = self._answer(self._send(call, destination), call, seconds)
        if isinstance(answer, DaemonError):
            raise answer
        return answer

    def call_all(self, calls: Iterable[Call]) -> Iterator[tuple[Any, ...] | None]:
        """What each call returns, in order; many are under way at a time. None where the object is gone.

        Other errors as for call().
        """
        under_way: deque[tuple[int, Call]] = deque()
        for call in calls:
            under_way.append((self._send(call), call))
            if len(under_way) == _CALLS_AHEAD:
                yield self._answer_unless_gone(*under_way.popleft())
        while under_way:
            yield self._answer_unless_gone(*under_way.popleft())

    def _answer_unless_gone(self, serial: int, call: Call) -> tuple[Any, ...] | None:
        answer = self._answer(serial, call, ANSWER_SECONDS)
        if not isinstance(answer, DaemonError):
            return answer
        if answer.is_gone:
            return None
        raise answer

    def _send(self, call: Call, destination: str = "") -> int:
        """Put a call on its way; gives its serial."""
        self._serial += 1
        try:
            address = DBusAddress(call.path, bus_name=destination or self._destination, interface=call.interface)
        except ValueError as error:
            # The path is what somebody has answered before; all else has been checked.
            raise BadAnswer(f'cannot understand Upstart: "{call.path}" is not the path of an object') from error
        message = new_method_call(address, call.member, call.takes or None, call.arguments)
        # A daemon that is not there must be an error, not be started by the bus: asking must not change anything.
        message.header.flags = MessageFlag.no_auto_start
        self._answers[self._serial] = None
        self._outgoing += message.serialise(self._serial)
        if len(self._outgoing) >= _PIECE:
            self._flush(ANSWER_SECONDS)
        return self._serial

    def _flush(self, seconds: float | None) -> None:
        """Send off what is still here, within `seconds`."""
        try:
            self._socket.settimeout(seconds)
            self._socket.sendall(self._outgoing)
        except OSError as error:
            raise ConnectionLost(f"lost the connection to Upstart: {error.strerror or error}") from error
        self._outgoing.clear()

    def _answer(self, serial: int, call: Call, seconds: float | None) -> tuple[Any, ...] | DaemonError:
        deadline = None if seconds is None else time.monotonic() + seconds
        while self._answers[serial] is None:
            self._receive(deadline)
        message = self._answers.pop(serial)
        fields = message.header.fields
        if message.header.message_type is MessageType.error:
            text = message.body[0] if message.body and isinstance(message.body[0], str) else ""
            # The reference ends some of its messages with a newline.
            name = str(fields.get(HeaderFields.error_name))
            return DaemonError(name, text.rstrip("\n") or name)
        signature = fields.get(HeaderFields.signature, "")
        if signature != call.gives:
            raise BadAnswer(f'cannot understand Upstart: {call.member} gave "{signature}", not "{call.gives}"')
        return tuple(message.body)

    def _receive(self, deadline: float | None) -> None:
        """Wait for bytes, and keep the answers in them; signals, and whatever nobody waits for, are dropped."""
        seconds = None if deadline is None else max(deadline - time.monotonic(), 0.001)
        if self._outgoing:
            self._flush(seconds)
        try:
            self._socket.settimeout(seconds)
            data = self._socket.recv(4 * _PIECE)
        except TimeoutError:
            raise ConnectionLost(f"no answer from Upstart within {ANSWER_SECONDS:.0f} seconds") from None
        except OSError as error:
            raise ConnectionLost(f"lost the connection to Upstart: {error.strerror}") from error
        if not data:
            raise ConnectionLost("lost the connection to Upstart before it answered")
        try:
            self._parser.add_data(data)
            while (message := self._parser.get_next_message()) is not None:
                serial = message.header.fields.get(HeaderFields.reply_serial)
                if serial in self._answers:
                    self._answers[serial] = message
        except _NO_MESSAGE as error:
            raise BadAnswer("cannot understand Upstart: what came is no D-Bus message") from error
