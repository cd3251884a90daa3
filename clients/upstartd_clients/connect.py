"""Which daemon a client talks to, and the way there.

Not responsible for telling people what to do where there is none (explain.py), nor for what an address means, which is
the daemon's own module. Source: clients specification, section 2, Which daemon.
"""

from __future__ import annotations

import enum
import os
import socket
from typing import TYPE_CHECKING, NamedTuple

from upstartd.bus.address import cannot_connect, escaped, parse_address
from upstartd.errors import BadAddress
from upstartd_clients.connection import ANSWER_SECONDS, Connection
from upstartd_clients.errors import ClientError, ConnectionFailed, DaemonError, NoSessionKnown, UsageError, WrongAddress
from upstartd_clients.interface import BUS_NAME
from upstartd_clients.messages import BUS, BUS_PATH, Call, is_bus_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from upstartd_clients.options import Given

PRIVATE_ADDRESS = "unix:abstract=/com/ubuntu/upstart"
SYSTEM_BUS_ADDRESS = "unix:path=/var/run/dbus/system_bus_socket"


class Way(enum.Enum):
    """How a daemon is reached."""

    SESSION_SOCKET = enum.auto()
    PRIVATE_SOCKET = enum.auto()
    SYSTEM_BUS = enum.auto()
    SESSION_BUS = enum.auto()


_LONGEST_LINE = 1024  # of what is said before the first message
# What could not be connected to, in the error that says so. The other ways lead to Upstart itself.
_BUSES = {Way.SYSTEM_BUS: "system bus", Way.SESSION_BUS: "session bus"}


class Route(NamedTuple):
    """Where to connect: an address as D-Bus writes them, and the name to call there."""

    way: Way
    address: str
    name: str = BUS_NAME


def find_route(options: Given, environ: Mapping[str, str], euid: int) -> Route:
    """The way to the daemon that these options and this environment mean, for a caller with this user id.

    UsageError for `--dest` where there are no names; NoSessionKnown, or another ConnectionFailed, where the
    environment does not say where to go.
    """
    to = "user" if "user" in options else options.last("system", "session") or ""
    return route_to(to, options.value("dest"), environ, euid)


def route_to(to: str, name: str | None, environ: Mapping[str, str], euid: int) -> Route:
    """The way to the user's own daemon ("user"), the one on the "session" or "system" bus, the one at an address; if it
    is empty, to the one that is meant then. `name` is its name on the bus. Errors as of find_route().
    """
    session = environ.get("UPSTART_SESSION", "")
    if ":" in to:
        return Route(Way.SESSION_SOCKET, to)
    if to not in ("", "user", "session", "system"):
        raise UsageError(f"cannot connect to {to!r}: it is neither user, session, system nor an address")
    if to == "user" or (session and not to):
        if not session:
            raise NoSessionKnown("UPSTART_SESSION isn't set in the environment. Unable to locate the Upstart instance.")
        return Route(Way.SESSION_SOCKET, session)
    if not to and euid == 0:
        if name is not None:
            raise UsageError("--dest given without --system")
        return Route(Way.PRIVATE_SOCKET, PRIVATE_ADDRESS)
    if to == "session":
        return Route(Way.SESSION_BUS, _session_bus_address(environ), name or BUS_NAME)
    return _to_system_bus(environ, name)


def connect(route: Route, environ: Mapping[str, str]) -> Connection:
    """Connect. ConnectionFailed if nothing listens there, or it does not let us in.

    Where the private socket of the system's daemon does not answer, it may still be on the system bus (clients
    specification, section 2, DECISION).
    """
    try:
        return _open(route)
    except ConnectionFailed:
        if route.way is not Way.PRIVATE_SOCKET or (found := _find_on_system_bus(environ)) is None:
            raise
        return found


def _find_on_system_bus(environ: Mapping[str, str]) -> Connection | None:
    """The daemon on the system bus; None if it is not there, or there is no bus."""
    try:
        connection = _open(_to_system_bus(environ))
    except ConnectionFailed:
        return None  # The error that is told is that of the private socket, where root's daemon listens first.
    try:
        if connection.call(Call(BUS_PATH, BUS, "NameHasOwner", "s", (BUS_NAME,), "b", BUS))[0]:
            return connection
    except ClientError:
        pass  # As good as nobody.
    connection.close()
    return None


def _open(route: Route) -> Connection:
    """An authenticated connection; on a bus, with a name there."""
    if not is_bus_name(route.name):
        raise UsageError(f"illegal bus name: {route.name}")
    connection = Connection(_connected_socket(route), route.name, on_bus=route.way in _BUSES)
    if route.way in _BUSES:
        try:
            connection.call(Call(BUS_PATH, BUS, "Hello", gives="s", destination=BUS))
        except ClientError as error:
            connection.close()
            raise _failed(route, error.message, refused=isinstance(error, DaemonError)) from error
    return connection


def _connected_socket(route: Route) -> socket.socket:
    """A socket, connected and authenticated, to the first part of the route's address where something listens.

    Where nothing does, the first failure is told, as libdbus has it.
    """
    try:
        address = parse_address(route.address)
    except BadAddress as error:
        raise _failed(route, error.message, kind=WrongAddress) from error
    failures: list[ConnectionFailed] = []
    for place in address:
        if isinstance(place, BadAddress):
            failures.append(_failed(route, place.message, kind=WrongAddress))
            continue
        connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connected.settimeout(ANSWER_SECONDS)
            connected.connect(place.for_kernel)
            _introduce(connected)
        except (ConnectionResetError, BrokenPipeError):
            failures.append(_failed(route, f"{place.name} refuses user {os.geteuid()}", refused=True))
        except OSError as error:
            failures.append(_failed(route, cannot_connect(place, error).message,
                                    refused=isinstance(error, PermissionError)))
        else:
            return connected
        connected.close()
    raise failures[0]


def _introduce(connected: socket.socket) -> None:
    """Say who we are. ConnectionResetError if the other side does not let us in; source: Authentication Protocol."""
    connected.sendall(b"\0AUTH EXTERNAL " + str(os.geteuid()).encode().hex().encode() + b"\r\n")
    line = b""
    while not line.endswith(b"\r\n"):
        data = connected.recv(_LONGEST_LINE)
        line += data
        if not data or len(line) > _LONGEST_LINE:
            raise ConnectionResetError
    if not line.startswith(b"OK "):
        raise ConnectionResetError
    connected.sendall(b"BEGIN\r\n")


def _failed(route: Route, reason: str, *, refused: bool = False,
            kind: type[ConnectionFailed] = ConnectionFailed) -> ConnectionFailed:
    return kind(f"Unable to connect to {_BUSES.get(route.way, 'Upstart')}: {reason}", refused=refused)


def _to_system_bus(environ: Mapping[str, str], name: str | None = None) -> Route:
    return Route(Way.SYSTEM_BUS, environ.get("DBUS_SYSTEM_BUS_ADDRESS") or SYSTEM_BUS_ADDRESS, name or BUS_NAME)


def _session_bus_address(environ: Mapping[str, str]) -> str:
    if address := environ.get("DBUS_SESSION_BUS_ADDRESS"):
        return address
    if directory := environ.get("XDG_RUNTIME_DIR"):
        return f"unix:path={escaped(directory)}/bus"
    raise ConnectionFailed("Unable to connect to session bus: DBUS_SESSION_BUS_ADDRESS isn't set in the environment")
