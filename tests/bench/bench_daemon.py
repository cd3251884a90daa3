"""What the benchmarks have in common: a daemon with many job files, a light connection to it, and their tables.

Not responsible for what is measured (each program), nor for counting (counts.py).
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import counts
from jeepney import DBusAddress, Message, MessageType, new_method_call
from jeepney.io.blocking import prep_socket

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Self

ROOT = "/com/ubuntu/Upstart"
UPSTART = "com.ubuntu.Upstart0_6"
JOB = UPSTART + ".Job"
INSTANCE = UPSTART + ".Instance"
PROPERTIES = "org.freedesktop.DBus.Properties"
GROUP = 100  # services that one event starts

# Jobs of one shape, as many as a benchmark asks for: four operands to start and two to stop, some of them shared by
# groups of jobs, a pre-start script and exec.
JOB_FILE = """\
# Job {n} of the benchmark
description "A service of group {g}"
author "bench"

start on (filesystem-{g} and (net-{g} or static-{g})) or go-{n}
stop on runlevel [016] or halt-{g}

respawn
respawn limit 10 5
env LEVEL=info
env NUMBER={n}
export LEVEL
limit nofile 1024 4096

pre-start script
  [ -n "$LEVEL" ]
end script
exec sleep 1000
"""
GROUPS = 50  # of the jobs above
PROBE = "env LEVEL=info\nstart on never-{n}\nexec sleep 1000\n"
TASK = "task\nstart on never\nexec true\n"
MANY = "start on start-many\nstop on stop-many\nexec sleep 1000\n"

_FIXED = struct.Struct("<BBBBIII")  # byte order, type, flags, version, length of the body, serial, length of the fields
_SERIAL = slice(8, 12)
_SIGNAL = MessageType.signal.value
_READ_SIZE = 1 << 16
_AT_REST = 0.1  # seconds; who does nothing for so long has nothing to do


# A call as bytes, in which the serial is filled in whenever it is made.
Call: TypeAlias = bytearray


def call_of(path: str, interface: str, method: str, signature: str = "", *body: object) -> Call:
    """A method call with these arguments."""
    address = DBusAddress(path, "com.ubuntu.Upstart", interface)
    return bytearray(new_method_call(address, method, signature or None, body).serialise(1))


def emit(event: str, *env: str, wait: bool = True) -> Call:
    """The call that emits an event."""
    return call_of(ROOT, UPSTART, "EmitEvent", "sasb", event, list(env), wait)


def change(method: str, job: str, *env: str) -> Call:
    """The call that starts, stops or restarts a job, and is answered when that is done."""
    return call_of(f"{ROOT}/jobs/{job}", JOB, method, "asb", list(env), True)


class Peer:
    """A connection to the daemon's own socket: no bus, so no Hello.

    As little work as can be is done here, so that what is measured is the daemon: calls come as bytes, and the
    signals on the way are passed over unread. Replies come in the order of the calls as long as none of them waits.
    """

    def __init__(self, address: str) -> None:
        self._socket: socket.socket = prep_socket("\0" + address.partition("unix:abstract=")[2])
        self._serial = 0
        self._received = bytearray()

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def call(self, call: Call) -> object:
        """Make a call: the reply's first value, or RuntimeError for an error."""
        self.send(call)
        while (frame := self._next_reply()) is None:
            self._receive(self._socket.recv(_READ_SIZE))
        return _value(frame)

    def send(self, *calls: Call) -> None:
        """Send calls, whose replies are still to be fetched. The same call may be among them more than once."""
        data = []
        for call in calls:
            self._serial += 1
            call[_SERIAL] = self._serial.to_bytes(4, "little")
            data.append(bytes(call))
        self._socket.sendall(b"".join(data))

    def count_replies(self) -> int:
        """How many replies have come since the last time; they are dropped. It does not wait."""
        try:
            while True:
                self._receive(self._socket.recv(_READ_SIZE, socket.MSG_DONTWAIT))
        except BlockingIOError:
            return sum(1 for _ in iter(self._next_reply, None))

    def _receive(self, data: bytes) -> None:
        if not data:
            raise RuntimeError("the daemon has hung up")
        self._received += data

    def _next_reply(self) -> bytes | None:
        """The first reply that is there as a whole; the signals before it are dropped."""
        received = self._received
        while len(received) >= _FIXED.size:
            _, kind, _, _, body, _, fields = _FIXED.unpack_from(received)
            size = _FIXED.size + (fields + 7 & ~7) + body
            if len(received) < size:
                break
            frame = None if kind == _SIGNAL else bytes(received[:size])
            del received[:size]
            if frame is not None:
                return frame
        return None


def _value(frame: bytes) -> object:
    message = Message.from_buffer(frame)
    if message.header.message_type is MessageType.error:
        raise RuntimeError(str(message.body))
    return message.body[0] if message.body else None


class Bench:
    """One daemon with `count` job files of one shape, those that every benchmark has, and `more` by their names.

    A context manager: at its end the daemon ends, and the folder goes that has all of its files. It runs in user mode,
    from start() on. `options` are those that arguments() reads; `pass_files` are descriptors that the daemon is to
    find open.
    """

    def __init__(self, count: int, options: argparse.Namespace, more: Mapping[str, str] | None = None, *,
                 pass_files: tuple[int, ...] = ()) -> None:
        self.options = options
        self._pass_files = pass_files
        self.folder = Path(tempfile.mkdtemp(prefix="upstartd-bench-"))
        self.conf = self.folder / "conf"
        self.conf.mkdir()
        for n in range(count):
            self.write_job(f"job{n}", JOB_FILE.format(n=n, g=n % GROUPS))
        self.write_job("probe", PROBE.format(n=count))
        self.write_job("task", TASK)
        for n in range(GROUP):
            self.write_job(f"many{n}", MANY)
        for name, text in (more or {}).items():
            self.write_job(name, text)
        self.logs = self.folder / "log"
        self.logs.mkdir()
        self.env = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "XDG_RUNTIME_DIR": str(self.folder / "run"),
                    "TERM": "dumb"}
        self.argv = [*shlex.split(options.daemon), "--quiet", "--user", "--no-startup-event", "--confdir",
                     str(self.conf), "--logdir", str(self.logs)]
        self.is_started = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.is_started:
            self.stop()
        shutil.rmtree(self.folder)

    def write_job(self, name: str, text: str) -> None:
        """Write a job file."""
        (self.conf / f"{name}.conf").write_text(text)

    def start(self) -> float:
        """Start the daemon; seconds until it has answered."""
        began = time.perf_counter()
        self.daemon = subprocess.Popen(self.argv, env=self.env, stdin=subprocess.DEVNULL, pass_fds=self._pass_files)
        try:
            self.address = self._wait_for_address()
            self.peer = Peer(self.address)
            self.peer.call(call_of(ROOT, UPSTART, "GetJobByName", "s", "probe"))
        except BaseException:
            self.daemon.kill()
            self.daemon.wait()
            raise
        self.is_started = True
        return time.perf_counter() - began

    def _wait_for_address(self) -> str:
        session = self.folder / f"run/upstart/sessions/{self.daemon.pid}.session"
        while not session.exists() or not session.read_text().endswith("\n"):
            if self.daemon.poll() is not None:
                raise RuntimeError(f"the daemon ended with {self.daemon.returncode}")
            time.sleep(0.002)
        return session.read_text().strip().partition("=")[2]

    def settle(self) -> None:
        """Wait until the daemon has done what it puts off until it has answered."""
        used = -1
        while used != (used := counts.processor_time(self.daemon.pid)):
            time.sleep(_AT_REST)

    def stop(self) -> None:
        """End the daemon, and its jobs with it."""
        self.is_started = False
        self.peer.close()
        self.daemon.send_signal(signal.SIGTERM)
        self.daemon.wait()

    def client(self, *argv: str) -> None:
        """Run a client, which is to succeed."""
        subprocess.run([str(Path(self.options.clients) / argv[0]), *argv[1:]], check=True,
                       env=self.env | {"UPSTART_SESSION": self.address}, stdout=subprocess.DEVNULL)

    def memory(self, which: str = "VmRSS") -> float:
        """Memory in MiB: what is resident, or another value that proc(5) names."""
        for line in Path(f"/proc/{self.daemon.pid}/status").read_text().splitlines():
            if line.startswith(f"{which}:"):
                return int(line.split()[1]) / 1024
        raise RuntimeError(f"no {which}")


def times(what: Callable[[], object], rounds: int) -> list[float]:
    """What a call takes each time, in milliseconds."""
    found = []
    for _ in range(rounds):
        began = time.perf_counter()
        what()
        found.append((time.perf_counter() - began) * 1000)
    return found


def arguments(text: str) -> argparse.ArgumentParser:
    """The command line of a benchmark: which programs it is about. `text` begins with what it does."""
    parser = argparse.ArgumentParser(description=text.split("\n\n")[0])
    here = Path(sys.executable).parent
    parser.add_argument("--daemon", default=str(here / "upstartd"), help="command that starts the daemon")
    parser.add_argument("--clients", default=str(here), help="folder with initctl")
    return parser


def within(value: float, goal: float | None) -> str:
    """A value and its goal, if it has one; it stands out where it misses it."""
    text = f"{value:.3g}"
    if goal is None:
        return text
    return f"{text} ({goal:g})" if value <= goal else f"**{text}** ({goal:g})"


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table in Markdown, with its columns one below the other."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for cells in (head, ["-" * width for width in widths], *rows):
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |")
