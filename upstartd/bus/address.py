"""Addresses of message buses: what they mean, and opening a socket to one, for the daemon and for the clients.

Only unix sockets are connected to. What is wrong with an address is told in the words of libdbus, which is what the
reference's callers know; so a wrong part is told only if it is the first, and no later part can be connected to. Not
responsible for what is said on the socket. Source: D-Bus specification, "Server Addresses"; observed with libdbus
1.14.10; events specification, section 2; clients specification, section 2; runtime specification, 7.4.
"""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING, NamedTuple

from upstartd.errors import FREEDESKTOP, BadAddress, BusError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# The names under which the reference's bus library tells why it could not connect.
_ERROR_NAMES = {
    errno.ENOENT: "FileNotFound",
    errno.ECONNREFUSED: "NoServer",
    errno.EACCES: "AccessDenied",
    errno.EPERM: "AccessDenied",
}
# What libdbus can connect to besides, and we do not.
_OTHER_TRANSPORTS = ("tcp", "nonce-tcp", "unixexec", "autolaunch")
_HEX = frozenset("0123456789abcdefABCDEF")
# What stands for itself in a value.
_PLAIN = frozenset("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_/.\\*")
_LONGEST_NAME = 107  # bytes, of a socket: sun_path has one more, for the NUL after a path or before an abstract name


class SocketAddress(NamedTuple):
    """A unix socket: a file's path, or the name of an abstract one."""

    name: str
    abstract: bool = False

    @property
    def for_kernel(self) -> str:
        """The name as connect(2) takes it."""
        return "\0" + self.name if self.abstract else self.name


def parse_address(address: str) -> tuple[SocketAddress | BadAddress, ...]:
    """The parts of an address, in the order in which they are to be tried: sockets, or what is wrong with a part.

    Raises BadAddress where the address as a whole is none, or there is no socket in it.
    """
    if not address:
        raise BadAddress("Empty address ''")
    # The whole of it has to be an address, before any part is looked at more closely.
    parts = [_socket(*_read(part)) for part in address.removesuffix(";").split(";")]
    if isinstance(parts[0], BadAddress) and not any(isinstance(part, SocketAddress) for part in parts):
        raise parts[0]
    return tuple(parts)


def _read(part: str) -> tuple[str, dict[str, str]]:
    """The transport and the values of one part of an address; BadAddress if it is none."""
    transport, colon, rest = part.partition(":")
    if not colon:
        raise BadAddress("Address does not contain a colon")
    values: dict[str, str] = {}
    for pair in rest.removesuffix(",").split(",") if rest else ():
        key, _, value = pair.partition("=")
        if not key or not value:
            raise BadAddress("'=' character not found or has no value following it")
        values.setdefault(key, _unescaped(value))
    return transport, values


def _unescaped(value: str) -> str:
    octets, at = b"", 0
    while at < len(value):
        if value[at] == "%":
            digits = value[at + 1 : at + 3]
            if len(digits) < 2:
                raise BadAddress("In D-Bus address, percent character was not followed by two hex digits")
            if not _HEX.issuperset(digits):
                raise BadAddress(
                    "In D-Bus address, percent character was followed by characters other than hex digits")
            octets += bytes.fromhex(digits)
            at += 3
        elif value[at] in _PLAIN:
            octets += value[at].encode()
            at += 1
        else:
            raise BadAddress(f"In D-Bus address, character '{value[at]}' should have been escaped\n")
    return os.fsdecode(octets)


def escaped(value: str) -> str:
    """A value, such as a path, as an address has it."""
    return "".join(chr(byte) if chr(byte) in _PLAIN else f"%{byte:02x}" for byte in os.fsencode(value))


def _socket(transport: str, values: dict[str, str]) -> SocketAddress | BadAddress:
    """The socket that one part of an address means, or why it means none."""
    if transport in _OTHER_TRANSPORTS:
        return BadAddress(f"cannot use an address of type {transport}: only unix sockets are connected to")
    if transport != "unix":
        return BadAddress('Could not parse server address: Unknown address type (examples of valid types are "tcp" and '
                          'on UNIX "unix")')
    if "tmpdir" in values:
        return BadAddress('Could not parse server address: cannot use the "tmpdir" option for an address to connect '
                          "to, only in an address to listen on")
    keys = [key for key in ("path", "abstract") if key in values]
    if not keys:
        return BadAddress("Server address of type unix was missing argument path or abstract")
    if len(keys) > 1:
        return BadAddress('Could not parse server address: can\'t specify both "path" and "abstract" options in an '
                          "address")
    name, abstract = values[keys[0]].partition("\0")[0], keys[0] == "abstract"  # A NUL ends it, as everywhere in C.
    if len(os.fsencode(name)) > _LONGEST_NAME:
        return BadAddress("Abstract socket name too long\n" if abstract else "Socket name too long\n")
    return SocketAddress(name, abstract)


def cannot_connect(place: SocketAddress, why: OSError) -> BusError:
    """The error that tells why connecting to a socket has failed."""
    return BusError(
        FREEDESKTOP + _ERROR_NAMES.get(why.errno or 0, "Failed"),
        f"Failed to connect to socket {place.name}: {why.strerror or why}",
    )


def connect(address: Sequence[SocketAddress | BadAddress]) -> socket.socket:
    """A non-blocking socket that is connected to the first part of an address that takes it.

    Where none does, raises BadAddress or BusError as the first one failed.
    """
    failures: list[BusError | BadAddress] = []
    for place in address:
        if isinstance(place, BadAddress):
            failures.append(place)
            continue
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            sock.connect(place.for_kernel)
        except OSError as why:
            sock.close()
            failures.append(cannot_connect(place, why))
        else:
            return sock
    raise failures[0]


def paths(address: Iterable[SocketAddress | BadAddress]) -> list[str]:
    """The files among the sockets of an address: their appearance can be waited for."""
    return [place.name for place in address if isinstance(place, SocketAddress) and not place.abstract]
