"""Calls that are well-formed and otherwise anything: each is answered once, and never by a fault of ours."""

from __future__ import annotations

from typing import Any

from dbus_next.signature import Variant
from hypothesis import given
from hypothesis import strategies as st

from support.bus_host import HostForTests, Silent
from upstartd.bus.dispatch import Dispatcher
from upstartd.bus.encode import encode_call
from upstartd.bus.interfaces import METHODS, Member
from upstartd.bus.service import BusService
from upstartd.bus.wire import FrameReader, Kind
from upstartd.conf.model import Command, EventPattern, JobConfig, ProcessName
from upstartd.log import Priority

SERVICE = JobConfig(start_on=(EventPattern("go"),), stop_on=(EventPattern("halt"),),
                    processes={ProcessName.MAIN: Command("x")})
BY_NAME = JobConfig(instance="$N", env=("M=1",), processes={ProcessName.MAIN: Command("x")})

WORDS = st.sampled_from(["", "web", "many", "one", "N=one", "N=two", "go", "halt", "PATH", "A=1", "=", "no pair",
                         "com.ubuntu.Upstart0_6", "com.ubuntu.Upstart0_6.Job", "log_priority", "name", "info"])
TEXTS = st.one_of(WORDS, st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8))
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "s": TEXTS, "as": st.lists(TEXTS, max_size=3), "b": st.booleans(), "h": st.integers(0, 3),
    "v": st.one_of(TEXTS.map(lambda text: Variant("s", text)), st.just(Variant("i", 1)),
                   st.just(Variant("v", Variant("as", [])))),
}  # fmt: skip
PATHS = st.sampled_from([
    "/com/ubuntu/Upstart", "/com/ubuntu/Upstart/jobs/web", "/com/ubuntu/Upstart/jobs/web/_",
    "/com/ubuntu/Upstart/jobs/many", "/com/ubuntu/Upstart/jobs/many/one", "/com/ubuntu/Upstart/jobs", "/", "/x",
    "/com/ubuntu/Upstart/jobs/web/_zz", "/com/ubuntu/Upstart/jobs/_ff/_",
    "/com/ubuntu/Upstart/jobs/_2fbox", "/com/ubuntu/Upstart/jobs/_2fbox/web", "/com/ubuntu/Upstart/jobs/_2fbox/web/_",
    "/com/ubuntu/Upstart/jobs/_2fbox/many/one/_", "/com/ubuntu/Upstart/jobs/_2fnowhere/web",
])  # fmt: skip
ANSWERED_BY_NOBODY = ("Restart", "NotifyDBusAddress")  # the manager's: never, and only in a loop


class Answers:
    """A connection that keeps what is sent on it."""

    uid = 0
    is_closed = False

    def __init__(self, root: str) -> None:
        self.root = root
        self.data = b""

    def send(self, data: bytes) -> None:
        self.data += data


class Answering(Silent):
    """A bus side that passes the engine's answers on and announces to nobody."""

    answer = staticmethod(BusService.answer)  # type: ignore[assignment]  # it is given answers and nothing else


@st.composite
def calls(draw: st.DrawFn) -> tuple[str, Member, str, list[Any]]:
    """A path, a method that may not be there, and arguments that fit it or another."""
    member = draw(st.sampled_from(sorted(METHODS)))
    declared = METHODS[draw(st.sampled_from([member] * 4 + sorted(METHODS)))]
    values = [draw(VALUES[kind]) for _, kind in declared.inputs]
    return draw(PATHS), member, declared.signature, values


@given(st.lists(st.tuples(calls(), st.sampled_from(["", "/box"])), max_size=12), st.booleans(),
       st.sampled_from([0, 1000, None]))
def test_every_call_is_answered_once_and_never_by_a_fault_of_ours(
    made: list[tuple[tuple[str, Member, str, list[Any]], str]], only_root: bool, uid: int | None
) -> None:
    host = HostForTests(only_root_may_change=only_root)
    host.bus = Answering()
    hosts = (host, host.enter_session("/box"))
    for one in hosts:
        one.define("web", SERVICE)
        one.define("many", BY_NAME)
    dispatcher, reader = Dispatcher(host), FrameReader()
    connections = {one.root: Answers(one.root) for one in hosts}
    waiting = 0
    for serial, ((path, (interface, member), signature, values), root) in enumerate(made, 1):
        if member in ANSWERED_BY_NOBODY and path == "/com/ubuntu/Upstart":
            continue
        [message] = reader.feed(encode_call(serial, "a.b", path, interface, member, signature, values))
        dispatcher.handle(connections[root], message, uid)  # type: ignore[arg-type]  # as far as it is used
        waiting += 1
    answers = [answer for one in connections.values() for answer in FrameReader().feed(one.data)]
    assert all(one.logged(Priority.ERROR) == [] for one in hosts)
    assert all(answer.kind in (Kind.METHOD_RETURN, Kind.ERROR) for answer in answers)
    serials = [answer.reply_serial for answer in answers]
    assert len(serials) == len(set(serials)) == waiting
    for answer in answers:
        answer.values()
