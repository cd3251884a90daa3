"""The bus side of the daemon with a real engine and no processes, served from a thread, and clients for it."""

from __future__ import annotations

import asyncio
import itertools
import os
import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from jeepney import DBusAddress, HeaderFields, MessageType, new_method_call
from jeepney.io.blocking import DBusConnection, open_dbus_connection, prep_socket
from jeepney.io.common import MessageFilters

from support.waiting import LIMIT
from upstartd.bus.service import BusService
from upstartd.conf.model import Command, Definition, JobConfig, JobFiles, ProcessName
from upstartd.engine import effects, inputs
from upstartd.engine.core import Engine
from upstartd.engine.world import World
from upstartd.errors import OperationFailed
from upstartd.log import Log, Priority

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from jeepney import Message

    from upstartd.engine.inputs import Input

T = TypeVar("T")

MANAGER = "com.ubuntu.Upstart0_6"
ROOT = "/com/ubuntu/Upstart"
SERVICE = JobConfig(processes={ProcessName.MAIN: Command("sleep 99")})
_numbers = itertools.count()


class LogKept(Log):
    """A log that keeps its lines."""

    def __init__(self) -> None:
        super().__init__(Priority.DEBUG)
        self.lines: list[tuple[Priority, str]] = []

    def write(self, priority: Priority, text: str) -> None:
        self.lines.append((priority, text))

class HostForTests:
    """A host whose processes exist as pids only: each is there at once, and ends when it is told to.

    `sessions` are hosts for clients in other root directories, which `root` and `daemon` are for.
    """

    def __init__(self, *, only_root_may_change: bool = False, is_pid_1: bool = False, root: str = "",
                 daemon: HostForTests | None = None) -> None:
        self.root = root
        self.daemon = daemon or self
        self.sessions: dict[str, HostForTests] = {}
        self.engine = Engine(World({"PATH": "/bin"}, {}))
        self.log: Log = LogKept()
        self.is_pid_1 = is_pid_1
        self.only_root_may_change = only_root_may_change
        self.told: list[str] = []  # which of the calls below were made
        self.inputs: list[Input] = []
        self.files_given: list[int] = []
        self.disk_error = ""
        self.address_error: Exception | None = None
        self.pending_files: list[JobFiles] = []
        self.bus: BusService | Silent | None = daemon.bus if daemon is not None else None
        self._pids = itertools.count(1000)

    def logged(self, priority: Priority) -> list[str]:
        """What was said with this priority."""
        assert isinstance(self.log, LogKept)
        return [text for its, text in self.log.lines if its == priority]

    def define(self, name: str, config: JobConfig = SERVICE) -> None:
        """Have a job file say this."""
        self.submit(JobFiles(name, (Definition(name, config, f"/init/{name}.conf"),)))

    def submit(self, what: Input) -> None:
        todo = [what]
        while todo:
            self.inputs.append(todo[0])
            for effect in self.engine.step(todo.pop(0), time.monotonic()):
                todo += self._perform(effect)

    def _perform(self, effect: effects.Effect) -> list[Input]:
        assert self.bus is not None
        match effect:
            case effects.Reply() | effects.ReplyError():
                self.bus.answer(effect)
            case effects.Spawn(instance, process):
                self.files_given += effect.files
                started: list[Input] = [inputs.ProcessForked(instance, process, next(self._pids))]
                return [*started, inputs.MainReady(instance)] if process is ProcessName.MAIN else started
            case effects.KillProcess(instance, process, number):
                return [inputs.ProcessEnded(instance, process, signal=number)]
            case effects.ReloadProcess():
                self.bus.answer(effects.Reply(effect.caller))
            case effects.CloseFile(file):
                os.close(file)
            case effects.LogLine():
                self.log.write(effect.priority, effect.text)
            case effects.UpdateActivationEnvironment():
                self.bus.update_activation_environment(effect)
            case effects.EndDaemon():
                self.told.append("end")
            case effects.KillLeftovers():
                pass
            case _:
                self.bus.announce(effect, self.root)
        return []

    def take_in_file_changes(self) -> None:
        while self.pending_files:
            self.submit(self.pending_files.pop())

    def reload_configuration(self, done: Callable[[], object]) -> None:
        self.told.append("reload configuration")
        done()

    def enter_session(self, root: str) -> HostForTests:
        if root and root not in self.sessions:
            self.sessions[root] = HostForTests(root=root, daemon=self)
        return self.sessions[root] if root else self

    def session(self, root: str) -> HostForTests | None:
        return self.sessions.get(root) if root else self

    def client_left(self, root: str) -> None:
        self.told.append(f"client left {root}")

    def state_as_json(self) -> str:
        return '{"sessions": []}'

    def restart(self) -> None:
        self.told.append("restart")

    def disk_is_writeable(self) -> None:
        self.told.append("disk is writeable")
        if self.disk_error:
            raise OperationFailed(self.disk_error)

    async def notify_dbus_address(self, address: str) -> None:
        self.told.append(f"address {address}")
        await asyncio.sleep(0)
        if self.address_error is not None:
            raise self.address_error


class Served:
    """A context manager: the host on a private socket of its own, in a thread with a loop.

    An exception that reaches the loop fails the test that caused it.
    """

    def __init__(self, host: HostForTests | None = None, *, uids: frozenset[int] | None = None,
                 chroot_sessions: bool = False) -> None:
        self.host = host or HostForTests()
        self._chroot_sessions = chroot_sessions
        self.name = f"/com/ubuntu/upstart-tests/{os.getpid()}/{next(_numbers)}"
        self._uids = frozenset({os.getuid()}) if uids is None else uids
        self._thread = threading.Thread(target=self._run, name=self.name)
        self._begun = threading.Event()
        self._escaped: list[dict[str, Any]] = []

    def __enter__(self) -> Served:
        self._thread.start()
        assert self._begun.wait(LIMIT)
        return self

    def __exit__(self, kind: type[BaseException] | None, why: BaseException | None,
                 where: TracebackType | None) -> None:
        self.loop.call_soon_threadsafe(self._end.set_result, None)
        self._thread.join(LIMIT)
        assert not self._thread.is_alive()
        if kind is None:
            assert self._escaped == []

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.loop.set_exception_handler(lambda _, context: self._escaped.append(context))
        self._end: asyncio.Future[None] = self.loop.create_future()
        self.service = self.host.bus = BusService(self.host)
        self.service.listen_private(self.name, self._uids, chroot_sessions=self._chroot_sessions)
        self._begun.set()
        await self._end
        self.service.close()
        await asyncio.sleep(0)

    def do(self, action: Callable[..., T], *arguments: Any) -> T:
        """Call something in the daemon's thread and give what it gives."""

        async def act() -> T:
            return action(*arguments)

        return asyncio.run_coroutine_threadsafe(act(), self.loop).result(LIMIT)

    def connect_bus(self, *arguments: Any, **options: Any) -> None:
        """BusService.connect_bus."""
        asyncio.run_coroutine_threadsafe(self.service.connect_bus(*arguments, **options), self.loop).result(LIMIT)

    def client(self, *, enable_fds: bool = False) -> Client:
        """A client on the private socket."""
        return Client.on_socket(self.name, enable_fds=enable_fds)


class _Peer(DBusConnection):  # type: ignore[misc]  # jeepney has no annotations
    """jeepney's connection, without the Hello that only a bus understands."""

    def __init__(self, sock: Any, enable_fds: bool) -> None:
        super(DBusConnection, self).__init__(sock, enable_fds)
        self._filters = MessageFilters()


class Refused(Exception):
    """An error that a call was answered with: its name and its text."""


class Client:
    """A jeepney client; a context manager."""

    def __init__(self, connection: DBusConnection) -> None:
        self.connection = connection
        self.signals: list[tuple[str, str, tuple[Any, ...]]] = []  # (path, member, arguments), as they came
        self.answers: dict[int, Message] = defaultdict()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    @classmethod
    def on_socket(cls, name: str, *, enable_fds: bool = False) -> Client:
        """A client on the private socket of that abstract name."""
        return cls(_Peer(prep_socket("\0" + name, enable_fds, LIMIT), enable_fds))

    @classmethod
    def on_bus(cls, address: str, *, enable_fds: bool = False) -> Client:
        """A client on a message bus."""
        return cls(open_dbus_connection(address, enable_fds, LIMIT))

    def send(self, path: str, interface: str | None, member: str, signature: str = "", *arguments: Any) -> int:
        """Send a call and give its serial."""
        address = DBusAddress(path, bus_name="com.ubuntu.Upstart", interface=interface)
        serial: int = next(self.connection.outgoing_serial)
        self.connection.send(new_method_call(address, member, signature or None, arguments), serial=serial)
        return serial

    def answer_to(self, serial: int) -> Any:
        """Wait for the answer to a call and give its one value, all of them, or None; Refused for an error."""
        while serial not in self.answers:
            self.receive()
        message = self.answers.pop(serial)
        if message.header.message_type is MessageType.error:
            raise Refused(message.header.fields[HeaderFields.error_name], *message.body)
        body = message.body
        return (body[0] if len(body) == 1 else body) if body else None

    def receive(self) -> Message:
        """Wait for a message, and sort it in."""
        message = self.connection.receive(timeout=LIMIT)
        fields = message.header.fields
        if message.header.message_type is MessageType.signal:
            self.signals.append((fields[HeaderFields.path], fields[HeaderFields.member], message.body))
        else:
            self.answers[fields[HeaderFields.reply_serial]] = message
        return message

    def call(self, path: str, interface: str | None, member: str, signature: str = "", *arguments: Any) -> Any:
        """Call a method and wait for what it gives."""
        return self.answer_to(self.send(path, interface, member, signature, *arguments))

    def manager(self, member: str, signature: str = "", *arguments: Any) -> Any:
        """Call a method of the manager."""
        return self.call(ROOT, MANAGER, member, signature, *arguments)

    def call_bus(self, member: str, signature: str = "", *arguments: Any) -> Any:
        """Call a method of the bus itself."""
        bus = DBusAddress("/org/freedesktop/DBus", "org.freedesktop.DBus", "org.freedesktop.DBus")
        serial: int = next(self.connection.outgoing_serial)
        self.connection.send(new_method_call(bus, member, signature or None, arguments), serial=serial)
        return self.answer_to(serial)

    def get(self, path: str, interface: str, name: str) -> tuple[str, Any]:
        """Properties.Get: the type and the value."""
        value: tuple[str, Any] = self.call(path, "org.freedesktop.DBus.Properties", "Get", "ss", interface, name)
        return value


def job_path(name: str) -> str:
    """Where the job of a plain name is."""
    return f"{ROOT}/jobs/{name}"


class Silent:
    """A bus side that nobody listens to, and a caller that nobody waits for."""

    def announce(self, _: object, __: str = "") -> None:
        pass

    def answer(self, _: object) -> None:
        pass

    def update_activation_environment(self, _: object) -> None:
        pass


def open_files() -> set[str]:
    """What every open descriptor of this process is."""
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        try:
            found.add(os.readlink(entry))
        except FileNotFoundError:
            continue  # the one that lists them
    return found
