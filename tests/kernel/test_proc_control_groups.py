"""The control groups of jobs against scripted trees of them: found, made, entered, and removed in the end."""

from __future__ import annotations

import errno
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from support.control_groups import ScriptedGroups, mount, separate, unified
from support.scripted_kernel import (
    DAEMON,
    Executed,
    Exited,
    RecordedLog,
    ScriptedKernel,
    ScriptedLoop,
    exited,
    refusal,
    spawn_effect,
)
from upstartd.conf.model import Console, ControlGroup, Expect, ProcessName
from upstartd.engine.effects import KillProcess
from upstartd.engine.inputs import ProcessEnded
from upstartd.log import Priority
from upstartd.proc import control_group_trees as trees
from upstartd.proc.control_group_keys import ControlGroupError
from upstartd.proc.control_groups import RETRY_AFTER, ControlGroups, ControlGroupsState, enter, make, own_name
from upstartd.proc.kernel import LinuxKernel, ProcessStat
from upstartd.proc.setup import Defaults
from upstartd.proc.spawn import OutOfResources, Spawner
from upstartd.proc.supervisor import Supervisor
from upstartd.state.codec import decode, encode

if TYPE_CHECKING:
    from collections.abc import Callable

    from upstartd.engine.effects import Spawn
    from upstartd.engine.inputs import Input
    from upstartd.proc.control_group_trees import Tree

DEFAULTS = Defaults(Console.LOG, 0o022, "/", debug=False)
SILENT = RecordedLog(Priority.DEBUG)


# -- where groups can be made -----------------------------------------------------------------------------


def found(own: str, mounts: str, *places: str, **files: str) -> list[Tree]:
    """The trees that are found where these places of groups exist."""
    texts = {"/proc/self/cgroup": own, "/proc/self/mountinfo": mounts, **files}
    kernel = ScriptedKernel(
        exists=lambda path: path.removesuffix("/cgroup.procs") in places,
        read_text=lambda path, _=None: texts.get(path, "cpu memory\n"),
    )
    return [replace(tree, controllers=frozenset(sorted(tree.controllers))) for tree in trees.find(kernel)]


BOTH = frozenset({"cpu", "memory"})
NO_GROUPS = "25 30 0:23 / /sys rw - sysfs sysfs rw\n30 1 8:1 / / rw - ext4 /dev/vda rw\n"


@pytest.mark.parametrize(
    ("own", "mounts", "place"),
    [
        ("0::/\n", mount("/cg", 2), "/cg"),
        ("0::/system.slice/upstartd.service\n", mount("/cg", 2), "/cg/system.slice/upstartd.service"),
        ("0::/pod/one\n", mount("/cg", 2, root="/pod"), "/cg/one"),
        ("0::/pod\n", mount("/cg", 2, root="/pod"), "/cg"),
        ("0::/\n", mount("/a\\040b", 2), "/a b"),
        ("0::/x:y\n", mount("/cg", 2), "/cg/x:y"),
    ],
)
def test_groups_are_made_below_the_daemon_s_own(own: str, mounts: str, place: str) -> None:
    assert found(own, NO_GROUPS + mounts, place) == [trees.Tree(place, True, BOTH)]


def test_a_daemon_that_made_room_for_others_is_not_below_its_own_place() -> None:
    (tree,) = found("0::/web.service/upstart.daemon\n", mount("/cg", 2), "/cg/web.service/upstart.daemon")
    assert tree.place == "/cg/web.service"


@pytest.mark.parametrize(
    ("own", "mounts"),
    [
        ("0::/\n", NO_GROUPS),
        ("0::/other/one\n", mount("/cg", 2, root="/pod")),
        ("0::/podium\n", mount("/cg", 2, root="/pod")),
        ("0::/../outside\n", mount("/cg", 2, root="/")),
        ("", mount("/cg", 2)),
        ("1:cpu:/\n", mount("/cg", 1, "rw,memory")),
        ("0::/\n", mount("/hidden", 2)),
    ],
)
def test_a_tree_that_the_daemon_has_no_place_in_is_none(own: str, mounts: str) -> None:
    assert found(own, mounts, "/cg", "/cgium") == []


def test_a_tree_of_version_1_is_for_the_controllers_that_it_is_mounted_with() -> None:
    own = "5:cpu,cpuacct:/box\n4:memory:/\n1:name=systemd:/init\n0::/\n"
    mounts = (mount("/cg/unified", 2, "rw,nsdelegate") + mount("/cg/cpu,cpuacct", 1, "rw,cpu,cpuacct", root="/box")
              + mount("/cg/memory", 1, "rw,memory") + mount("/cg/systemd", 1, "rw,xattr,name=systemd"))  # fmt: skip
    places = ("/cg/unified", "/cg/cpu,cpuacct", "/cg/memory", "/cg/systemd/init")
    assert found(own, mounts, *places) == [
        trees.Tree("/cg/cpu,cpuacct", False, frozenset({"cpu", "cpuacct"})),
        trees.Tree("/cg/memory", False, frozenset({"memory"})),
        trees.Tree("/cg/systemd/init", False, frozenset({"name=systemd"})),
        trees.Tree("/cg/unified", True, BOTH),
    ]


def test_of_two_mounts_of_one_tree_the_first_that_can_be_used_counts() -> None:
    mounts = mount("/gone", 2) + mount("/cg", 2) + mount("/again", 2)
    assert [tree.place for tree in found("0::/\n", mounts, "/cg", "/again")] == ["/cg"]


# -- joining groups ---------------------------------------------------------------------------------------


class Stage:
    """ControlGroups on scripted trees. `log` is what it says."""

    def __init__(self, groups: ScriptedGroups, state: ControlGroupsState | None = None) -> None:
        self.groups = groups
        self.loop = ScriptedLoop()
        self._log = RecordedLog(Priority.DEBUG)
        self.control_groups = ControlGroups(groups.kernel, self._log, self.loop)
        self.log = self._log.lines
        if state is not None:
            self.control_groups.put_state(state)

    def start(self, *stanzas: ControlGroup, instance: int = 1, ids: tuple[int | None, int | None] = (None, None),
              **options: Any) -> int:  # fmt: skip
        """Start a process with these stanzas and have it join its groups; gives its pid."""
        effect = spawn_effect(instance=instance, cgroups=stanzas, **options)
        membership = self.control_groups.prepare(effect)
        self.groups.kernel.last_pid += 1
        try:
            make(self.groups.kernel, membership, *ids)
            enter(self.groups.kernel, membership)
        finally:
            for directory in membership.directories.values():
                self.groups.kernel.close(directory)
            for _, entrance in membership.entrances:
                self.groups.kernel.close(entrance)
        return self.groups.kernel.last_pid

    def refused(self, *stanzas: ControlGroup, **options: Any) -> str:
        """Why a process with these stanzas cannot be started."""
        with pytest.raises(ControlGroupError) as told:
            self.start(*stanzas, **options)
        assert self.groups.still_open() == []
        return str(told.value)

    def groups_of(self, pid: int) -> list[str]:
        """The groups that a process is in."""
        return sorted(group for group, members in self.groups.members.items() if pid in members)

    def end(self, *pids: int, instance: int = 1) -> None:
        """The processes of the instance have ended; `pids` are they."""
        for pid in pids:
            self.leave(pid)
        self.control_groups.instance_ended(instance)

    def leave(self, pid: int) -> None:
        for group in self.groups_of(pid):
            self.groups.members[group].remove(pid)


def memory(name: str | None = None, key: str | None = "limit_in_bytes", value: str | None = "5M") -> ControlGroup:
    return ControlGroup("memory", name, key, value)


CPU = ControlGroup("cpu")


@pytest.mark.parametrize(
    ("job", "instance", "name"),
    [("web", "", "upstart/web"), ("web", "one", "upstart/web-one"), ("net/proxy", "a/b", "upstart/net_proxy-a_b")],
)
def test_the_own_group_of_an_instance_is_called_after_it(job: str, instance: str, name: str) -> None:
    assert own_name(job, instance) == name


def test_a_chroot_session_s_job_has_another_group_than_the_job_of_that_name_outside() -> None:
    assert own_name("web", "one", "/srv/box") == "upstart/_srv_box_web-one"


def test_in_version_2_a_process_is_in_one_group_that_has_its_controllers() -> None:
    stage = Stage(unified("cpu", "memory"))
    pid = stage.start(memory(), ControlGroup("cpu", None, "shares", "512"))
    assert stage.groups_of(pid) == ["/cg/upstart/web"]
    files = stage.groups.files
    assert files["/cg/upstart/web"]["memory.max"] == "5M\n"
    assert files["/cg/upstart/web"]["cpu.weight"] == "50\n"
    assert files["/cg"]["cgroup.subtree_control"] == files["/cg/upstart"]["cgroup.subtree_control"] == "cpu memory"
    assert stage.groups.still_open() == []


def test_in_version_1_a_process_is_in_one_group_of_each_controller() -> None:
    stage = Stage(separate("cpu", "memory", "pids"))
    pid = stage.start(memory(), ControlGroup("cpu", "$UPSTART_CGROUP/fast", "shares", "512"))
    assert stage.groups_of(pid) == ["/cg/cpu/upstart/web/fast", "/cg/memory/upstart/web"]
    assert stage.groups.files["/cg/memory/upstart/web"]["memory.limit_in_bytes"] == "5M\n"
    assert stage.groups.files["/cg/cpu/upstart/web/fast"]["cpu.shares"] == "512\n"


def test_stanzas_of_one_controller_and_name_are_one_group_in_which_the_last_value_counts() -> None:
    stage = Stage(unified("memory"))
    pid = stage.start(memory(value="1M"), memory("upstart/web"), memory("/upstart//web/", "memsw.limit_in_bytes", "6M"))
    assert stage.groups_of(pid) == stage.groups.made()[1:] == ["/cg/upstart/web"]
    assert stage.groups.files["/cg/upstart/web"]["memory.max"] == "5M\n"
    assert stage.groups.files["/cg/upstart/web"]["memory.swap.max"] == f"{1 << 20}\n"


def test_a_name_is_expanded_from_the_environment_of_the_process() -> None:
    stage = Stage(unified("memory"))
    pid = stage.start(memory("pool/$POOL/${UPSTART_CGROUP}"), env=("POOL=a$b", "UPSTART_CGROUP=not this one"))
    assert stage.groups_of(pid) == ["/cg/pool/a$b/upstart/web"]


def test_without_a_key_nothing_is_set() -> None:
    stage = Stage(unified("cpu", "memory"))
    stage.start(CPU)
    assert stage.groups.files["/cg/upstart/web"]["cpu.weight"] == ""
    assert "memory.max" not in stage.groups.files["/cg/upstart/web"]


def test_a_group_below_another_is_in_both() -> None:
    stage = Stage(unified("cpu", "memory"))
    pid = stage.start(ControlGroup("cpu", "pool/one/deep"), memory("pool"), ControlGroup("cpu", "pool/one"))
    assert stage.groups_of(pid) == ["/cg/pool/one/deep"]
    assert stage.groups.files["/cg/pool"]["memory.max"] == "5M\n"
    assert stage.groups.files["/cg/pool/one"]["cgroup.subtree_control"] == "cpu"
    assert stage.groups.still_open() == []


def test_groups_that_do_not_go_together_are_not_even_made() -> None:
    stage = Stage(unified("memory"))
    stage.refused(memory("a"), memory("b"))
    assert stage.groups.made() == []


def test_a_controller_that_is_handed_down_already_is_not_asked_for_again() -> None:
    groups = unified("memory")
    groups.make("/cg/upstart")
    groups.files["/cg"]["cgroup.subtree_control"] = groups.files["/cg/upstart"]["cgroup.subtree_control"] = "memory"
    stage = Stage(groups)
    stage.start(memory(key=None))
    assert groups.kernel.named("write_text") == []


def test_what_every_group_of_version_2_has_needs_no_controller() -> None:
    stage = Stage(unified("cpu"))
    pid = stage.start(ControlGroup("freezer", None, "state", "THAWED"), ControlGroup("cpuacct"))
    assert stage.groups_of(pid) == ["/cg/upstart/web"]
    assert stage.groups.files["/cg"]["cgroup.subtree_control"] == "\n"


def test_a_controller_of_version_1_goes_before_what_version_2_has_in_its_place() -> None:
    stage = Stage(separate("freezer"))
    assert stage.groups_of(stage.start(ControlGroup("freezer"))) == ["/cg/freezer/upstart/web"]


def test_a_group_of_version_1_has_processors_and_memory_from_the_one_above() -> None:
    groups = separate("cpuset")
    groups.files["/cg/cpuset"] |= {"cpuset.cpus": "0-3\n", "cpuset.mems": "0\n"}
    stage = Stage(groups)
    pid = stage.start(ControlGroup("cpuset", None, "cpus", "1"))
    assert stage.groups_of(pid) == ["/cg/cpuset/upstart/web"]
    assert groups.files["/cg/cpuset/upstart"]["cpuset.cpus"] == "0-3\n"
    assert groups.files["/cg/cpuset/upstart/web"]["cpuset.cpus"] == "1\n"
    assert groups.files["/cg/cpuset/upstart/web"]["cpuset.mems"] == "0\n"
    groups.files["/cg/cpuset/upstart"]["cpuset.cpus"] = "1-2\n"
    stage.start(ControlGroup("cpuset"))
    assert groups.files["/cg/cpuset/upstart"]["cpuset.cpus"] == "1-2\n"
    assert groups.files["/cg/cpuset/upstart/web"]["cpuset.cpus"] == "1\n"


@pytest.mark.parametrize(
    ("groups", "files"),
    [(unified("memory"), ["", "/cgroup.procs", "/cgroup.threads", "/cgroup.subtree_control"]),
     (separate("memory"), ["", "/cgroup.procs", "/tasks"])],
)  # fmt: skip
def test_the_group_is_given_to_who_the_process_will_be(groups: ScriptedGroups, files: list[str]) -> None:
    stage = Stage(groups)
    (group,) = stage.groups_of(stage.start(memory("pool/one"), ids=(33, 34)))
    assert groups.given == [(group + file, 33, 34) for file in files]
    stage.start(memory("pool/one"), ids=(None, 35))
    assert groups.given[-1] == (group + files[-1], -1, 35)


def test_a_process_without_a_user_of_its_own_is_given_nothing() -> None:
    stage = Stage(unified("memory"))
    stage.start(memory())
    assert stage.groups.given == []


@pytest.mark.parametrize(
    ("stanzas", "reason"),
    [
        ([ControlGroup("devices")], "no controller devices is mounted, and none is handed down to /cg"),
        ([memory("$NOBODY")], "Unknown parameter: NOBODY"),
        ([memory("../up")], "'../up' is no name for a group"),
        ([memory("a/../../up")], "'a/../../up' is no name for a group"),
        ([memory("/")], "'/' is no name for a group"),
        ([memory("$EMPTY")], "'' is no name for a group"),
        ([memory("./")], "'./' is no name for a group"),
        ([memory("a\0b")], "'a\\x00b' is no name for a group"),
        ([memory(), memory("other")], "a process cannot be both in /cg/other and in /cg/upstart/web"),
        ([memory("a"), memory("a-b"), memory("a/b")], "a process cannot be both in /cg/a/b and in /cg/a-b"),
        ([memory(key="swappiness")], "/cg/upstart/web, of cgroup version 2, has no memory.swappiness"),
        ([ControlGroup("cpu", None, "shares", "many")], "'many' is no value for cpu.shares"),
    ],
)
def test_what_cannot_be_joined_is_told(stanzas: list[ControlGroup], reason: str) -> None:
    stage = Stage(unified("memory", "cpu"))
    assert stage.refused(*stanzas, env=("EMPTY=",)) == reason


def test_where_nothing_is_mounted_that_is_told() -> None:
    assert Stage(ScriptedGroups("0::/\n", NO_GROUPS)).refused(memory()) == "no controller memory is mounted"


def test_a_key_that_version_1_does_not_have_is_told() -> None:
    reason = Stage(separate("memory")).refused(memory(key="max"))
    assert reason == "/cg/memory/upstart/web, of cgroup version 1, has no memory.max"


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        ("make_directory", "/cg/upstart: Read-only file system"),
        ("give", "/cg/upstart/web: Read-only file system"),
        ("open", "/cg/upstart/web: Read-only file system"),
        ("write_text", "/cg: Read-only file system"),
        ("open_directory", "Read-only file system"),
    ],
)
def test_what_the_system_refuses_is_told_with_its_place(call: str, reason: str) -> None:
    stage = Stage(unified("memory"))
    stage.groups.kernel.answers[call] = refusal(errno.EROFS)
    assert stage.refused(memory(), ids=(1, 1)) == reason


def test_a_value_that_the_system_refuses_is_told_with_its_file() -> None:
    stage = Stage(separate("memory"))
    stage.groups.kernel.answers["write_text"] = refusal(errno.EINVAL)
    assert stage.refused(memory()) == "/cg/memory/upstart/web/memory.limit_in_bytes: Invalid argument"


def test_a_group_that_cannot_be_entered_is_told() -> None:
    stage = Stage(unified("memory", "cpu"))
    stage.start(memory("pool/one"))
    stage.groups.kernel.answers["write"] = refusal(errno.EBUSY)
    assert stage.refused(memory("pool"), instance=2) == "/cg/pool: Device or resource busy"


def test_a_system_that_does_not_tell_is_told_of_with_the_file() -> None:
    stage = Stage(unified("memory"))
    stage.groups.kernel.answers["read_text"] = PermissionError(errno.EACCES, "Permission denied", "/proc/self/cgroup")
    assert stage.refused(memory()) == "/proc/self/cgroup: Permission denied"


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
def test_a_shortage_is_a_passing_thing_and_leaves_nothing_open(number: int) -> None:
    stage = Stage(separate("memory", "cpu"))
    opening = stage.groups.kernel.answers["open_directory"]

    def sometimes(path: str) -> Any:
        if path == "/cg/memory":
            raise refusal(number)
        return opening(path)

    stage.groups.kernel.answers["open_directory"] = sometimes
    with pytest.raises(OSError, match=r"\[Errno"):
        stage.control_groups.prepare(spawn_effect(cgroups=(CPU, memory())))
    assert stage.groups.still_open() == []


# -- room for groups --------------------------------------------------------------------------------------

LEAF = "/cg/box/upstart.daemon"


def test_the_daemon_and_what_it_has_started_make_room_for_groups_with_controllers() -> None:
    groups = unified("memory", own="/box")
    groups.kernel.stats |= {1201: ProcessStat("S", 1200, 1, 1, 1, 0), 1200: ProcessStat("S", DAEMON, 1, 1, 1, 0)}
    groups.members["/cg/box"] += [1200, 1201]
    stage = Stage(groups)
    pid = stage.start(memory())
    assert stage.groups_of(pid) == ["/cg/box/upstart/web"]
    assert groups.members[LEAF] == [DAEMON, 1200, 1201]
    assert groups.files["/cg/box/upstart/web"]["memory.max"] == "5M\n"


def test_once_room_is_made_nobody_is_moved_again() -> None:
    groups = unified("memory", own="/box")
    stage = Stage(groups)
    stage.start(memory())
    groups.kernel.calls.clear()
    stage.start(memory(), instance=2)
    assert groups.members[LEAF] == [DAEMON]
    assert not [call for call in groups.kernel.named("write_text") if call[1].endswith("cgroup.procs")]


def test_who_comes_or_goes_while_room_is_made_does_no_harm() -> None:
    groups = unified("memory", own="/box")
    groups.members["/cg/box"].append(1200)
    groups.kernel.stats[1300] = ProcessStat("S", DAEMON, 1, 1, 1, 0)
    writing = groups.kernel.answers["write_text"]

    def write(path: str, text: str, directory: int | None = None) -> None:
        if text == "1200":
            groups.members["/cg/box"].remove(1200)
            groups.members["/cg/box"].append(1300)
            raise ProcessLookupError(errno.ESRCH, "No such process")
        writing(path, text, directory)

    groups.kernel.answers["write_text"] = write
    Stage(groups).start(memory())
    assert groups.members[LEAF] == [DAEMON, 1300]


@pytest.mark.parametrize(
    ("pid", "parent"), [(0, 0), (77, 1)], ids=["from an outer namespace", "of another parent"]
)
def test_processes_of_others_are_never_moved(pid: int, parent: int) -> None:
    groups = unified("memory", own="/box")
    groups.kernel.stats |= {77: ProcessStat("S", parent, 1, 1, 1, 0), 1: ProcessStat("S", 0, 1, 1, 1, 0)}
    groups.members["/cg/box"].append(pid)
    assert Stage(groups).refused(memory()) == "there are others than the daemon's processes in /cg/box"
    assert groups.members["/cg/box"] == [DAEMON, pid]


def test_process_1_may_move_whatever_it_can_see() -> None:
    groups = unified("memory", own="/box", own_pid=1)
    groups.members["/cg/box"][:] = [1, 50]
    groups.kernel.stats[50] = ProcessStat("S", 0, 1, 1, 1, 0)  # as `docker exec` starts one
    Stage(groups).start(memory())
    assert groups.members[LEAF] == [1, 50]
    groups.members["/cg/box"].append(0)
    groups.files["/cg/box"]["cgroup.subtree_control"] = ""
    assert Stage(groups).refused(memory()) == "there are others than the daemon's processes in /cg/box"


def test_what_needs_no_controller_needs_no_room() -> None:
    groups = unified("memory", own="/box")
    groups.members["/cg/box"].append(0)
    stage = Stage(groups)
    assert stage.groups_of(stage.start(ControlGroup("freezer"))) == ["/cg/box/upstart/web"]


def test_a_group_that_the_daemon_may_not_leave_is_told() -> None:
    groups = unified("memory", own="/box")
    groups.kernel.answers["make_directory"] = PermissionError(errno.EACCES, "Permission denied", LEAF)
    assert Stage(groups).refused(memory()) == f"{LEAF}: Permission denied"


# -- their place in the set-up ----------------------------------------------------------------------------


def set_up(groups: ScriptedGroups, *stanzas: ControlGroup, process: ProcessName = ProcessName.MAIN,
           **settings: Any) -> str | None:  # fmt: skip
    """Be the child that is set up with these stanzas and settings; gives the reason why that fails, if it does."""
    kernel = groups.kernel
    kernel.answers["fork"] = 0
    control_groups = ControlGroups(kernel, RecordedLog(Priority.DEBUG), ScriptedLoop())
    spawner = Spawner(kernel, Defaults(Console.LOG, 0o022, "/", debug=True), None, control_groups)
    with pytest.raises((Executed, Exited)):
        spawner.start(spawn_effect(process=process, cgroups=stanzas, **settings))
    return b"".join(kernel.written.values()).decode() or None


def test_groups_are_made_before_the_user_changes_and_entered_right_before_exec() -> None:
    groups = unified("memory")
    assert set_up(groups, memory(), setuid="web", debug=True) is None
    order = ["initgroups", "make_directory", "give", "open", "setgid", "setuid", "stop_self", "write", "execve"]
    assert list(dict.fromkeys(call[0] for call in groups.kernel.calls if call[0] in order)) == order
    assert groups.given[0] == ("/cg/upstart/web", 33, 34)


def test_what_is_done_in_the_child_needs_no_path_from_the_root() -> None:
    groups = unified("memory")
    set_up(groups, memory(), chroot="/jail")
    calls = groups.kernel.calls[groups.kernel.calls.index(("chroot", b"/jail")) :]
    paths = [call[1] for call in calls if call[0] in ("read_text", "write_text", "make_directory", "give", "open")]
    assert paths
    assert not [path for path in paths if path.startswith("/")]


def test_only_root_can_give_groups_to_a_user() -> None:
    groups = unified("memory", is_root=False)
    assert set_up(groups, memory(), setuid="web") is None
    assert groups.given == []


def test_the_security_process_joins_no_group() -> None:
    groups = unified("memory", find_quick=None)
    assert set_up(groups, memory(), process=ProcessName.SECURITY) is None
    assert groups.made() == []
    assert groups.kernel.named("read_text") == []


@pytest.mark.parametrize(
    ("fails", "reason"),
    [
        ("chdir", "unable to change working directory: Permission denied"),
        ("initgroups", "unable to initgroups: Permission denied"),
        ("setgid", "unable to setup cgroup: no controller devices is mounted, and none is handed down to /cg"),
        ("execve", "unable to setup cgroup: no controller devices is mounted, and none is handed down to /cg"),
    ],
)
def test_a_refusal_is_told_at_its_place_in_the_order(fails: str, reason: str) -> None:
    answers: dict[str, Any] = {fails: refusal(errno.EACCES)}
    groups = unified("memory", **answers)
    assert set_up(groups, ControlGroup("devices"), setuid="web") == reason


def test_a_tree_that_cannot_be_written_to_fails_the_spawn() -> None:
    groups = unified("memory", make_directory=refusal(errno.EROFS))
    assert set_up(groups, memory()) == "unable to setup cgroup: /cg/upstart: Read-only file system"


def test_a_group_that_cannot_be_entered_fails_the_spawn() -> None:
    groups = unified("memory")
    writing = groups.kernel.answers["write"]

    def write(fd: int, data: bytes) -> Any:
        if data == b"0":
            raise refusal(errno.EBUSY)
        return writing(fd, data)

    groups.kernel.answers["write"] = write
    assert set_up(groups, memory()) == "unable to enter cgroup: /cg/upstart/web: Device or resource busy"
    groups.kernel.answers["read"] = bytes([errno.EPERM])  # to be traced
    groups.kernel.written.clear()
    assert set_up(groups, memory(), expect=Expect.FORK) == "unable to set trace: Operation not permitted"


def test_a_lack_of_descriptors_for_it_is_a_passing_thing() -> None:
    groups = unified("memory", open_directory=refusal(errno.EMFILE))
    spawner = Spawner(groups.kernel, DEFAULTS, None, ControlGroups(groups.kernel, SILENT, ScriptedLoop()))
    with pytest.raises(OutOfResources):
        spawner.start(spawn_effect(cgroups=(memory(),)))


def test_a_process_that_joins_a_group_takes_a_fork() -> None:
    groups = unified("memory", find_quick=b"/one/program")
    Spawner(groups.kernel, DEFAULTS, None, ControlGroups(groups.kernel, SILENT, ScriptedLoop())).start(WITH_GROUP)
    assert groups.kernel.named("fork")


def test_the_daemon_keeps_no_tree_open() -> None:
    groups = unified("memory")
    Spawner(groups.kernel, DEFAULTS, None, ControlGroups(groups.kernel, SILENT, ScriptedLoop())).start(
        spawn_effect(cgroups=(memory(),))
    )
    assert groups.still_open() == []


# -- instances of a supervisor ----------------------------------------------------------------------------


class Supervised:
    """A Supervisor with scripted groups; `answer` says what is spawned when something is delivered."""

    def __init__(self, groups: ScriptedGroups) -> None:
        self.groups = groups
        self.loop = ScriptedLoop()
        self.answer: Callable[[Input], Spawn | None] = lambda _: None
        groups.kernel.answers["fork"] = groups.kernel._new_pid
        self.supervisor = Supervisor(
            groups.kernel, deliver=self._deliver, log=SILENT, loop=self.loop,
            control_groups=ControlGroups(groups.kernel, SILENT, self.loop),
        )  # fmt: skip

    def _deliver(self, what: Input) -> None:
        effect = self.answer(what)
        if effect is not None:
            self.spawn(effect)

    def spawn(self, effect: Spawn) -> int:
        """Start a process, which makes its groups, as far as it is forked."""
        forked = self.groups.kernel.last_pid
        self.supervisor.spawn(effect)
        if self.groups.kernel.last_pid > forked:
            for group in ("/cg/upstart", "/cg/upstart/web"):
                if group not in self.groups.files:
                    self.groups.make(group)
        return self.groups.kernel.last_pid

    def end(self, pid: int) -> None:
        self.groups.kernel.news.append((pid, exited(0)))
        self.supervisor.reap()


WITH_GROUP = spawn_effect(cgroups=(memory(),))


def test_the_groups_go_when_no_process_of_the_instance_is_left() -> None:
    stage = Supervised(unified("memory"))
    main, beside = stage.spawn(WITH_GROUP), stage.spawn(replace(WITH_GROUP, process=ProcessName.POST_START))
    stage.end(main)
    assert stage.groups.made() == ["/cg/upstart", "/cg/upstart/web"]
    stage.end(beside)
    assert stage.groups.made() == []


def test_the_groups_stay_for_the_process_that_follows_at_once() -> None:
    stage = Supervised(unified("memory"))
    first = stage.spawn(replace(WITH_GROUP, process=ProcessName.PRE_START))
    stage.answer = lambda what: WITH_GROUP if isinstance(what, ProcessEnded) else None
    stage.groups.kernel.calls.clear()
    stage.end(first)
    assert stage.groups.kernel.named("remove_directory") == []
    assert stage.groups.made() == ["/cg/upstart", "/cg/upstart/web"]


def test_the_groups_go_when_the_set_up_fails() -> None:
    stage = Supervised(unified("memory", read=b"unable to execute: No such file or directory"))
    stage.spawn(WITH_GROUP)
    next(iter(stage.loop.readers.values()))()
    assert stage.groups.made() == []


def test_the_groups_wait_for_a_process_that_cannot_be_forked_yet() -> None:
    stage = Supervised(unified("memory"))
    main = stage.spawn(replace(WITH_GROUP, process=ProcessName.PRE_START))
    stage.groups.kernel.answers["fork"] = refusal(errno.EAGAIN)
    stage.spawn(WITH_GROUP)
    stage.end(main)
    assert stage.groups.made() == ["/cg/upstart", "/cg/upstart/web"]
    stage.supervisor.kill(KillProcess(1, ProcessName.MAIN, 15))
    assert stage.groups.made() == []


def test_over_a_re_execution_the_groups_of_running_instances_stay_and_others_go() -> None:
    stage = Supervised(unified("memory"))
    stage.spawn(WITH_GROUP)
    state = stage.supervisor.take_state()
    after = Supervised(stage.groups)
    after.supervisor.put_state(state)
    assert after.groups.made() == ["/cg/upstart", "/cg/upstart/web"]
    Supervised(stage.groups).supervisor.put_state(replace(state, processes=()))
    assert after.groups.made() == []


def test_without_control_groups_the_stanza_means_nothing() -> None:
    groups = unified("memory", find_quick=b"/one/program")
    Spawner(groups.kernel, DEFAULTS).start(WITH_GROUP)
    assert groups.kernel.named("start_quick")
    assert groups.made() == []


# -- the end of groups ------------------------------------------------------------------------------------


@pytest.mark.parametrize("groups", [unified("memory", "cpu"), separate("memory", "cpu")])
def test_the_groups_of_an_instance_go_with_its_last_process(groups: ScriptedGroups) -> None:
    stage = Stage(groups)
    stage.end(stage.start(memory("$UPSTART_CGROUP/deep/down"), memory(), CPU))
    assert groups.made() == []
    assert (stage.loop.timers, stage.loop.readers, stage.log) == ([], {}, [])


def test_what_was_refused_on_the_way_leaves_nothing() -> None:
    stage = Stage(unified("memory"))
    stage.refused(memory(key="swappiness"))
    assert stage.groups.made() == ["/cg/upstart", "/cg/upstart/web"]
    stage.end()
    assert stage.groups.made() == []


def test_groups_of_others_stay() -> None:
    groups = unified("memory")
    groups.make("/cg/pool")
    groups.make("/cg/pool/theirs")
    groups.make("/cg/ready")
    stage = Stage(groups)
    stage.end(stage.start(memory("pool/mine/deep")))
    stage.end(stage.start(memory("ready")))
    assert groups.made() == ["/cg/pool", "/cg/pool/theirs", "/cg/ready"]


def test_a_parent_of_own_groups_that_was_left_over_goes_too() -> None:
    groups = unified("memory")
    groups.make("/cg/upstart")
    groups.make("/cg/upstart/web")
    stage = Stage(groups)
    stage.end(stage.start(memory()))
    assert groups.made() == []


def test_the_parent_of_own_groups_stays_as_long_as_somebody_has_made_one_in_it() -> None:
    groups = unified("memory")
    stage = Stage(groups)
    pid = stage.start(memory())
    groups.make("/cg/upstart/somebody")
    stage.end(pid)
    assert groups.made() == ["/cg/upstart", "/cg/upstart/somebody"]


def test_a_group_that_two_instances_share_goes_with_the_second() -> None:
    stage = Stage(unified("memory"))
    first, second = stage.start(memory("pool/a")), stage.start(memory("pool/a"), instance=2)
    stage.end(first)
    assert stage.groups_of(second) == ["/cg/pool/a"]
    assert stage.loop.readers == {}
    stage.end(second, instance=2)
    assert stage.groups.made() == []


def test_a_group_that_another_instance_is_about_to_join_is_not_taken_from_it() -> None:
    stage = Stage(unified("memory"))
    pid = stage.start(memory())
    effect = spawn_effect(instance=2, cgroups=(memory("upstart/other"),))
    other = stage.control_groups.prepare(effect)
    stage.end(pid)
    assert stage.groups.made() == ["/cg/upstart"]
    make(stage.groups.kernel, other, None, None)


def test_a_group_above_one_in_use_goes_after_that() -> None:
    stage = Stage(unified("memory", "cpu"))
    outer = stage.start(ControlGroup("freezer", "pool"))
    inner = stage.start(ControlGroup("freezer", "pool/inner"), instance=2)
    stage.end(outer)
    assert stage.groups.made() == ["/cg/pool", "/cg/pool/inner"]
    stage.end(inner, instance=2)
    assert stage.groups.made() == []
    assert stage.control_groups.take_state() == ControlGroupsState()


def test_a_group_goes_though_one_that_was_to_be_in_it_was_never_made() -> None:
    stage = Stage(unified("memory"))
    outer = stage.start(memory("pool"))
    stage.control_groups.prepare(spawn_effect(instance=2, cgroups=(memory("pool/a/b"),)))
    stage.end(outer)
    stage.end(instance=2)
    assert stage.groups.made() == []


def test_a_group_above_one_that_was_never_made_stays_with_who_has_made_it() -> None:
    stage = Stage(unified("memory"))
    effect = spawn_effect(cgroups=(memory("pool"),))
    outer = stage.control_groups.prepare(effect)
    make(stage.groups.kernel, outer, None, None)
    stage.control_groups.prepare(spawn_effect(instance=2, cgroups=(memory("pool/a"),)))
    stage.end(instance=2)
    enter(stage.groups.kernel, outer)
    assert stage.groups.made() == ["/cg/pool"]


def test_what_a_job_leaves_behind_keeps_its_group() -> None:
    stage = Stage(unified("memory"))
    main, child, other = stage.start(memory()), stage.start(memory()), stage.start(memory())
    stage.end(main)
    assert stage.groups.made() == ["/cg/upstart", "/cg/upstart/web"]
    ((fd, callback),) = stage.loop.readers.items()
    assert stage.groups.kernel.take("pidfd_open") == [("pidfd_open", child)]
    stage.leave(child)
    callback()
    assert fd not in stage.loop.readers
    ((_, callback),) = stage.loop.readers.items()
    assert stage.groups.kernel.take("pidfd_open") == [("pidfd_open", other)]
    stage.leave(other)
    callback()
    assert stage.groups.made() == []
    assert stage.loop.readers == {}


def test_a_group_is_used_again_while_it_is_waited_for() -> None:
    stage = Stage(unified("memory"))
    left = stage.start(memory())
    stage.end()
    again = stage.start(memory(), instance=2)
    assert stage.loop.readers == {}
    stage.leave(left)
    stage.end(again, instance=2)
    assert stage.groups.made() == []


def test_groups_that_a_job_has_made_in_its_own_go_with_it() -> None:
    stage = Stage(unified("memory"))
    pid = stage.start(memory(), ids=(33, 33))
    stage.groups.make("/cg/upstart/web/own")
    stage.groups.make("/cg/upstart/web/own/deep")
    stage.groups.members["/cg/upstart/web/own/deep"].append(4000)
    stage.end(pid)
    assert stage.groups.kernel.take("pidfd_open") == [("pidfd_open", 4000)]
    stage.groups.members["/cg/upstart/web/own/deep"].clear()
    next(iter(stage.loop.readers.values()))()
    assert stage.groups.made() == []


def test_very_many_groups_in_a_job_s_own_are_removed_bit_by_bit() -> None:
    stage = Stage(unified("memory"))
    pid = stage.start(memory(), ids=(33, 33))
    for number in range(2500):
        stage.groups.make(f"/cg/upstart/web/{number}")
    stage.end(pid)
    left = [len(stage.groups.made())]
    while stage.loop.timers:
        stage.loop.let_time_pass()
        left.append(len(stage.groups.made()))
    assert left == [1502, 502, 0]
    assert len(stage.groups.kernel.named("subdirectories")) < 1100


def test_a_group_that_is_not_empty_though_nobody_is_seen_in_it_is_tried_again_for_a_while() -> None:
    stage = Stage(unified("memory"))
    pid = stage.start(memory())
    removing = stage.groups.kernel.answers["remove_directory"]
    stage.groups.kernel.answers["remove_directory"] = refusal(errno.EBUSY)
    stage.end(pid)
    delays = [stage.loop.let_time_pass() for _ in RETRY_AFTER]
    assert delays == list(RETRY_AFTER)
    assert stage.log == ["init: cannot remove the control group '/cg/upstart/web': Device or resource busy"]
    stage.groups.kernel.answers["remove_directory"] = removing
    stage.end(stage.start(memory()))
    assert stage.groups.made() == []
    assert stage.loop.timers == []


def test_a_process_that_cannot_be_watched_is_not_waited_for() -> None:
    stage = Stage(unified("memory"))
    stage.start(memory())
    stage.groups.kernel.answers["pidfd_open"] = refusal(errno.ESRCH)
    stage.end()
    stage.groups.members["/cg/upstart/web"].clear()
    assert stage.loop.let_time_pass() == RETRY_AFTER[0]
    assert stage.groups.made() == []


def test_a_group_that_may_not_be_removed_is_told_of_once() -> None:
    stage = Stage(unified("memory"))
    pid = stage.start(memory())
    stage.groups.kernel.answers["remove_directory"] = refusal(errno.EACCES)
    stage.end(pid)
    assert stage.log == ["init: cannot remove the control group '/cg/upstart/web': Permission denied"]
    assert stage.control_groups.take_state() == ControlGroupsState()
    assert stage.loop.timers == []


def test_an_instance_without_groups_has_none_to_remove() -> None:
    stage = Stage(unified("memory"))
    stage.end()
    assert stage.groups.kernel.named("remove_directory") == []


# -- over a re-execution ----------------------------------------------------------------------------------


def handed_on(stage: Stage) -> Stage:
    """The next daemon, with all that this one has handed on; as text in between."""
    state = stage.control_groups.take_state()
    assert decode(type(state), encode(state)) == state
    return Stage(stage.groups, state)


def test_the_groups_of_what_runs_are_removed_by_the_next_daemon() -> None:
    stage = Stage(unified("memory"))
    stage.groups.make("/cg/theirs")
    pid = stage.start(memory("theirs/ours"))
    after = handed_on(stage)
    assert after.control_groups.instances() == [1]
    after.end(pid)
    assert after.groups.made() == ["/cg/theirs"]


@pytest.mark.parametrize("path", ["/a\0b", "/\ud800", "relative/nowhere", ""])
def test_a_path_that_is_none_is_no_reason_to_end(path: str) -> None:
    log = RecordedLog(Priority.DEBUG)
    control_groups = ControlGroups(LinuxKernel(), log, ScriptedLoop())
    control_groups.put_state(ControlGroupsState({1: {path: 3}}, {path: -1}))
    control_groups.instance_ended(1)
    assert control_groups.take_state() == ControlGroupsState()


def test_a_group_that_is_waited_for_is_waited_for_by_the_next_daemon() -> None:
    stage = Stage(unified("memory"))
    left = stage.start(memory())
    stage.end()
    after = handed_on(stage)
    assert len(after.loop.readers) == 1
    after.leave(left)
    next(iter(after.loop.readers.values()))()
    assert after.groups.made() == []


def test_a_group_that_was_emptied_in_between_goes_at_once() -> None:
    stage = Stage(unified("memory"))
    left = stage.start(memory())
    stage.end()
    stage.leave(left)
    after = handed_on(stage)
    assert after.groups.made() == []
    assert after.control_groups.take_state() == ControlGroupsState()


def test_groups_within_one_another_that_were_emptied_in_between_go_at_once() -> None:
    stage = Stage(unified("memory"))
    inner = stage.start(ControlGroup("freezer", "pool/inner"), instance=2)
    outer = stage.start(ControlGroup("freezer", "pool"))
    stage.end(instance=2)
    stage.end()
    stage.leave(inner)
    stage.leave(outer)
    after = handed_on(stage)
    assert after.groups.made() == []
    assert after.control_groups.take_state() == ControlGroupsState()
