"""Which daemon is meant (clients specification, section 2, Which daemon), and what is said where there is none."""

from __future__ import annotations

import os
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from support.scripted_upstart import ScriptedUpstart
from upstartd_clients import initctl
from upstartd_clients.connect import (
    PRIVATE_ADDRESS,
    SYSTEM_BUS_ADDRESS,
    Route,
    Way,
    connect,
    find_route,
)
from upstartd_clients.errors import ConnectionFailed, NoSessionKnown, UsageError, WrongAddress

if TYPE_CHECKING:
    from pathlib import Path

SESSION = {"UPSTART_SESSION": "unix:abstract=/session"}
BUSES = {"DBUS_SESSION_BUS_ADDRESS": "unix:path=/ses", "DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/sys"}
ROOT, SOMEBODY = 0, 1000

TO_SESSION = Route(Way.SESSION_SOCKET, "unix:abstract=/session")
TO_PRIVATE = Route(Way.PRIVATE_SOCKET, PRIVATE_ADDRESS)
TO_SYSTEM_BUS = Route(Way.SYSTEM_BUS, "unix:path=/sys")
TO_SESSION_BUS = Route(Way.SESSION_BUS, "unix:path=/ses")


def route(options: str, environ: dict[str, str], euid: int) -> Route:
    return find_route(initctl.parse("status", options.split()).options, environ, euid)


@pytest.mark.parametrize(("options", "environ", "euid", "expected"), [
    ("", BUSES, ROOT, TO_PRIVATE),
    ("", BUSES, SOMEBODY, TO_SYSTEM_BUS),
    ("", BUSES | SESSION, ROOT, TO_SESSION),
    ("", BUSES | SESSION, SOMEBODY, TO_SESSION),
    ("", BUSES | {"UPSTART_SESSION": ""}, SOMEBODY, TO_SYSTEM_BUS),
    ("--user", BUSES | SESSION, ROOT, TO_SESSION),
    ("--session", BUSES | SESSION, ROOT, TO_SESSION_BUS),
    ("--system", BUSES | SESSION, ROOT, TO_SYSTEM_BUS),
    ("--system --session", BUSES, ROOT, TO_SESSION_BUS),
    ("--session --system", BUSES, SOMEBODY, TO_SYSTEM_BUS),
    ("--session --user", BUSES | SESSION, ROOT, TO_SESSION),
    ("--session --dest com.example.Other", BUSES, ROOT, TO_SESSION_BUS._replace(name="com.example.Other")),
    ("--dest com.example.Other", BUSES, SOMEBODY, TO_SYSTEM_BUS._replace(name="com.example.Other")),
    ("--dest com.example.Other", BUSES | SESSION, ROOT, TO_SESSION),  # design, 35: a socket has no names
    ("--system", {}, ROOT, Route(Way.SYSTEM_BUS, SYSTEM_BUS_ADDRESS)),
    ("--session", {"XDG_RUNTIME_DIR": "/run/user/1000"}, ROOT, Route(Way.SESSION_BUS, "unix:path=/run/user/1000/bus")),
    ("--session", {"XDG_RUNTIME_DIR": "/a b"}, ROOT, Route(Way.SESSION_BUS, "unix:path=/a%20b/bus")),
])
def test_the_way_follows_from_options_environment_and_user(
        options: str, environ: dict[str, str], euid: int, expected: Route) -> None:
    assert route(options, environ, euid) == expected


def test_user_without_a_session_is_an_error() -> None:
    with pytest.raises(NoSessionKnown) as caught:
        route("--user", BUSES, ROOT)
    assert caught.value.message == (
        "UPSTART_SESSION isn't set in the environment. Unable to locate the Upstart instance.")


def test_dest_for_the_private_socket_is_an_error() -> None:
    with pytest.raises(UsageError) as caught:
        route("--dest com.example.Other", BUSES, ROOT)
    assert caught.value.message == "--dest given without --system"


def test_a_session_bus_that_nothing_says_the_address_of_is_an_error() -> None:
    with pytest.raises(ConnectionFailed, match="Unable to connect to session bus: DBUS_SESSION_BUS_ADDRESS"):
        route("--session", {}, SOMEBODY)


def why_not(way: Way, address: str) -> ConnectionFailed:
    with pytest.raises(ConnectionFailed) as caught:
        connect(Route(way, address), {"DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nonexistent"})
    return caught.value


@pytest.mark.parametrize(("way", "called"), [
    (Way.SESSION_SOCKET, "Upstart"), (Way.PRIVATE_SOCKET, "Upstart"), (Way.SYSTEM_BUS, "system bus"),
    (Way.SESSION_BUS, "session bus"),
])
def test_where_nobody_listens_the_socket_is_named(way: Way, called: str) -> None:
    error = why_not(way, "unix:abstract=/upstartd/test/nobody")
    assert error.message == (
        f"Unable to connect to {called}: Failed to connect to socket /upstartd/test/nobody: Connection refused")
    assert not error.refused
    error = why_not(way, "unix:path=/nonexistent/socket")
    assert error.message.endswith("Failed to connect to socket /nonexistent/socket: No such file or directory")


@pytest.mark.parametrize(("way", "called"), [(Way.SESSION_SOCKET, "Upstart"), (Way.SYSTEM_BUS, "system bus")])
@pytest.mark.parametrize(("address", "why"), [
    ("garbage", "Address does not contain a colon"),
    ("unix:path=/nonexistent;garbage", "Address does not contain a colon"),
    ("unix:;unix:path=/nonexistent", "Server address of type unix was missing argument path or abstract"),
    ("tcp:host=localhost,port=1", "cannot use an address of type tcp: only unix sockets are connected to"),
])
def test_what_is_wrong_with_an_address_is_told_in_the_words_of_the_library(
        way: Way, called: str, address: str, why: str) -> None:
    error = why_not(way, address)
    assert isinstance(error, WrongAddress)
    assert error.message == f"Unable to connect to {called}: {why}"


@pytest.mark.parametrize("second", ["unix:path=/second", "unix:tmpdir=/second"])
def test_of_several_failures_the_first_is_told(second: str) -> None:
    error = why_not(Way.SESSION_SOCKET, f"unix:path=/nonexistent/first;{second}")
    assert error.message == (
        "Unable to connect to Upstart: Failed to connect to socket /nonexistent/first: No such file or directory")


def test_somebody_who_lets_nobody_in_has_refused() -> None:
    with ScriptedUpstart({}, authenticates=False) as daemon:
        error = why_not(Way.SESSION_SOCKET, daemon.address)
    assert error.refused
    assert error.message.endswith(f" refuses user {os.geteuid()}")


def test_of_several_addresses_the_first_that_answers_counts() -> None:
    with ScriptedUpstart({}) as daemon:
        connect(Route(Way.SESSION_SOCKET, f"unix:tmpdir=/x;unix:path=/nonexistent;{daemon.address}"), {}).close()


def test_a_name_that_no_bus_knows_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="illegal bus name: nodots"):
        connect(Route(Way.SESSION_BUS, "unix:path=/nonexistent", "nodots"), {})


def test_a_socket_that_hangs_up_before_authentication_is_a_refusal(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        closer = threading.Thread(target=lambda: listener.accept()[0].close())
        closer.start()
        assert why_not(Way.SESSION_SOCKET, f"unix:path={path}").refused
        closer.join()
