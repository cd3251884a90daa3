"""A bus that is played by the test: what a real one hardly ever does, and what the daemon asks it."""

from __future__ import annotations

import asyncio
import errno
import os
import select
import socket
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from support.bus_host import MANAGER, ROOT, HostForTests, Served, open_files
from support.waiting import LIMIT, wait_until
from upstartd.bus import bus_keeper, message_bus
from upstartd.bus.auth import ServerHandshake
from upstartd.bus.bus_keeper import BusKind
from upstartd.bus.encode import encode_call, encode_error, encode_return, encode_signal
from upstartd.bus.wire import Field, FrameReader, Kind, Message
from upstartd.errors import FREEDESKTOP, BusError
from upstartd.log import Priority

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future

GUID = "00ff" * 8


class ScriptedBus:
    """Listens at `address`; the test takes connections and answers what is asked."""

    def __init__(self, path: Path) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.settimeout(LIMIT)
        self._listener.bind(str(path))
        self._listener.listen()
        self.address = f"unix:path={path}"
        self._lines: list[Line] = []

    def close(self) -> None:
        self._listener.close()
        for line in self._lines:
            line.sock.close()

    def nobody_is_there(self) -> bool:
        """Whether no connection waits to be accepted."""
        return not select.select([self._listener], [], [], 0)[0]

    def accept(self) -> Line:
        """The next connection, about which nothing has been said yet."""
        sock, _ = self._listener.accept()
        sock.settimeout(LIMIT)
        self._lines.append(Line(sock))
        return self._lines[-1]


class Line:
    """One connection of the daemon, from the bus's side."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._reader = FrameReader()
        self._messages: list[Message] = []

    def let_in(self) -> None:
        """Play the exchange that opens a connection."""
        handshake = ServerHandshake(_uid_of(self.sock), GUID)
        while not handshake.done:
            self.sock.sendall(handshake.receive(self.sock.recv(4096)))
        self._messages += self._reader.feed(handshake.rest)

    def next(self) -> Message:
        """The next message that the daemon sends."""
        while not self._messages:
            data = self.sock.recv(65536)
            assert data, "the daemon hung up"
            self._messages += self._reader.feed(data)
        return self._messages.pop(0)

    def expect(self, member: str) -> Message:
        """The next message, which is to be a call of this method of the bus."""
        message = self.next()
        assert (message.kind, message.destination, message.member) == (
            Kind.METHOD_CALL, "org.freedesktop.DBus", member)  # fmt: skip
        return message

    def answer(self, member: str, signature: str = "", values: list[Any] | None = None) -> list[Any]:
        """Expect a call of this method of the bus and answer it; give its arguments."""
        message = self.expect(member)
        self.sock.sendall(encode_return(message.serial, ":1.7", signature, values or []))
        return message.values()

    def put_on_the_bus(self) -> None:
        """Play everything up to and including the name."""
        self.let_in()
        self.answer("Hello", "s", [":1.7"])
        assert self.answer("RequestName", "u", [1]) == ["com.ubuntu.Upstart", 4]

    def call(self, serial: int, sender: str, member: str, signature: str = "", *values: Any) -> None:
        """Have somebody on the bus call a method of the manager."""
        data = encode_call(serial, "com.ubuntu.Upstart", ROOT, MANAGER, member, signature, list(values))
        self.sock.sendall(from_somebody(data, sender))

    def call_with_file(self, serial: int, sender: str, file: int) -> None:
        """Have somebody emit an event with a file."""
        values = ["x", [], False, 0]
        data = encode_call(serial, "com.ubuntu.Upstart", ROOT, MANAGER, "EmitEventWithFile", "sasbh", values)
        count = bytes([Field.UNIX_FDS]) + b"\x01u\0" + (1).to_bytes(4, "little")
        socket.send_fds(self.sock, [with_field(from_somebody(data, sender), count)], [file])


def from_somebody(data: bytes, sender: str) -> bytes:
    """A message with the sender's name put into it, as a bus does."""
    text = sender.encode()
    return with_field(data, bytes([Field.SENDER]) + b"\x01s\0" + len(text).to_bytes(4, "little") + text + b"\0")


def with_field(data: bytes, field: bytes) -> bytes:
    """A message with a header field more."""
    length = int.from_bytes(data[12:16], "little")
    end = 16 + length + (-length & 7)
    return (data[:12] + (end - 16 + len(field)).to_bytes(4, "little") + data[16:end] + field
            + bytes(-len(field) & 7) + data[end:])


def _uid_of(sock: socket.socket) -> int:
    raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return int.from_bytes(raw[4:8], "little")


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[ScriptedBus]:
    bus = ScriptedBus(tmp_path / "bus")
    yield bus
    bus.close()


@contextmanager
def connecting(served: Served, bus: ScriptedBus, *, keep_trying: bool = False) -> Iterator[Future[None]]:
    """The attempt to get onto the bus, under way."""
    attempt = asyncio.run_coroutine_threadsafe(
        served.service.connect_bus(bus.address, BusKind.SYSTEM, keep_trying=keep_trying), served.loop)
    yield attempt
    attempt.exception(LIMIT)


@contextmanager
def on_bus(served: Served, bus: ScriptedBus) -> Iterator[Line]:
    """The daemon on the bus."""
    with connecting(served, bus) as attempt:
        line = bus.accept()
        line.put_on_the_bus()
        attempt.result(LIMIT)
    yield line


@pytest.fixture
def served() -> Iterator[Served]:
    with Served(HostForTests(only_root_may_change=True)) as served:
        yield served


# -- getting onto the bus -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("said", [b"", b"OK " + GUID.encode() + b"\r\n", b"OK 00\r\nAGREE_UNIX_FD\r\n"])
def test_a_bus_that_hangs_up_during_authentication_is_an_error_at_once(
    served: Served, bus: ScriptedBus, said: bytes
) -> None:
    with connecting(served, bus) as attempt:
        line = bus.accept()
        line.sock.recv(4096)  # who it is
        line.sock.sendall(said)
        line.sock.close()
        with pytest.raises(BusError, match="the connection to the bus is lost") as caught:
            attempt.result(LIMIT)
    assert caught.value.dbus_name == FREEDESKTOP + "Disconnected"


@pytest.mark.parametrize("said", [b"REJECTED EXTERNAL\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"x" * 4096])
def test_what_is_no_bus_is_an_error(served: Served, bus: ScriptedBus, said: bytes) -> None:
    with connecting(served, bus) as attempt:
        line = bus.accept()
        line.sock.sendall(said)
        with pytest.raises(BusError, match=r"the connection to the bus is lost: (user|it answers|a line)"):
            attempt.result(LIMIT)


def test_a_bus_that_says_nothing_is_given_up(
    served: Served, bus: ScriptedBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bus_keeper, "_PATIENCE", 0.05)
    with connecting(served, bus) as attempt:
        bus.accept()
        with pytest.raises(BusError, match="it does not answer") as caught:
            attempt.result(LIMIT)
    assert caught.value.dbus_name == FREEDESKTOP + "NoReply"
    assert served.do(lambda: served.service._connections) == {}


def test_what_the_bus_refuses_is_passed_on_under_its_name(served: Served, bus: ScriptedBus) -> None:
    with connecting(served, bus) as attempt:
        line = bus.accept()
        line.let_in()
        line.answer("Hello", "s", [":1.7"])
        asked = line.expect("RequestName")
        line.sock.sendall(encode_error(asked.serial, ":1.7", FREEDESKTOP + "AccessDenied", "not you"))
        with pytest.raises(BusError, match=r"^not you$") as caught:
            attempt.result(LIMIT)
    assert caught.value.dbus_name == FREEDESKTOP + "AccessDenied"


def test_an_answer_of_the_bus_that_cannot_be_read_is_an_error(served: Served, bus: ScriptedBus) -> None:
    with connecting(served, bus) as attempt:
        line = bus.accept()
        line.let_in()
        asked = line.expect("Hello")
        line.sock.sendall(encode_return(asked.serial, None, "s", [":1.7"])[:-1] + b"x")  # no NUL after the string
        with pytest.raises(BusError, match="cannot read the answer of the bus: a string has a NUL"):
            attempt.result(LIMIT)


def test_a_directory_that_cannot_be_watched_is_told(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(bus_keeper, "SocketWatch", refuse)
    with pytest.raises(BusError, match="No such file or directory"):
        served.connect_bus(f"unix:path={tmp_path}/bus", BusKind.SYSTEM, keep_trying=True)
    assert served.host.logged(Priority.WARN) == ["cannot watch for the D-Bus system bus: Permission denied"]


def test_another_bus_takes_the_place_of_one_that_never_came(served: Served, bus: ScriptedBus, tmp_path: Path) -> None:
    with pytest.raises(BusError):
        served.connect_bus(f"unix:path={tmp_path}/other", BusKind.SYSTEM, keep_trying=True)
    with on_bus(served, bus):
        assert served.do(lambda: served.service.bus_address) == bus.address
        (tmp_path / "other").touch()  # nobody waits for it any more
        assert served.do(lambda: served.service.is_on_bus)


def test_usr1_means_nothing_where_there_never_was_a_bus(served: Served) -> None:
    served.do(served.service.reconnect)
    assert served.host.logged(Priority.INFO) == []


def test_two_attempts_at_once_are_one_connection(served: Served, bus: ScriptedBus) -> None:
    with connecting(served, bus) as first, connecting(served, bus) as second:
        line = bus.accept()
        line.put_on_the_bus()
        assert (first.result(LIMIT), second.result(LIMIT)) == (None, None)


def test_signals_go_out_from_the_hello_on(served: Served, bus: ScriptedBus) -> None:
    with connecting(served, bus) as attempt:
        line = bus.accept()
        line.let_in()
        line.answer("Hello", "s", [":1.7"])
        asked = line.expect("RequestName")
        served.do(served.service.announce_restart)
        signal = line.next()
        assert (signal.kind, signal.member, signal.destination) == (Kind.SIGNAL, "Restarted", None)
        line.sock.sendall(encode_return(asked.serial, ":1.7", "u", [4]))
        attempt.result(LIMIT)


# -- losing it ------------------------------------------------------------------------------------------------------


def test_a_bus_that_hangs_up_again_and_again_is_not_called_for_ever(served: Served, bus: ScriptedBus) -> None:
    with on_bus(served, bus) as line:
        line.sock.close()
    wait_until(lambda: served.host.logged(Priority.WARN), "the loss to be noticed")
    assert served.host.logged(Priority.WARN) == ["Disconnected from D-Bus system bus"]
    assert bus.nobody_is_there()  # it was on the bus for too short a time to go back of its own accord


def test_a_bus_that_was_there_for_a_while_is_gone_back_to_at_once(
    served: Served, bus: ScriptedBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bus_keeper, "_WORTH_GOING_BACK_TO", 0.0)
    with on_bus(served, bus) as line:
        line.sock.close()
        again = bus.accept()
        again.put_on_the_bus()
        wait_until(lambda: served.do(lambda: served.service.is_on_bus), "the daemon to be back")


@pytest.mark.parametrize("nonsense", [b"GET / HTTP/1.1\r\n\r\n", b"l\2\1\1" + b"\xff" * 12])
def test_nonsense_from_the_bus_costs_the_connection_only(served: Served, bus: ScriptedBus, nonsense: bytes) -> None:
    with on_bus(served, bus) as line:
        line.sock.sendall(nonsense)
        assert line.sock.recv(100) == b""
        with served.client() as client:
            assert client.manager("GetAllJobs") == []


def test_answers_and_signals_that_nobody_waits_for_are_ignored(served: Served, bus: ScriptedBus) -> None:
    with on_bus(served, bus) as line:
        line.sock.sendall(encode_return(12345, ":1.7", "s", ["x"]))
        line.sock.sendall(encode_error(12345, ":1.7", "a.b", "x"))
        line.sock.sendall(encode_signal("/org/freedesktop/DBus", "org.freedesktop.DBus", "NameAcquired", "s", ["x"]))
        line.call(5, ":1.9", "GetAllJobs")
        assert line.next().reply_serial == 5


# -- callers --------------------------------------------------------------------------------------------------------


def test_calls_of_one_sender_stay_in_order_while_the_bus_is_asked_who_that_is(
    served: Served, bus: ScriptedBus
) -> None:
    with on_bus(served, bus) as line:
        line.call(1, ":1.9", "GetAllJobs")  # free for all: nobody is asked
        assert line.next().reply_serial == 1
        line.call(2, ":1.9", "EmitEvent", "sasb", "x", [], False)
        asked = line.expect("GetConnectionUnixUser")
        assert asked.values() == [":1.9"]
        line.call(3, ":1.9", "GetAllJobs")
        line.call(4, ":1.8", "GetAllJobs")  # of somebody else
        assert line.next().reply_serial == 4
        line.sock.sendall(encode_return(asked.serial, ":1.7", "u", [0]))
        answers = [message for message in (line.next() for _ in range(3)) if message.kind == Kind.METHOD_RETURN]
        assert [(answer.reply_serial, answer.destination) for answer in answers] == [(2, ":1.9"), (3, ":1.9")]


def test_the_bus_is_asked_once_for_each_sender(served: Served, bus: ScriptedBus) -> None:
    with on_bus(served, bus) as line:
        line.call(1, ":1.9", "GetState")
        line.answer("GetConnectionUnixUser", "u", [0])
        assert line.next().kind == Kind.METHOD_RETURN
        line.call(2, ":1.9", "GetState")
        assert line.next().reply_serial == 2
        line.call(3, ":1.8", "GetState")
        line.answer("GetConnectionUnixUser", "u", [1000])
        refusal = line.next()
        assert (refusal.reply_serial, refusal.values()) == (3, ["You do not have permission to request state"])


@pytest.mark.parametrize("answer", [("s", ["root"]), ("", []), ("uu", [0, 0])])
def test_a_sender_whose_user_cannot_be_told_may_change_nothing(
    served: Served, bus: ScriptedBus, answer: tuple[str, list[Any]]
) -> None:
    with on_bus(served, bus) as line:
        line.call(1, ":1.9", "GetState")
        line.answer("GetConnectionUnixUser", *answer)
        assert line.next().error_name == "com.ubuntu.Upstart0_6.Error.PermissionDenied"
        line.call(2, ":1.9", "GetState")
        asked = line.expect("GetConnectionUnixUser")
        line.sock.sendall(encode_error(asked.serial, ":1.7", FREEDESKTOP + "NameHasNoOwner", "gone"))
        assert line.next().error_name == "com.ubuntu.Upstart0_6.Error.PermissionDenied"


def test_senders_are_not_remembered_without_end(
    served: Served, bus: ScriptedBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(message_bus, "_USERS_REMEMBERED", 2)
    with on_bus(served, bus) as line:
        for sender in (":1.1", ":1.2", ":1.3"):
            line.call(1, sender, "GetState")
            line.answer("GetConnectionUnixUser", "u", [0])
            line.next()
        line.call(1, ":1.3", "GetState")
        assert line.next().kind == Kind.METHOD_RETURN
        line.call(1, ":1.1", "GetState")
        line.answer("GetConnectionUnixUser", "u", [0])
        assert line.next().kind == Kind.METHOD_RETURN


def test_calls_are_not_held_without_end(served: Served, bus: ScriptedBus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(message_bus, "_CALLS_HELD", 3)
    with on_bus(served, bus) as line:
        for serial in range(1, 6):
            line.call(serial, ":1.9", "GetState")
        asked = line.expect("GetConnectionUnixUser")
        assert [line.next().error_name for _ in range(2)] == [FREEDESKTOP + "LimitsExceeded"] * 2
        line.sock.sendall(encode_return(asked.serial, ":1.7", "u", [0]))
        assert [line.next().reply_serial for _ in range(3)] == [1, 2, 3]


def test_files_of_calls_that_are_held_are_closed_when_the_bus_goes(
    served: Served, bus: ScriptedBus, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    with on_bus(served, bus) as line:
        with path.open("w") as file:
            line.call_with_file(1, ":1.9", file.fileno())
            line.expect("GetConnectionUnixUser")
        [held] = [int(entry.name) for entry in Path("/proc/self/fd").iterdir()
                  if entry.is_symlink() and os.readlink(entry) == str(path)]
        assert not os.get_inheritable(held)  # what is executed meanwhile must not get it
        line.sock.close()
        wait_until(lambda: served.host.logged(Priority.WARN), "the loss to be noticed")
        assert str(path) not in open_files()
        assert served.host.inputs == []


def test_a_file_of_a_call_that_is_refused_is_closed(served: Served, bus: ScriptedBus, tmp_path: Path) -> None:
    path = tmp_path / "file"
    with on_bus(served, bus) as line:
        with path.open("w") as file:
            line.call_with_file(1, ":1.9", file.fileno())
        line.answer("GetConnectionUnixUser", "u", [1000])
        assert line.next().error_name == "com.ubuntu.Upstart0_6.Error.PermissionDenied"
        assert str(path) not in open_files()


# -- the activation environment ---------------------------------------------------------------------------------------


def test_a_global_set_env_is_passed_on_and_a_refusal_is_logged(served: Served, bus: ScriptedBus) -> None:
    with on_bus(served, bus) as line, served.client() as client:
        client.manager("SetEnv", "assb", [], "A=b=c", True)
        asked = line.expect("UpdateActivationEnvironment")
        assert asked.values() == [{"A": "b=c"}]
        line.sock.sendall(encode_error(asked.serial, ":1.7", FREEDESKTOP + "AccessDenied", "no"))
        wait_until(lambda: served.host.logged(Priority.WARN), "a warning")
        assert served.host.logged(Priority.WARN) == ["cannot update the activation environment of the bus: no"]
