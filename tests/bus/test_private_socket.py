"""The private socket: who gets in, what a bad client costs, files that come along, and many signals."""

from __future__ import annotations

import array
import fcntl
import os
import resource
import select
import socket
import struct
import threading
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from jeepney import DBusAddress, HeaderFields, new_method_call

from support.bus_host import MANAGER, ROOT, Client, Refused, Served, job_path, open_files
from support.waiting import LIMIT, wait_until
from upstartd.bus import calls, connections, encode, listener
from upstartd.bus.encode import encode_call, encode_error, encode_return, encode_signal
from upstartd.conf.model import Command, EventPattern, JobConfig, ProcessName
from upstartd.engine import effects
from upstartd.log import Priority

if TYPE_CHECKING:
    from collections.abc import Iterator

AUTH = b"\0AUTH EXTERNAL " + str(os.getuid()).encode().hex().encode() + b"\r\n"
MANAGER_ADDRESS = DBusAddress(ROOT, bus_name="com.ubuntu.Upstart", interface=MANAGER)
CALL = encode_call(1, "com.ubuntu.Upstart", ROOT, MANAGER, "GetAllJobs")


@pytest.fixture
def served() -> Iterator[Served]:
    with Served() as served:
        yield served


@contextmanager
def raw(served: Served, said: bytes = b"") -> Iterator[socket.socket]:
    """A socket to the daemon that has said something."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(LIMIT)
        sock.connect("\0" + served.name)
        if said:
            sock.sendall(said)
        yield sock


def all_of(sock: socket.socket) -> bytes:
    """Everything until the other side hangs up."""
    parts = []
    try:
        while part := sock.recv(65536):
            parts.append(part)
    except ConnectionResetError:
        pass  # it did not want to hear the rest
    return b"".join(parts)


@contextmanager
def no_more_descriptors() -> Iterator[None]:
    """This process cannot open anything."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# -- who gets in --------------------------------------------------------------------------------------------------


def test_who_is_not_allowed_hears_it_at_once_and_costs_nothing() -> None:
    with Served(uids=frozenset()) as served:
        with raw(served) as sock:
            assert all_of(sock) == b"REJECTED\r\n"
        assert served.do(lambda: served.service._listener._pending) == {}  # type: ignore[union-attr]


def test_who_claims_to_be_somebody_else_is_rejected(served: Served) -> None:
    other = str(os.getuid() + 1).encode().hex().encode()
    with raw(served, b"\0AUTH EXTERNAL " + other + b"\r\nBEGIN\r\n") as sock:
        assert all_of(sock) in (b"", b"REJECTED EXTERNAL\r\n")
    assert served.do(lambda: len(served.service._connections)) == 0


def test_everything_may_come_in_one_piece(served: Served) -> None:
    with raw(served, AUTH + b"NEGOTIATE_UNIX_FD\r\nBEGIN\r\n" + CALL) as sock:
        data = b""
        while b"AGREE_UNIX_FD\r\nl\x02" not in data:  # a method return in our byte order
            data += sock.recv(65536)
    assert served.host.logged(Priority.INFO) == ["Connection from private client"]


def test_clients_that_say_nothing_make_room_for_others(served: Served) -> None:
    with ExitStack() as stack:
        silent = [stack.enter_context(raw(served)) for _ in range(listener._PENDING_LIMIT + 5)]
        assert [all_of(sock) for sock in silent[:5]] == [b""] * 5
        with served.client() as client:
            assert client.manager("GetAllJobs") == []
        assert served.do(lambda: len(served.service._listener._pending)) <= listener._PENDING_LIMIT  # type: ignore[union-attr]


def test_there_is_an_end_to_how_many_clients_are_served(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "_CLIENTS_LIMIT", 2)
    with served.client() as first, served.client() as second:
        first.manager("GetAllJobs")
        second.manager("GetAllJobs")
        with raw(served) as third:
            assert all_of(third) == b"REJECTED\r\n"
    wait_until(lambda: served.do(lambda: len(served.service._connections)) == 0, "the clients to be gone")
    with served.client() as client:
        assert client.manager("GetAllJobs") == []


def test_a_name_that_is_taken_is_an_error(served: Served) -> None:
    with pytest.raises(OSError, match="Address already in use"):
        served.do(served.service.listen_private, served.name, frozenset({0}))


def test_being_out_of_descriptors_is_survived_and_told(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "_SHORTAGE_PAUSE", 0.0)
    with served.client() as client, socket.socket(socket.AF_UNIX) as waiting:
        client.manager("GetAllJobs")
        with no_more_descriptors():
            waiting.connect("\0" + served.name)
            wait_until(lambda: served.host.logged(Priority.WARN), "a warning")
            assert client.manager("GetAllJobs") == []
        waiting.sendall(AUTH)
        assert waiting.recv(100).startswith(b"OK ")
    assert served.host.logged(Priority.WARN)[0] == "cannot let a private client in: Too many open files"


def test_being_out_of_descriptors_keeps_nobody_busy(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "_SHORTAGE_PAUSE", 3600.0)
    with served.client() as client, socket.socket(socket.AF_UNIX) as waiting:
        client.manager("GetAllJobs")
        with no_more_descriptors():
            waiting.connect("\0" + served.name)
            wait_until(lambda: served.host.logged(Priority.WARN), "a warning")
            for _ in range(10):
                assert client.manager("GetAllJobs") == []
    assert len(served.host.logged(Priority.WARN)) == 1


# -- what a bad client costs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "said",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\0" + b"x" * 5000,
        b"\0BEGIN\r\n",
        AUTH + b"BEGIN\r\n" + b"GET / HTTP/1.1\r\n\r\n",
        AUTH + b"BEGIN\r\n" + CALL[:4] + b"\xff\xff\xff\x7f" + CALL[8:],
        AUTH + b"BEGIN\r\n" + CALL + b"\xff" + CALL[1:],
    ],
)
def test_nonsense_costs_the_connection_and_one_line_in_the_log(served: Served, said: bytes) -> None:
    with served.client() as client:
        client.manager("GetAllJobs")
        with raw(served, said) as sock:
            all_of(sock)
        assert client.manager("GetAllJobs") == []
        wait_until(lambda: served.host.logged(Priority.WARN), "a warning")
    [line] = served.host.logged(Priority.WARN)
    assert line.startswith("Private client dropped: ")


def test_a_body_that_is_not_what_it_claims_costs_only_the_call(served: Served) -> None:
    data = encode_call(5, "com.ubuntu.Upstart", ROOT, MANAGER, "EmitEvent", "sasb", ["x", [], True])
    with served.client() as client:
        client.connection.sock.sendall(data[:-4] + b"\2\0\0\0")  # a boolean that is neither
        with pytest.raises(Refused, match="Invalid arguments to EmitEvent method"):
            client.answer_to(5)
        assert client.manager("GetAllJobs") == []


def test_a_client_that_goes_away_is_not_missed(served: Served) -> None:
    served.do(served.host.define, "slow", JobConfig(
        task=True, start_on=(EventPattern("go"),), processes={ProcessName.MAIN: Command("x")}))
    with served.client() as client:
        client.send(ROOT, MANAGER, "EmitEvent", "sasb", "go", [], True)
        client.manager("GetAllJobs")
    wait_until(lambda: served.do(lambda: len(served.service._connections)) == 0, "the client to be gone")
    with served.client() as other:
        other.call(job_path("slow") + "/_", MANAGER + ".Instance", "Stop", "b", True)  # answers the one who went
        assert other.manager("GetAllJobs") == [job_path("slow")]
    assert served.host.logged(Priority.ERROR) == []


def test_a_client_that_goes_away_without_reading_its_answer_is_not_missed(served: Served) -> None:
    with raw(served, AUTH + b"BEGIN\r\n" + CALL) as sock:
        wait_until(lambda: served.do(lambda: len(served.service._connections)) == 1, "the client to be there")
        assert sock.recv(3) == b"OK "
    wait_until(lambda: served.do(lambda: len(served.service._connections)) == 0, "the client to be gone")
    assert served.host.logged(Priority.WARN) == []


def test_a_call_that_expects_no_answer_gets_none(served: Served) -> None:
    call = bytearray(encode_call(77, "com.ubuntu.Upstart", ROOT, MANAGER, "GetState"))
    call[2] = 1
    with served.client() as client:
        client.connection.sock.sendall(call)
        assert client.manager("GetAllJobs") == []
        assert client.answers == {}


def test_what_is_not_a_call_is_ignored(served: Served) -> None:
    with served.client() as client:
        for data in (encode_signal("/a", "a.b", "C", "", []), encode_return(1, None, "", []),
                     encode_error(1, None, "a.b", "c")):
            client.connection.sock.sendall(data)
        assert client.manager("GetAllJobs") == []
        assert client.answers == {}


def test_a_sender_that_a_private_client_invents_is_not_answered_to(served: Served) -> None:
    with served.client() as client:
        message = new_method_call(MANAGER_ADDRESS, "GetAllJobs")
        message.header.fields[HeaderFields.sender] = "not a bus name at all"
        client.connection.send(message, serial=9)
        answer = client.receive()
        assert HeaderFields.destination not in answer.header.fields
        assert client.answer_to(9) == []


# -- files ----------------------------------------------------------------------------------------------------------


def emit_with_file(client: Client, *arguments: Any, extra: int = 0) -> int:
    """Emit an event with a file, and `extra` descriptors that no argument names."""
    message = new_method_call(MANAGER_ADDRESS, "EmitEventWithFile", "sasbh", arguments)
    serial: int = next(client.connection.outgoing_serial)
    descriptors = array.array("i")
    data = bytearray(message.serialise(serial, descriptors))
    if extra:
        # jeepney counts what the arguments name; put the number of all of them into the header.
        at = data.index(b"\x09\x01u\0") + 4
        data[at : at + 4] = struct.pack("<I", len(descriptors) + extra)
        descriptors.extend(os.open("/dev/zero", os.O_RDONLY) for _ in range(extra))
    client.connection._send_with_fds(data, descriptors)
    for descriptor in descriptors[1:] if extra else ():
        os.close(descriptor)
    return serial


def test_a_file_reaches_the_jobs_that_its_event_starts(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "FIRST_INTERNAL", 300)
    path = tmp_path / "file"
    path.write_text("hello")
    served.do(served.host.define, "reader", JobConfig(
        task=True, start_on=(EventPattern("go"),), processes={ProcessName.MAIN: Command("x")}))
    with served.client(enable_fds=True) as client:
        with path.open() as file:
            serial = emit_with_file(client, "go", [], True, file)
            client.manager("GetAllJobs")
        [given] = served.host.files_given
        assert given >= 300
        assert fcntl.fcntl(given, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
        assert os.readlink(f"/proc/self/fd/{given}") == str(path)
        assert [os.readlink(entry) for entry in Path("/proc/self/fd").iterdir() if entry.exists()].count(str(path)) == 1
        client.call(job_path("reader") + "/_", MANAGER + ".Instance", "Stop", "b", True)
        assert client.answer_to(serial) is None
        assert str(path) not in open_files()


@pytest.mark.parametrize("arguments", [("", []), ("x", ["no pair"])])
def test_the_file_of_an_event_that_is_refused_is_closed(
    served: Served, tmp_path: Path, arguments: tuple[str, list[str]]
) -> None:
    path = tmp_path / "file"
    path.touch()
    with served.client(enable_fds=True) as client:
        with path.open() as file, pytest.raises(Refused):
            client.answer_to(emit_with_file(client, *arguments, True, file))
        assert str(path) not in open_files()


def test_descriptors_beyond_the_one_that_is_named_are_closed(served: Served, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    with served.client(enable_fds=True) as client, path.open() as file:
        assert client.answer_to(emit_with_file(client, "x", [], True, file, extra=3)) is None
        assert "/dev/zero" not in open_files()


def test_a_descriptor_that_did_not_come_is_a_wrong_argument(served: Served) -> None:
    call = encode_call(5, "com.ubuntu.Upstart", ROOT, MANAGER, "EmitEventWithFile", "sasbh", ["x", [], True, 0])
    with served.client(enable_fds=True) as client:
        client.connection.sock.sendall(call)
        with pytest.raises(Refused, match="Invalid arguments to EmitEventWithFile method"):
            client.answer_to(5)


def test_descriptors_with_a_call_that_takes_none_are_closed(served: Served) -> None:
    descriptors = array.array("i")
    with served.client(enable_fds=True) as client:
        with open("/dev/zero") as zero:
            data = new_method_call(MANAGER_ADDRESS, "GetAllJobs", "h", (zero,)).serialise(5, descriptors)
            client.connection._send_with_fds(data, descriptors)
        with pytest.raises(Refused, match="Invalid arguments to GetAllJobs method"):
            client.answer_to(5)
        assert "/dev/zero" not in open_files()


def test_descriptors_from_a_client_that_did_not_ask_to_send_any_cost_the_connection(served: Served) -> None:
    with raw(served, AUTH + b"BEGIN\r\n") as sock, open("/dev/zero") as zero:
        assert sock.recv(100).startswith(b"OK ")
        socket.send_fds(sock, [CALL], [zero.fileno()])
        zero.close()
        all_of(sock)
        assert "/dev/zero" not in open_files()


def test_descriptors_during_the_exchange_are_closed(served: Served) -> None:
    with raw(served) as sock, open("/dev/zero") as zero:
        socket.send_fds(sock, [b"\0AUTH nonsense\r\nBEGIN\r\n"], [zero.fileno()])
        zero.close()
        all_of(sock)
        assert "/dev/zero" not in open_files()


def test_descriptors_that_there_is_no_room_for_cost_the_connection(served: Served) -> None:
    with raw(served, AUTH + b"NEGOTIATE_UNIX_FD\r\nBEGIN\r\n") as sock, open("/dev/zero") as zero:
        while b"AGREE" not in sock.recv(4096):
            pass
        with no_more_descriptors():
            socket.send_fds(sock, [CALL], [zero.fileno()])
            all_of(sock)
        wait_until(lambda: served.host.logged(Priority.WARN), "a warning")
    assert served.host.logged(Priority.WARN) == ["Private client dropped: descriptors were lost"]


def test_a_file_that_cannot_be_kept_is_an_error(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.touch()
    monkeypatch.setattr(calls, "FIRST_INTERNAL", 1 << 30)  # more than anybody may have
    with served.client(enable_fds=True) as client:
        with path.open() as file, pytest.raises(Refused, match="Invalid argument"):
            client.answer_to(emit_with_file(client, "x", [], True, file))
        assert str(path) not in open_files()


# -- many signals -----------------------------------------------------------------------------------------------------


def test_a_subscriber_that_stops_reading_costs_nobody_else_a_signal(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "QUEUE_LIMIT", 1 << 20)
    count = 20_000
    names = [f"event-{number}" for number in range(count)]

    def burst(part: list[str]) -> None:
        for name in part:
            served.service.announce(effects.EventEmitted(name, ("A=" + "x" * 100,)))

    with served.client() as reader, raw(served, AUTH + b"BEGIN\r\n") as stuck:
        assert stuck.recv(100).startswith(b"OK ")
        reader.manager("GetAllJobs")
        wait_until(lambda: served.do(lambda: len(served.service._connections)) == 2, "both to be there")
        got: list[str] = []

        def read() -> None:
            while len(got) < count:
                reader.receive()
                got.append(reader.signals.pop()[2][0])

        def has_read(many: int) -> bool:
            return len(got) >= many

        reading = threading.Thread(target=read)
        reading.start()
        queued = []
        for at in range(0, count, 1000):
            served.do(burst, names[at : at + 1000])
            wait_until(partial(has_read, at), "the reader to keep up")
            queued.append(served.do(lambda: sum(c._queued for c in served.service._connections)))
        reading.join(LIMIT)
        assert got == names
        assert max(queued) < 2 << 20
        assert served.do(lambda: len(served.service._connections)) == 1
        assert served.host.logged(Priority.WARN) == ["Private client dropped: it does not read what it is sent"]


def test_a_burst_reaches_a_subscriber_that_reads_later(served: Served) -> None:
    count = 20_000
    with served.client() as client:
        client.manager("GetAllJobs")

        def burst() -> None:
            for number in range(count):
                served.service.announce(effects.EventEmitted(str(number), ()))

        served.do(burst)
        while len(client.signals) < count:
            client.receive()
        assert [int(signal[2][0]) for signal in client.signals] == list(range(count))


def test_a_subscriber_that_reads_again_in_time_stays(served: Served) -> None:
    with served.client() as client:
        client.manager("GetAllJobs")
        big = "A=" + "x" * (3 << 20)
        served.do(served.service.announce, effects.EventEmitted("one", (big,)))
        served.do(served.service.announce, effects.EventEmitted("two", (big,)))
        while len(client.signals) < 2:
            client.receive()
        assert [(signal[2][0], len(signal[2][1][0])) for signal in client.signals] == [
            ("one", len(big)), ("two", len(big)),
        ]  # fmt: skip
        assert served.do(lambda: [c._queued for c in served.service._connections]) == [0]


def test_a_client_that_sends_without_end_leaves_others_their_turn(served: Served) -> None:
    with served.client() as busy, served.client() as other:
        busy.manager("GetAllJobs")
        pile = b"".join(encode_call(n, "com.ubuntu.Upstart", ROOT, MANAGER, "GetAllJobs") for n in range(1, 20_001))
        sending = threading.Thread(target=busy.connection.sock.sendall, args=(pile,))
        sending.start()
        answered_before_the_pile_was_through = 0
        drained = bytearray()
        while sending.is_alive():
            assert other.manager("GetAllJobs") == []
            answered_before_the_pile_was_through += 1
            while select.select([busy.connection.sock], [], [], 0)[0]:
                drained += busy.connection.sock.recv(1 << 20)
        sending.join()
        assert answered_before_the_pile_was_through > 0
        assert drained


def test_a_signal_that_is_too_long_to_be_sent_is_told(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    with served.client() as client:
        client.manager("GetAllJobs")
        monkeypatch.setattr(encode, "MESSAGE_LIMIT", 300)
        served.do(served.service.announce, effects.EventEmitted("x", ("A=" + "x" * 300,)))
        assert client.manager("GetAllJobs") == []
        assert client.signals == []
    [line] = served.host.logged(Priority.WARN)
    assert line.startswith("cannot announce EventEmitted: a message of ")


def test_what_is_still_to_be_sent_goes_out_at_the_end() -> None:
    with Served() as served:
        client = served.client()
        client.manager("GetAllJobs")
        served.do(served.service.announce_restart)
    with client:
        client.receive()
        assert client.signals == [(ROOT, "Restarted", ())]
        with pytest.raises(ConnectionResetError):
            client.receive()


def test_flush_sends_what_was_answered_in_this_turn_of_the_loop(served: Served) -> None:
    with served.client() as client:
        client.manager("GetAllJobs")

        def announce_and_flush() -> int:
            served.service.announce_restart()
            served.service.flush()
            return sum(connection._queued for connection in served.service._connections)

        assert served.do(announce_and_flush) == 0
        client.receive()
        assert client.signals == [(ROOT, "Restarted", ())]
