"""Addresses of buses, and what is said when one cannot be connected to."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest

from upstartd.bus import address
from upstartd.bus.address import SocketAddress, parse_address
from upstartd.errors import BadAddress, BusError

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
        ("tcp:host=localhost,port=1;unix:path=/b", [SocketAddress("/b")]),
        ("unix:runtime=yes;unix:path=/b", [SocketAddress("/b")]),
    ],
)
def test_an_address_names_sockets_in_order(text: str, sockets: list[SocketAddress]) -> None:
    assert parse_address(text) == tuple(sockets)


@pytest.mark.parametrize(
    "text",
    ["", ";", "nonsense", ":", "unix:", "unix:path", "unix:path=", "unix:=x", "unix:path=/a,abstract=b",
     "unix:runtime=yes", "unix:tmpdir=/tmp", "tcp:host=localhost,port=1", "unix:path=/a%00b", "unix:path=/a;nonsense"],
)  # fmt: skip
def test_what_is_no_usable_address_is_refused(text: str) -> None:
    with pytest.raises(BadAddress, match=r"cannot (use|understand) address"):
        parse_address(text)


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


def test_a_path_that_is_too_long_is_an_error() -> None:
    with pytest.raises(BusError, match="File name too long") as caught:
        address.connect(parse_address(f"unix:path=/{'x' * 200}"))
    assert caught.value.dbus_name == "org.freedesktop.DBus.Error.Failed"


def test_the_first_error_is_told_if_no_address_works(tmp_path: Path) -> None:
    with pytest.raises(BusError, match="first"):
        address.connect(parse_address(f"unix:path={tmp_path}/first;unix:path={tmp_path}/second"))


def test_the_first_address_that_works_is_taken(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"\0{tmp_path}")
        listener.listen()
        with address.connect(parse_address(f"unix:path={tmp_path}/none;unix:abstract={tmp_path}")) as sock:
            assert sock.getpeername() == f"\0{tmp_path}".encode()
            assert not sock.getblocking()
            assert not sock.get_inheritable()
