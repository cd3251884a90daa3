"""The exchange that opens a D-Bus connection, from both sides: the EXTERNAL mechanism, and descriptor passing.

Bytes in, bytes out; not responsible for sockets, or for which users are welcome (listener.py). Source: D-Bus
specification, "Authentication Protocol" and its state diagrams.
"""

from __future__ import annotations

import enum
from typing import Protocol

# Nobody has a reason for a longer line, or for more attempts.
LINE_LIMIT = 1024
_LINES_LIMIT = 32


class AuthenticationFailed(Exception):
    """The connection cannot come to be. `args[0]` says why."""


class Handshake(Protocol):
    """One side of the exchange.

    Once `done`, `rest` is what came after it (the first messages), and `passes_descriptors` tells whether both
    sides are willing to pass them.
    """

    done: bool
    rest: bytes
    passes_descriptors: bool

    def start(self) -> bytes:
        """What to send before anything has come."""

    def receive(self, data: bytes) -> bytes:
        """Take what came; give what to send. Raises AuthenticationFailed."""


class _Lines:
    """The part that is the same for both sides: cutting what comes into lines, each of which is answered."""

    def __init__(self) -> None:
        self.done = False
        self.rest = b""
        self.passes_descriptors = False
        self._lines = 0

    def receive(self, data: bytes) -> bytes:
        """Take what came; give what to send. Raises AuthenticationFailed."""
        data = self.rest + data
        answers = []
        while not self.done:
            line, end, after = data.partition(b"\r\n")
            if len(line) > LINE_LIMIT:
                raise AuthenticationFailed("a line is too long")
            if not end:
                break
            self._lines += 1
            if self._lines > _LINES_LIMIT:
                raise AuthenticationFailed("it takes too many lines")
            data = after
            answers.append(self._answer(line))
        self.rest = data
        return b"".join(answer + b"\r\n" for answer in answers if answer)

    def _answer(self, line: bytes) -> bytes:
        """What to say to a line; nothing if empty. Sets `done` at the end."""
        raise NotImplementedError


class _State(enum.Enum):
    """What a server waits for."""

    AUTH = enum.auto()
    DATA = enum.auto()
    BEGIN = enum.auto()


class ServerHandshake(_Lines):
    """The side of a daemon's own socket. `peer_uid` is the kernel's word on who is there, and the peer has to agree.

    `guid` names the server: 32 hexadecimal digits.
    """

    def __init__(self, peer_uid: int, guid: str) -> None:
        super().__init__()
        self._uid = str(peer_uid).encode()
        self._guid = guid.encode()
        self._state = _State.AUTH
        self._began = False

    def start(self) -> bytes:
        """Nothing: the client speaks first."""
        return b""

    def receive(self, data: bytes) -> bytes:
        """Take what came; give what to send. Raises AuthenticationFailed."""
        if not self._began and data:
            # The byte that credentials could come with on systems that have no better way.
            if data[0]:
                raise AuthenticationFailed("it does not begin with a NUL byte")
            self._began = True
            data = data[1:]
        return super().receive(data)

    def _answer(self, line: bytes) -> bytes:
        command, _, argument = line.partition(b" ")
        match self._state, command:
            case _State.BEGIN, b"BEGIN":
                self.done = True
                return b""
            case _, b"BEGIN":
                raise AuthenticationFailed("it begins before it has said who it is")
            case _State.BEGIN, b"NEGOTIATE_UNIX_FD":
                self.passes_descriptors = True
                return b"AGREE_UNIX_FD"
            case _State.AUTH, b"AUTH":
                mechanism, _, identity = argument.partition(b" ")
                if mechanism != b"EXTERNAL":
                    return b"REJECTED EXTERNAL"
                if identity:
                    return self._identified(identity)
                self._state = _State.DATA
                return b"DATA"
            case _State.DATA, b"DATA":
                return self._identified(argument)
            case (_State.DATA | _State.BEGIN, b"CANCEL") | (_, b"ERROR"):
                return self._rejected()
        return b"ERROR"

    def _identified(self, identity: bytes) -> bytes:
        """Judge the user that the peer says it is: a number in hexadecimal ASCII; nothing is whoever it is."""
        try:
            uid = bytes.fromhex(identity.decode("ascii"))
        except ValueError:
            return self._rejected()
        if uid not in (b"", self._uid):
            return self._rejected()
        self._state = _State.BEGIN
        return b"OK " + self._guid

    def _rejected(self) -> bytes:
        self._state = _State.AUTH
        return b"REJECTED EXTERNAL"


class ClientHandshake(_Lines):
    """The daemon's side on a bus, as user `uid`."""

    def __init__(self, uid: int) -> None:
        super().__init__()
        self._uid = uid
        self._accepted = False

    def start(self) -> bytes:
        """The credentials byte, and who we are."""
        return b"\0AUTH EXTERNAL " + str(self._uid).encode().hex().encode() + b"\r\n"

    def _answer(self, line: bytes) -> bytes:
        command = line.partition(b" ")[0]
        match self._accepted, command:
            case False, b"OK":
                self._accepted = True
                return b"NEGOTIATE_UNIX_FD"
            case False, b"DATA":  # the identity is known from the socket, there is no more to say
                return b"DATA"
            case False, b"REJECTED":
                raise AuthenticationFailed(f"user {self._uid} is not let in")
            case True, b"AGREE_UNIX_FD" | b"ERROR":
                self.passes_descriptors = command == b"AGREE_UNIX_FD"
                self.done = True
                return b"BEGIN"
        raise AuthenticationFailed(f"it answers {line[:60]!r}")
