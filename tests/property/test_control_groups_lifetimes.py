"""However instances share groups, leave processes behind and end: no group is taken from anybody, and none stays."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from support.control_groups import separate
from support.scripted_kernel import RecordedLog, ScriptedLoop, spawn_effect
from upstartd.conf.model import ControlGroup
from upstartd.log import Priority
from upstartd.proc.control_groups import ControlGroups, enter, make

if TYPE_CHECKING:
    from upstartd.proc.control_groups import Membership

NAMES = ("pool", "pool/a", "pool/b", "pool/a/b", "theirs/mine", "theirs", None)
THEIRS = "/cg/memory/theirs"  # made by somebody else before

NUMBERS = st.integers(0, 10)
STEPS = st.one_of(
    st.tuples(st.just("fork"), st.integers(1, 3), st.sampled_from(NAMES)),
    st.tuples(st.sampled_from(["join", "join", "leave"]), NUMBERS, st.none()),
    st.tuples(st.sampled_from(["end", "end", "hand on"]), st.integers(1, 3), st.none()),
)


class Run:
    """One run. `forked` are processes on their way to their groups, with their instances, `all` those that are there;
    `running` are those of each instance, as far as they have not been left behind."""

    def __init__(self) -> None:
        self.groups = separate("memory")
        self.groups.make(THEIRS)
        self.kernel = self.groups.kernel
        self.kernel.answers["pidfd_open"] = self._pidfd_open
        self.watched: dict[int, int] = {}
        self.forked: list[tuple[int, Membership]] = []
        self.running: dict[int, list[int]] = {}
        self.all: list[int] = []
        self._begin()

    def _begin(self) -> None:
        self.loop = ScriptedLoop()
        self.log = RecordedLog(Priority.DEBUG)
        self.control_groups = ControlGroups(self.kernel, self.log, self.loop)

    def _pidfd_open(self, pid: int) -> int:
        assert pid in self.all
        fd = self.kernel.fresh_fd()
        self.watched[fd] = pid
        return fd

    def fork(self, instance: int, name: str | None) -> None:
        effect = spawn_effect(instance=instance, cgroups=(ControlGroup("memory", name),))
        self.forked.append((instance, self.control_groups.prepare(effect)))
        self.running.setdefault(instance, [])

    def join(self, which: int) -> None:
        """A process that was forked makes its groups, or enters those that it has made: nobody may have taken them."""
        if not self.forked:
            return
        instance, membership = self.forked[which % len(self.forked)]
        if not membership.entrances:
            make(self.kernel, membership, None, None)
            return
        self.forked.remove((instance, membership))
        self.kernel.last_pid += 1
        enter(self.kernel, membership)
        self.running[instance].append(self.kernel.last_pid)
        self.all.append(self.kernel.last_pid)

    def leave(self, which: int) -> None:
        """Some process ends; who watches it is told."""
        if not self.all:
            return
        pid = self.all.pop(which % len(self.all))
        for members in self.groups.members.values():
            if pid in members:
                members.remove(pid)
        for fd in [fd for fd, watched in self.watched.items() if watched == pid]:
            if fd in self.loop.readers:
                self.loop.readers[fd]()
        for instance, pids in list(self.running.items()):
            if pid in pids:
                pids.remove(pid)
                if not pids and instance not in {forked for forked, _ in self.forked}:
                    self.end(instance)

    def end(self, instance: int) -> None:
        """The instance ends. What has joined its groups may be left behind; who was on the way fails."""
        self.running.pop(instance, None)
        self.forked = [one for one in self.forked if one[0] != instance]
        self.control_groups.instance_ended(instance)

    def hand_on(self) -> None:
        state = self.control_groups.take_state()
        self._begin()
        self.control_groups.put_state(state)


@settings(max_examples=300)
@given(st.lists(STEPS, min_size=15, max_size=50))
def test_groups_last_exactly_as_long_as_somebody_needs_them(steps: list[tuple[str, int, str | None]]) -> None:
    run = Run()
    for what, number, name in steps:
        match what:
            case "fork":
                run.fork(number, name)
            case "join":
                run.join(number)
            case "leave":
                run.leave(number)
            case "end":
                run.end(number)
            case "hand on":
                run.hand_on()
        in_groups = sorted(pid for members in run.groups.members.values() for pid in members)
        assert in_groups == sorted(run.all), "a group went with a process in it"
        assert set(run.control_groups.instances()) <= run.running.keys()
    for instance in (1, 2, 3):
        run.end(instance)
    while run.all:
        run.leave(0)
    assert run.groups.made() == [THEIRS]
    assert run.loop.readers == {}
    assert run.loop.timers == []
    assert run.log.lines == []
