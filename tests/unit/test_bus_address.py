"""Addresses of buses, and what is said when one cannot be connected to."""

from __future__ import annotations

import ctypes
import os
import socket
from typing import TYPE_CHECKING

import pytest

from upstartd.bus import address
from upstartd.bus.address import SocketAddress, parse_address
from upstartd.errors import BadAddress, BusError, UpstartdError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "sockets"),
    [
        ("unix:path=/run/bus", [SocketAddress("/run/bus")]),
        ("unix:path=/run/bus,guid=00ff", [SocketAddress("/run/bus")]),
        ("unix:guid=00ff,abstract=/tmp/dbus-x", [SocketAddress("/tmp/dbus-x", abstract=True)]),
        ("unix:path=/a%20b%c3%a9%2c", [SocketAddress("/a bé,")]),
        ("unix:path=/%ff", [SocketAddress(os.fsdecode(b"/\xff"))]),
        ("unix:path=/a;unix:path=/b;", [SocketAddress("/a"), SocketAddress("/b")]),
        ("unix:path=/a,path=/b,", [SocketAddress("/a")]),
        ("unix:path=/a%00b", [SocketAddress("/a")]),
    ],
)
def test_an_address_names_sockets_in_order(text: str, sockets: list[SocketAddress]) -> None:
    assert parse_address(text) == tuple(sockets)


NO_EQUALS = "'=' character not found or has no value following it"
NO_DIGITS = "In D-Bus address, percent character was followed by characters other than hex digits"
FEW_DIGITS = "In D-Bus address, percent character was not followed by two hex digits"
NO_PLACE = "Server address of type unix was missing argument path or abstract"
UNPARSED = "Could not parse server address: "
NO_TYPE = UNPARSED + 'Unknown address type (examples of valid types are "tcp" and on UNIX "unix")'
TEXTS = {
    "": "Empty address ''",
    "foo": "Address does not contain a colon",
    ";": "Address does not contain a colon",
    "=": "Address does not contain a colon",
    "unix:path=/a;foo": "Address does not contain a colon",
    "unix:path=/a;;": "Address does not contain a colon",
    "foo:bar": NO_EQUALS,
    "unix:path": NO_EQUALS,
    "unix:path=": NO_EQUALS,
    "unix:=x": NO_EQUALS,
    "unix:path=/a,,guid=0": NO_EQUALS,
    "unix:path=/a;unix:path=": NO_EQUALS,
    "unix:": NO_PLACE,
    "unix:runtime=yes": NO_PLACE,
    "unix:path=/x,abstract=y": UNPARSED + 'can\'t specify both "path" and "abstract" options in an address',
    "unix:tmpdir=/tmp": UNPARSED
    + 'cannot use the "tmpdir" option for an address to connect to, only in an address to listen on',
    ":": NO_TYPE,
    "foo:": NO_TYPE,
    "foo:bar=1;unix:": NO_TYPE,
    "unix:path=%zz": NO_DIGITS,
    "unix:path=/a,guid=%%41": NO_DIGITS,
    "unix:path=%4": FEW_DIGITS,
    "unix:path=a b": "In D-Bus address, character ' ' should have been escaped\n",
    "unix:path=a=b": "In D-Bus address, character '=' should have been escaped\n",
    "unix:abstract=" + "x" * 200: "Abstract socket name too long\n",
    "unix:path=" + "x" * 200: "Socket name too long\n",
}
OF_OUR_OWN = {
    f"{transport}:": f"cannot use an address of type {transport}: only unix sockets are connected to"
    for transport in ("tcp", "nonce-tcp", "unixexec", "autolaunch")
}


@pytest.mark.parametrize(("text", "message"), [*TEXTS.items(), *OF_OUR_OWN.items()])
def test_what_is_no_usable_address_is_refused_in_the_words_of_libdbus(text: str, message: str) -> None:
    with pytest.raises(BadAddress) as caught:
        parse_address(text)
    assert caught.value.message == message


class Told(ctypes.Structure):
    """How libdbus tells an error (DBusError)."""

    _fields_ = (("name", ctypes.c_char_p), ("message", ctypes.c_char_p), ("flags", ctypes.c_uint),
                ("padding", ctypes.c_void_p))  # fmt: skip


@pytest.mark.parametrize("text", [*TEXTS, "unix:path=/nonexistent/%41;foo:", "unix:path=/nonexistent/a%00b,",
                                  "unix:path=%00", "unix:abstract=%00", "unix:path=/nonexistent/a,path=b"])  # fmt: skip
def test_libdbus_says_the_same(text: str) -> None:
    try:
        library = ctypes.CDLL("libdbus-1.so.3")
    except OSError:
        pytest.skip("there is no libdbus")
    library.dbus_connection_open_private.restype = ctypes.c_void_p
    told = Told()
    library.dbus_error_init(ctypes.byref(told))
    assert library.dbus_connection_open_private(text.encode(), ctypes.byref(told)) is None
    with pytest.raises(UpstartdError) as caught:
        address.connect(parse_address(text))
    assert (caught.value.dbus_name, caught.value.message) == (told.name.decode(), told.message.decode())
    library.dbus_error_free(ctypes.byref(told))


def test_every_path_can_be_written_as_an_address() -> None:
    path = "/a b" + os.fsdecode(bytes(range(1, 90)))
    assert parse_address(f"unix:path={address.escaped(path)}") == (SocketAddress(path),)


def test_a_socket_that_is_not_there_is_an_error_with_the_names_of_the_reference(tmp_path: Path) -> None:
    with pytest.raises(BusError) as caught:
        address.connect(parse_address(f"unix:path={tmp_path}/bus"))
    assert caught.value.dbus_name == "org.freedesktop.DBus.Error.FileNotFound"
    assert caught.value.message == f"Failed to connect to socket {tmp_path}/bus: No such file or directory"


def test_a_socket_that_nobody_listens_on_is_an_error(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(f"{tmp_path}/bus")
        with pytest.raises(BusError) as caught:
            address.connect(parse_address(f"unix:path={tmp_path}/bus"))
    assert caught.value.dbus_name == "org.freedesktop.DBus.Error.NoServer"
    assert caught.value.message == f"Failed to connect to socket {tmp_path}/bus: Connection refused"


def test_the_first_error_is_told_if_no_address_works(tmp_path: Path) -> None:
    with pytest.raises(BusError, match="first"):
        address.connect(parse_address(f"unix:path={tmp_path}/first;unix:path={tmp_path}/second"))
    with pytest.raises(BadAddress, match="tmpdir"):
        address.connect(parse_address(f"unix:tmpdir=/first;unix:path={tmp_path}/second"))


def test_the_first_address_that_works_is_taken(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"\0{tmp_path}")
        listener.listen()
        with address.connect(parse_address(f"unix:;unix:path={tmp_path}/none;unix:abstract={tmp_path}")) as sock:
            assert sock.getpeername() == f"\0{tmp_path}".encode()
            assert not sock.getblocking()
            assert not sock.get_inheritable()
