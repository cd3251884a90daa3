"""From a method call to its answer: the object, the method, permission, arguments, the handler.

The same for every transport. Whatever goes wrong is an answer to the caller; what goes wrong by our own fault is
told to the caller as a number under which the log has the whole of it. Not responsible for what the methods do
(methods.py).
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from upstartd.bus import policy
from upstartd.bus.calls import Call, Request
from upstartd.bus.interfaces import METHODS
from upstartd.bus.methods import HANDLERS, LATER
from upstartd.bus.objects import find
from upstartd.bus.policy import FREE, METHOD_RULES, Rule
from upstartd.bus.wire import Kind, MalformedMessage
from upstartd.errors import LimitsExceeded, PermissionDenied, UpstartdError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from upstartd.bus.connections import Connection
    from upstartd.bus.host import DaemonHost
    from upstartd.bus.wire import Message

# Calls to these, on any object, come from somebody who may just have written a job file (design, 33).
_TAKE_IN_FILE_CHANGES = frozenset({"GetJobByName", "GetAllJobs", "Start", "Restart"})

# The longest arguments, in bytes, of a call that is free for all. Reading an argument takes time that nobody else
# gets, and on the system bus anybody can send 32 MiB.
_FREE_ARGUMENTS_LIMIT = 128 << 10


@dataclass(frozen=True, slots=True)
class _Method:
    """All that there is to know of a method."""

    signature: str
    output: str
    rule: Rule | None
    handler: Callable[..., Any]


_METHODS = {
    member: _Method(declared.signature, declared.output, METHOD_RULES.get(member), HANDLERS[member])
    for member, declared in METHODS.items()
}


class Dispatcher:
    """Answers method calls on behalf of `daemon`."""

    def __init__(self, daemon: DaemonHost) -> None:
        self._daemon = daemon
        self._log = daemon.log
        self._unfinished: set[asyncio.Task[None]] = set()

    def depends_on_the_caller(self, message: Message) -> bool:
        """Whether `handle` needs to know the user who sent this message."""
        return policy.depends_on_the_caller((message.interface or "", message.member or ""), self._daemon)

    def handle(self, connection: Connection, message: Message, uid: int | None) -> None:
        """Carry out a method call, or ignore what is none, and close the descriptors that came with it.

        `uid` is the user who calls, None where that is not known.
        """
        if message.kind != Kind.METHOD_CALL:
            message.close_files()
            return
        call = Call(connection, message, uid)
        with self._answering(call):
            given = self._carry_out(call, message)
            if asyncio.iscoroutine(given):
                task = asyncio.get_running_loop().create_task(self._finish(call, given))
                self._unfinished.add(task)
                task.add_done_callback(self._unfinished.discard)
            elif given is not LATER:
                call.reply(given)
        message.close_files()

    def close(self) -> None:
        """Give up on calls that are still being carried out."""
        for task in self._unfinished:
            task.cancel()

    def _carry_out(self, call: Call, message: Message) -> Any:
        """Everything up to and including the handler; gives what that gives."""
        assert message.path is not None, "a method call has a path"
        caller = self._daemon.enter_session(call.root)
        if message.member in _TAKE_IN_FILE_CHANGES:
            caller.take_in_file_changes()
        node = find(caller, message.path)
        request = Request(call, node.host, message, node)
        method = self._method(node.interfaces, message)
        if method is None:
            raise request.no_such_method()
        in_chroot = bool(call.root)
        policy.check(method.rule, call.uid, self._daemon, node.subject,
                     in_chroot=in_chroot, is_foreign=node.host is not caller)
        if message.signature != method.signature:
            raise request.invalid_arguments()
        if method.rule is FREE and len(message.body) > _FREE_ARGUMENTS_LIMIT:
            raise LimitsExceeded(f"cannot read more than {_FREE_ARGUMENTS_LIMIT} bytes of arguments")
        try:
            arguments = message.values()
        except MalformedMessage:
            raise request.invalid_arguments() from None
        if in_chroot and method.rule is not None and not method.rule.in_chroot:
            self._log.warn(f"Ignoring {message.member} request from chroot session")
            if method.output:  # for which there is no value
                raise PermissionDenied(f"You do not have permission to {method.rule.privilege}")
            return None
        call.output = method.output
        return method.handler(request, node.target, *arguments)

    @staticmethod
    def _method(interfaces: tuple[str, ...], message: Message) -> _Method | None:
        """The method that is meant; without an interface, that of the first interface that has it."""
        if message.interface is not None:
            interfaces = (message.interface,) if message.interface in interfaces else ()
        for interface in interfaces:
            method = _METHODS.get((interface, message.member or ""))
            if method is not None:
                return method
        return None

    async def _finish(self, call: Call, given: Coroutine[Any, Any, Any]) -> None:
        with self._answering(call):
            call.reply(await given)

    @contextmanager
    def _answering(self, call: Call) -> Iterator[None]:
        """Make an answer to the call of whatever is raised. Our own faults go to the log, with a number."""
        try:
            yield
        except Exception as why:
            error = why if isinstance(why, UpstartdError) and not call.is_answered else self._log.fault(why)
            if not call.is_answered:
                call.error(error)
