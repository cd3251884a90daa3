"""A daemon that says what the test wants, over a real socket: for answers that the real one should never give."""

from __future__ import annotations

import io
import itertools
import os
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from jeepney import HeaderFields, Message, MessageFlag, MessageType, Parser, new_error, new_method_return, new_signal
from jeepney.wrappers import DBusAddress

from upstartd_clients import initctl
from upstartd_clients.output import Output, guarded

_numbers = itertools.count()


class Reply(NamedTuple):
    """An answer with these values, of the types that `signature` says."""

    signature: str = ""
    values: tuple[Any, ...] = ()


class Fault(NamedTuple):
    """An answer that is an error."""

    name: str
    message: str | None = ""


class Raw(NamedTuple):
    """Bytes in the place of an answer."""

    data: bytes


class Called(NamedTuple):
    """A call that came: the object's path, the method and its arguments."""

    path: str
    member: str
    arguments: tuple[Any, ...]


JOBS = "/com/ubuntu/Upstart/jobs"  # below which the objects of jobs are
HANG_UP = None
Answer = Reply | Fault | Raw | None
Answers = Mapping[str, Answer | Callable[["Called"], Answer]]
GONE = Fault("org.freedesktop.DBus.Error.UnknownMethod", "Method \"x\" doesn't exist\n")


def unknown_job(name: str) -> Fault:
    """What a daemon answers that has no job of that name."""
    return Fault("com.ubuntu.Upstart0_6.Error.UnknownJob", f"Unknown job: {name}")


def instance(name: str = "", goal: str = "start", state: str = "running", *processes: tuple[str, int]) -> Reply:
    """The answer to GetAll of an instance."""
    return Reply("a{sv}", ({"name": ("s", name), "goal": ("s", goal), "state": ("s", state),
                            "processes": ("a(si)", list(processes))},))


def job_path(name: str = "web") -> Reply:
    """The answer to GetJobByName, for a name that is its own path element."""
    return Reply("o", (f"{JOBS}/{name}",))


class ScriptedUpstart:
    """A context manager: a daemon at `address` (abstract, of this process's network namespace).

    `answers` has for each method what it is answered with, or a function from the call to that; what is not in it does
    not exist. `calls` are those that came. Before each answer a signal is sent, as daemons do to all who listen.
    `authenticates`: whether it lets anybody in.
    """

    def __init__(self, answers: Answers, *, authenticates: bool = True) -> None:
        self._answers = answers
        self._authenticates = authenticates
        self.calls: list[Called] = []
        self._name = f"/upstartd/test/{os.getpid()}/{next(_numbers)}"
        self.address = f"unix:abstract={self._name}"

    def __enter__(self) -> ScriptedUpstart:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind("\0" + self._name)
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()
        return self

    def __exit__(self, kind: object, why: object, where: object) -> None:
        # shutdown() makes the thread's accept() fail; close() alone would leave it waiting.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def environ(self, **more: str) -> dict[str, str]:
        """The environment in which this is the daemon to talk to."""
        return {"UPSTART_SESSION": self.address, **more}

    def _serve(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            # A client that has what it wanted may hang up, with other answers unread.
            with peer, suppress(BrokenPipeError, ConnectionResetError):
                self._converse(peer)

    def _converse(self, peer: socket.socket) -> None:
        lines = peer.makefile("rb")
        assert lines.readline().startswith(b"\0AUTH EXTERNAL ")
        if not self._authenticates:
            peer.sendall(b"REJECTED EXTERNAL\r\n")
            return
        peer.sendall(b"OK " + b"0" * 32 + b"\r\n")
        assert lines.readline() == b"BEGIN\r\n"
        parser = Parser()
        while data := lines.read1():
            for message in parser.feed(data):
                answer = self._answer(message)
                if answer is HANG_UP:
                    return
                peer.sendall(answer)

    def _answer(self, message: Message) -> bytes | None:
        fields = message.header.fields
        call = Called(fields[HeaderFields.path], fields[HeaderFields.member], message.body)
        self.calls.append(call)
        answer = self._answers.get(call.member, GONE)
        if callable(answer):
            answer = answer(call)
        if answer is HANG_UP:
            return None
        if isinstance(answer, Raw):
            return answer.data
        if isinstance(answer, Reply):
            reply = new_method_return(message, answer.signature or None, answer.values)
        elif answer.message is None:
            reply = new_error(message, answer.name)
        else:
            reply = new_error(message, answer.name, "s", (answer.message,))
        assert message.header.message_type is MessageType.method_call
        assert message.header.flags is MessageFlag.no_auto_start  # asking must not start one
        manager = DBusAddress("/com/ubuntu/Upstart", interface="com.ubuntu.Upstart0_6")
        signal = new_signal(manager, "EventEmitted", "sas", ("noise", []))
        data: bytes = signal.serialise(1) + reply.serialise(2)
        return data


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class Ran(NamedTuple):
    """How a client ended, and what it said."""

    code: int
    out: str
    err: str


def run_initctl(*command: str, environ: Mapping[str, str], terminal: bool = False) -> Ran:
    """Run `initctl`, or one of its links, in this process. `terminal`: errors go to one."""
    program, *arguments = command
    out, err = io.StringIO(), Terminal() if terminal else io.StringIO()
    output = Output(program, out, err)
    code = guarded(lambda output: initctl.run(program, arguments, environ, output), output)
    return Ran(code, out.getvalue(), err.getvalue())
