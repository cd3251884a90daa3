"""Addresses of message buses: what they mean, and opening a socket to one.

Not responsible for what is said on the socket. Source: D-Bus specification, "Server Addresses"; the message of a
socket that is not there: runtime specification, 7.4.
"""

from __future__ import annotations

import errno
import os
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from upstartd.errors import FREEDESKTOP, BadAddress, BusError

if TYPE_CHECKING:
    from collections.abc import Sequence

# The names under which the reference's bus library tells why it could not connect.
_ERROR_NAMES = {
    errno.ENOENT: "FileNotFound",
    errno.ECONNREFUSED: "NoServer",
    errno.EACCES: "AccessDenied",
    errno.EPERM: "AccessDenied",
}


@dataclass(frozen=True, slots=True)
class SocketAddress:
    """A unix socket: a file's path, or the name of an abstract one."""

    name: str
    abstract: bool = False


def parse_address(address: str) -> tuple[SocketAddress, ...]:
    """The sockets of an address, in the order in which they are to be tried; at least one.

    Only unix sockets that can be connected to are understood. Parts of other kinds are left out; if none remains,
    or a part is no address at all, BadAddress is raised.
    """
    found = []
    for part in filter(None, address.split(";")):
        transport, colon, rest = part.partition(":")
        pairs = [pair.partition("=") for pair in filter(None, rest.split(","))]
        if not colon or not transport or not all(key and equals for key, equals, _ in pairs):
            raise BadAddress(f"cannot understand address {address!r}: {part!r} is not TRANSPORT:KEY=VALUE,...")
        values = {key: os.fsdecode(unquote_to_bytes(value)) for key, _, value in pairs}
        places = [
            SocketAddress(values[key], key == "abstract")
            for key in ("path", "abstract")
            if values.get(key) and "\0" not in values[key]
        ]
        if transport == "unix" and len(places) == 1:
            found += places
    if not found:
        raise BadAddress(f"cannot use address {address!r}: there is no unix:path= or unix:abstract= in it")
    return tuple(found)


def connect(addresses: Sequence[SocketAddress]) -> socket.socket:
    """A non-blocking socket that is connected to the first address that takes it.

    Where none does, raises BusError as the first one answered.
    """
    failure: BusError | None = None
    for address in addresses:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            sock.connect("\0" + address.name if address.abstract else address.name)
        except OSError as why:
            sock.close()
            # A path that is too long is refused by Python, without a number.
            number = why.errno or errno.ENAMETOOLONG
            failure = failure or BusError(
                FREEDESKTOP + _ERROR_NAMES.get(number, "Failed"),
                f"Failed to connect to socket {address.name}: {os.strerror(number)}",
            )
        else:
            return sock
    assert failure is not None, "an address has at least one socket"
    raise failure
