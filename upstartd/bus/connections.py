"""A connection: one socket, the exchange that opens it, and then messages both ways.

Not responsible for who may connect (listener.py, message_bus.py) or what messages mean (dispatch.py). Nothing
here waits: a peer that does not read costs its queue and then its connection, a peer that sends without end gets
its turn like any other, and a peer that sends nonsense is dropped.
"""

from __future__ import annotations

import array
import os
import socket
from collections import deque
from typing import TYPE_CHECKING, Protocol

from upstartd.bus.auth import AuthenticationFailed
from upstartd.bus.wire import DESCRIPTOR_LIMIT, FrameReader, MalformedMessage

if TYPE_CHECKING:
    import asyncio

    from upstartd.bus.auth import Handshake
    from upstartd.bus.wire import Message

# What may wait for a peer to read it. The most that a peer can miss without being at fault is the burst when one
# event starts every job: 5,000 jobs with some fifteen signals of 220 bytes each are 16 MB. Queues share the bytes of
# signals, so several slow subscribers hardly cost more than one.
QUEUE_LIMIT = 24 << 20

# What is taken from one peer before the others get their turn: a hundred messages of the usual length.
_READ_SIZE = 16 << 10
_WRITE_SIZE = 64 << 10
_CONTROL_SIZE = socket.CMSG_SPACE(DESCRIPTOR_LIMIT * array.array("i").itemsize)


class Owner(Protocol):
    """Whoever a connection belongs to."""

    def opened(self, connection: Connection) -> None:
        """The exchange is through: messages can be sent, and may come."""

    def received(self, connection: Connection, message: Message) -> None:
        """A message has come. Its descriptors are the owner's to close."""

    def closed(self, connection: Connection, reason: str, ours: bool) -> None:
        """The connection is no more, and why. `ours` tells that we ended it, for a fault of the peer."""


class Connection:
    """One connection, from the moment its socket is there. The owner hears of its end, if it does not end it itself.

    `sock` is non-blocking and becomes the connection's. `uid` is the user on the other side of a private
    connection; None on a bus, where each message has its own sender. `root` is that user's root directory, if it is
    another than the daemon's. `message_limit` is the longest message taken, in bytes.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, sock: socket.socket, handshake: Handshake, owner: Owner,
                 message_limit: int, uid: int | None = None, root: str = "") -> None:
        self.uid = uid
        self.root = root
        self.is_closed = False
        self._loop = loop
        self._sock = sock
        self._handshake: Handshake | None = handshake
        self._owner = owner
        self._message_limit = message_limit
        self._reader = FrameReader(message_limit)
        self._queue: deque[bytes | memoryview] = deque()
        self._queued = 0
        self._flush_is_due = False
        self._waits_for_room = False

    def start(self) -> None:
        """Begin: say what we have to say first, and listen."""
        self._loop.add_reader(self._sock, self._readable)
        assert self._handshake is not None, "a connection is started once"
        self.send(self._handshake.start())

    # -- sending ----------------------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Send a message, after everything that was sent before it; never waits.

        What is sent in one turn of the loop goes out together. Does nothing on a closed connection.
        """
        if self.is_closed or not data:
            return
        if self._queued > QUEUE_LIMIT:
            self.flush()  # which nobody may have tried yet in this turn
            if self._queued > QUEUE_LIMIT:
                self._end("it does not read what it is sent", ours=True)
            if self.is_closed:
                return
        self._queue.append(data)
        self._queued += len(data)
        if not self._flush_is_due and not self._waits_for_room:
            self._flush_is_due = True
            self._loop.call_soon(self.flush)

    def flush(self) -> None:
        """Write as much of the queue as the socket takes."""
        self._flush_is_due = False
        while self._queue:
            chunk = self._next_chunk()
            try:
                sent = self._sock.send(chunk)
            except BlockingIOError:
                sent = 0
            except OSError as why:
                self._end(why.strerror or str(why), ours=False)
                return
            self._queued -= sent
            if sent < len(chunk):
                self._queue.appendleft(memoryview(chunk)[sent:])
                if not self._waits_for_room:
                    self._waits_for_room = True
                    self._loop.add_writer(self._sock, self.flush)
                return
        if self._waits_for_room:
            self._waits_for_room = False
            self._loop.remove_writer(self._sock)

    def _next_chunk(self) -> bytes | memoryview:
        """Take the front of the queue off it: one long piece, or several short ones joined."""
        first = self._queue.popleft()
        size = len(first)
        if not self._queue or size + len(self._queue[0]) > _WRITE_SIZE:
            return first
        pieces = [first]
        while self._queue and size + len(self._queue[0]) <= _WRITE_SIZE:
            piece = self._queue.popleft()
            size += len(piece)
            pieces.append(piece)
        return b"".join(pieces)

    # -- receiving --------------------------------------------------------------------------------------------

    def _readable(self) -> None:
        files: list[int] = []
        try:
            data, ancillary, flags, _ = self._sock.recvmsg(_READ_SIZE, _CONTROL_SIZE, socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return
        except OSError as why:
            self._end(why.strerror or str(why), ours=False)
            return
        for level, kind, passed in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                numbers = array.array("i")
                numbers.frombytes(passed[: len(passed) - len(passed) % numbers.itemsize])
                files += numbers
        if not data:
            self._end("it went away", ours=False)
            return
        try:
            if self._handshake is not None:
                data = self._shake_hands(self._handshake, data)
            for message in self._reader.feed(data, files):
                if self.is_closed:  # by the message before it
                    message.close_files()
                else:
                    self._owner.received(self, message)
            if flags & socket.MSG_CTRUNC:  # we are out of descriptors, and which messages lack theirs nobody knows
                raise MalformedMessage("descriptors were lost")
        except AuthenticationFailed as why:
            for file in files:
                os.close(file)
            self._end(str(why), ours=True)
        except MalformedMessage as why:
            self._end(str(why), ours=True)
        if self.is_closed:
            self._reader.close()  # of what came after its end
        else:
            self.flush()  # answers at once, and not in the loop's next turn

    def _shake_hands(self, handshake: Handshake, data: bytes) -> bytes:
        """Go on with the exchange; return what came after it."""
        self.send(handshake.receive(data))
        if not handshake.done:
            return b""
        self._handshake = None
        self._reader = FrameReader(self._message_limit, DESCRIPTOR_LIMIT if handshake.passes_descriptors else 0)
        self._owner.opened(self)
        return handshake.rest

    # -- the end ----------------------------------------------------------------------------------------------

    def close(self) -> None:
        """End the connection; what the socket takes of the queue is still sent.

        The owner is told only where it turns out that the connection has ended already.
        """
        if not self.is_closed:
            self.flush()
        if not self.is_closed:
            self._release()

    def _end(self, reason: str, *, ours: bool) -> None:
        """End the connection, and tell the owner."""
        if not self.is_closed:
            self._release()
            self._owner.closed(self, reason, ours)

    def _release(self) -> None:
        self.is_closed = True
        self._loop.remove_reader(self._sock)
        self._loop.remove_writer(self._sock)
        self._reader.close()
        self._sock.close()
        self._queue.clear()
        self._queued = 0
        self._waits_for_room = False
