"""The daemon's own socket: the way in that needs no message bus.

Lets in the users it is told to, by the kernel's word on who they are. Not responsible for what they may do once
they are in (policy.py). Source: runtime specification, 1.1 and 7.3; design, Security.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from typing import TYPE_CHECKING

from upstartd.bus.auth import ServerHandshake
from upstartd.bus.connections import Connection

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from upstartd.bus.connections import Owner
    from upstartd.bus.wire import Message
    from upstartd.log import Log

# The longest message taken from a client. Nothing that a client has to say comes near it.
MESSAGE_LIMIT = 16 << 20

# Clients that have not yet said who they are. When there are more, the one that has been silent the longest goes.
_PENDING_LIMIT = 64
_CLIENTS_LIMIT = 512
_ACCEPTED_AT_ONCE = 32

# What accept() says when the system is short of something. There is nothing to wait for then but time.
_SHORTAGES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_SHORTAGE_PAUSE = 1.0  # seconds
_CREDENTIALS = struct.Struct("iII")  # struct ucred: pid, uid, gid


class PrivateListener:
    """Listens on the abstract socket `name` for the users `allowed_uids`; hands their connections to `owner`.

    `find_root` tells the root directory of a peer, "" being the daemon's, or raises OSError: then the peer is not let
    in. None: it does not matter. Raises OSError where the socket cannot be had.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, name: str, allowed_uids: frozenset[int], owner: Owner,
                 log: Log, find_root: Callable[[socket.socket], str] | None = None) -> None:
        self._loop = loop
        self._log = log
        self._allowed_uids = allowed_uids
        self._owner = owner
        self._find_root = find_root
        self._guid = os.urandom(16).hex()
        self._pending: dict[Connection, None] = {}  # in the order in which they came
        self._clients: set[Connection] = set()
        self._retry: asyncio.TimerHandle | None = None
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            self._sock.bind("\0" + name)
            self._sock.listen(128)
        except OSError:
            self._sock.close()
            raise
        loop.add_reader(self._sock, self._accept)

    def _accept(self) -> None:
        for _ in range(_ACCEPTED_AT_ONCE):
            try:
                sock, _address = self._sock.accept()
            except BlockingIOError:
                return
            except OSError as why:
                if why.errno in _SHORTAGES:
                    self._log.warn(f"cannot let a private client in: {why.strerror}")
                    self._loop.remove_reader(self._sock)
                    self._retry = self._loop.call_later(_SHORTAGE_PAUSE, self._accept_again)
                return
            self._let_in(sock)

    def _accept_again(self) -> None:
        self._retry = None
        self._loop.add_reader(self._sock, self._accept)

    def _let_in(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        _, uid, _ = _CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
        if uid not in self._allowed_uids or len(self._clients) >= _CLIENTS_LIMIT:
            # Anybody can connect to an abstract socket. Those who may not must not cost anything, so they are
            # not even asked who they are.
            _reject(sock)
            return
        try:
            root = self._find_root(sock) if self._find_root is not None else ""
        except OSError as why:
            # Somebody of whom nobody knows whose jobs are theirs could do anything to those of the daemon.
            self._log.warn(f"cannot let a private client in, as its root directory cannot be told: {why.strerror}")
            _reject(sock)
            return
        connection = Connection(self._loop, sock, ServerHandshake(uid, self._guid), self, MESSAGE_LIMIT, uid, root)
        self._pending[connection] = None
        if len(self._pending) > _PENDING_LIMIT:
            oldest = next(iter(self._pending))
            del self._pending[oldest]
            oldest.close()
        connection.start()

    def opened(self, connection: Connection) -> None:
        """A client has said who it is."""
        del self._pending[connection]
        self._clients.add(connection)
        self._owner.opened(connection)

    def received(self, connection: Connection, message: Message) -> None:
        """A client has sent a message."""
        self._owner.received(connection, message)

    def closed(self, connection: Connection, reason: str, ours: bool) -> None:
        """A client is gone."""
        self._pending.pop(connection, None)
        self._clients.discard(connection)
        self._owner.closed(connection, reason, ours)

    def close(self) -> None:
        """Stop listening, and end all connections."""
        if self._retry is not None:
            self._retry.cancel()
        self._loop.remove_reader(self._sock)
        self._sock.close()
        for connection in [*self._pending, *self._clients]:
            connection.close()
        self._pending.clear()
        self._clients.clear()


def _reject(sock: socket.socket) -> None:
    """Hang up. A client that is quick hears why."""
    try:
        sock.send(b"REJECTED\r\n")
    except OSError:
        pass  # it has gone already
    finally:
        sock.close()
