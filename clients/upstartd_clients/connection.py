"""One D-Bus connection: calls go out, their answers come in, and the process blocks meanwhile.

Not responsible for the messages themselves (messages.py), where to connect (connect.py) or what to ask (upstart.py).
Source: D-Bus specification, Message Protocol; design, The private socket.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

from upstartd_clients.errors import ConnectionLost, DaemonError, Gone
from upstartd_clients.messages import Answer, Call, Conversation, outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from socket import socket
    from typing import Any

    from upstartd_clients.messages import RawSignal

ANSWER_SECONDS = 25.0  # what D-Bus libraries commonly wait for an answer
# Calls that are sent ahead of their answers, and bytes that are sent in one piece: so many and so few that both sides
# have work at all times, and that neither has to wait for room in the socket.
CALLS_AHEAD = 256
_PIECE = 4096


def deadline_in(seconds: float | None) -> float | None:
    """The time, on the clock of time.monotonic(), that is `seconds` from now; None stays None: no limit."""
    return None if seconds is None else time.monotonic() + seconds


class Connection:
    """An authenticated socket to a bus, or to a daemon directly. `destination` is whom calls are for.

    `listeners` are called with each signal, in whatever call it came meanwhile.
    """

    def __init__(self, sock: socket, destination: str, *, on_bus: bool = False) -> None:
        self.destination = destination
        self.on_bus = on_bus
        self.listeners: list[Callable[[RawSignal], None]] = []
        self._socket = sock
        self._conversation = Conversation(destination)
        self._outgoing = bytearray()
        self._answers: dict[int, Answer | None] = {}  # by serial; None as long as it has not come

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def hand_over(self) -> tuple[socket, Conversation]:
        """The socket, and what has been said on it, for somebody else to go on with; no call may be under way."""
        return self._socket, self._conversation

    def call(self, call: Call, *, seconds: float | None = ANSWER_SECONDS) -> tuple[Any, ...]:
        """What the call returns, of the types that `gives` says. It waits `seconds`, without limit if None.

        DaemonError if the answer is an error, ConnectionLost if there is none, BadAnswer if it is of other types.
        """
        answer = self._answer(self._send(call), call, seconds)
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
            if len(under_way) == CALLS_AHEAD:
                yield self._answer_unless_gone(*under_way.popleft())
        while under_way:
            yield self._answer_unless_gone(*under_way.popleft())

    def _answer_unless_gone(self, serial: int, call: Call) -> tuple[Any, ...] | None:
        answer = self._answer(serial, call, ANSWER_SECONDS)
        if not isinstance(answer, DaemonError):
            return answer
        if isinstance(answer, Gone):
            return None
        raise answer

    def _send(self, call: Call) -> int:
        """Put a call on its way; gives its serial."""
        serial, data = self._conversation.encode(call)
        self._answers[serial] = None
        self._outgoing += data
        if len(self._outgoing) >= _PIECE:
            self._flush(ANSWER_SECONDS)
        return serial

    def _flush(self, seconds: float | None) -> None:
        """Send off what is still here, within `seconds`."""
        try:
            self._socket.settimeout(seconds)
            self._socket.sendall(self._outgoing)
        except OSError as error:
            raise ConnectionLost(f"lost the connection to Upstart: {error.strerror or error}") from error
        self._outgoing.clear()

    def _answer(self, serial: int, call: Call, seconds: float | None) -> tuple[Any, ...] | DaemonError:
        deadline = deadline_in(seconds)
        try:
            while (answer := self._answers[serial]) is None:
                self.receive(deadline)
        except TimeoutError:
            raise ConnectionLost(f"no answer from Upstart within {seconds:g} seconds") from None
        finally:
            del self._answers[serial]  # One that comes later is nobody's.
        return outcome(answer, call)

    def receive(self, deadline: float | None) -> None:
        """Wait for bytes, keep the answers in them and pass the signals on. TimeoutError if nothing came in time.

        ConnectionLost where nothing will come any more, BadAnswer if what came is no D-Bus message.
        """
        seconds = None if deadline is None else max(deadline - time.monotonic(), 0.001)
        if self._outgoing:
            self._flush(seconds)
        try:
            self._socket.settimeout(seconds)
            data = self._socket.recv(4 * _PIECE)
        except TimeoutError:
            raise
        except OSError as error:
            raise ConnectionLost(f"lost the connection to Upstart: {error.strerror}") from error
        if not data:
            raise ConnectionLost("lost the connection to Upstart before it answered")
        for came in self._conversation.decode(data):
            if not isinstance(came, Answer):
                for listener in self.listeners:
                    listener(came)
            elif came.serial in self._answers:
                self._answers[came.serial] = came
