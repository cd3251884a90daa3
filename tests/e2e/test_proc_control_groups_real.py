"""Control groups in the kernel's own trees: what processes with the stanza find themselves in, and what is left."""

from __future__ import annotations

import ctypes
import os
import signal
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.daemon import Daemon
from support.supervising import Supervised
from support.waiting import wait_until
from upstartd.conf.model import ControlGroup
from upstartd.engine.inputs import MainReady
from upstartd.proc import control_group_trees as trees
from upstartd.proc.kernel import LinuxKernel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from upstartd.proc.control_group_trees import Tree

CLONE_NEWNS = 0x20000  # linux/sched.h
MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 32, 4096, 16384, 1 << 18  # linux/mount.h


def tree_of(controller: str, *, unified: bool) -> Tree:
    """The tree with this controller, of version 2 or not; the test is skipped where it cannot be written to."""
    version = 2 if unified else 1
    for tree in trees.find(LinuxKernel()):
        if tree.is_unified is unified and controller in tree.controllers:
            if not os.access(tree.place, os.W_OK) or os.statvfs(tree.place).f_flag & os.ST_RDONLY:
                pytest.skip(f"{tree.place} cannot be written to")
            return tree
    pytest.skip(f"no controller {controller} in a tree of version {version} here")


def group_in(tree: Tree, text: str) -> str:
    """The path of the group that /proc/PID/cgroup, of which `text` is the content, has in the tree."""
    for line in text.splitlines():
        _, controllers, group = line.split(":", 2)
        if (not controllers) if tree.is_unified else tree.controllers & set(controllers.split(",")):
            return group
    raise AssertionError(text)


def own_groups(tree: Tree) -> list[str]:
    """The groups of instances that there are."""
    parent = Path(tree.place, "upstart")
    try:
        return sorted(path.name for path in parent.iterdir() if path.is_dir())
    except FileNotFoundError:  # never made, or gone with the last group in it
        return []


MEMORY = ControlGroup("memory", None, "limit_in_bytes", str(50 << 20))
PIDS = ControlGroup("pids", None, "max", "10")


def test_the_process_is_in_the_group_that_is_set_as_the_stanza_says(out: Path) -> None:
    tree = tree_of("memory", unified=False)
    with Supervised(control_groups=True) as supervised:
        assert supervised.run(f"cat /proc/self/cgroup > {out}; cat {tree.place}/upstart/job1/memory.limit_in_bytes "
                              f">> {out}", cgroups=(MEMORY,), script=True) == 0  # fmt: skip
        text = out.read_text()
        assert text.splitlines()[-1] == str(50 << 20)
        assert group_in(tree, text).endswith("/upstart/job1")
        wait_until(lambda: not own_groups(tree), "the group to go")


def test_the_limits_of_a_group_hold_for_the_process(out: Path) -> None:
    tree_of("pids", unified=False)
    with Supervised(control_groups=True) as supervised:
        alone = ControlGroup("pids", None, "max", "1")
        assert supervised.run(f"true; /bin/true || exit 3; echo {out}", script=True, cgroups=(alone,)) == 2
        assert supervised.run("/bin/true; /bin/true", script=True, cgroups=(PIDS,)) == 0


def test_groups_of_several_controllers_go_together(out: Path) -> None:
    memory, cpuset = tree_of("memory", unified=False), tree_of("cpuset", unified=False)
    stanzas = (MEMORY, ControlGroup("cpuset", "$POOL/$UPSTART_CGROUP"))
    with Supervised(control_groups=True) as supervised:
        assert supervised.run(f"/bin/cat /proc/self/cgroup > {out}", env=["POOL=pool"], cgroups=stanzas) == 0
        assert group_in(memory, out.read_text()).endswith("/upstart/job1")
        assert group_in(cpuset, out.read_text()).endswith("/pool/upstart/job1")
        wait_until(lambda: not os.path.exists(f"{cpuset.place}/pool"), "the group to go, and the one that is around it")


def test_the_group_belongs_to_the_user_of_the_job_who_enters_it_from_its_own_root(out: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may change users")
    tree = tree_of("memory", unified=False)
    with Supervised(control_groups=True) as supervised:
        instance = supervised.spawn("sleep 1000", chroot="/", setuid="daemon", cgroups=(MEMORY,))
        supervised.wait_for_input(MainReady, instance)
        group = f"{tree.place}/upstart/job1"
        assert {Path(group, name).owner() for name in ("", "cgroup.procs", "tasks")} == {"daemon"}
        assert Path(group, "memory.limit_in_bytes").owner() == "root"
        assert Path(group, "cgroup.procs").read_text() == f"{supervised.pid_of(instance)}\n"


def test_what_a_process_leaves_behind_keeps_the_group_until_it_ends() -> None:
    tree = tree_of("memory", unified=False)
    with Supervised(control_groups=True) as supervised:
        assert supervised.run("setsid sleep 1000 &", script=True, cgroups=(MEMORY,)) == 0
        (left,) = Path(tree.place, "upstart/job1/cgroup.procs").read_text().split()
        os.kill(int(left), signal.SIGKILL)
        wait_until(lambda: not own_groups(tree), "the group to go")


def test_a_group_that_two_instances_share_goes_with_the_second() -> None:
    tree = tree_of("memory", unified=False)
    shared = ControlGroup("memory", "upstart/shared")
    with Supervised(control_groups=True) as supervised:
        instances = [supervised.spawn("sleep 1000", cgroups=(shared,)) for _ in range(2)]
        for instance in instances:
            supervised.wait_for_input(MainReady, instance)
        for instance in instances:
            assert own_groups(tree) == ["shared"]
            supervised.kill(instance)
            supervised.end_of(instance)
        wait_until(lambda: not own_groups(tree), "the group to go")


@pytest.mark.parametrize(
    ("stanza", "reason"),
    [
        (ControlGroup("memory", None, "no_such_key", "1"),
         "{place}/upstart/job1, of cgroup version 1, has no memory.no_such_key"),
        (ControlGroup("memory", None, "limit_in_bytes", "much"),
         "{place}/upstart/job1/memory.limit_in_bytes: Invalid argument"),
        (ControlGroup("memory", "a\nb"), "{place}/a\nb: Invalid argument"),
    ],
)  # fmt: skip
def test_what_the_kernel_refuses_fails_the_spawn(stanza: ControlGroup, reason: str) -> None:
    tree = tree_of("memory", unified=False)
    with Supervised(control_groups=True) as supervised:
        text = supervised.run("true", cgroups=(stanza,))
        assert text == f"unable to setup cgroup: {reason.format(place=tree.place)}"
        wait_until(lambda: not own_groups(tree), "the group to go")


def test_a_controller_that_is_not_there_fails_the_spawn() -> None:
    with Supervised(control_groups=True) as supervised:
        text = supervised.run("true", cgroups=(ControlGroup("no-such-controller"),))
        assert isinstance(text, str)
        assert text.startswith("unable to setup cgroup: no controller no-such-controller is mounted")


def test_a_tree_that_cannot_be_written_to_fails_the_spawn() -> None:
    tree = tree_of("memory", unified=False)
    if os.geteuid() != 0:
        pytest.skip("only root may mount")
    libc = ctypes.CDLL(None, use_errno=True)
    place = tree.place.encode()

    def make_read_only() -> None:
        assert libc.unshare(CLONE_NEWNS) == 0
        assert libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None) == 0
        assert libc.mount(place, place, None, MS_BIND, None) == 0
        assert libc.mount(None, place, None, MS_REMOUNT | MS_BIND | MS_RDONLY, None) == 0

    with Supervised(control_groups=True, prepare=make_read_only) as supervised:
        text = supervised.run("true", cgroups=(MEMORY,))
        assert text == f"unable to setup cgroup: {tree.place}/upstart: Read-only file system"


def test_a_daemon_that_leaves_control_groups_alone_reads_the_stanza_and_ignores_it(out: Path) -> None:
    with Supervised() as supervised:
        stanzas = (ControlGroup("no-such-controller"), MEMORY)
        assert supervised.run(f"cat /proc/self/cgroup > {out}", cgroups=stanzas) == 0
    assert "upstart/job1" not in out.read_text()


def test_a_job_whose_groups_cannot_be_made_fails_and_the_log_says_why(tmp_path: Path) -> None:
    with Daemon(tmp_path, "--user") as daemon:
        daemon.write_job("web", "cgroup no-such-controller\nexec sleep 1000\n")
        failed = daemon.try_run("start", "web")
        assert (failed.returncode, failed.stderr) == (1, "start: Job failed to start\n")
        assert ("init: Failed to spawn web main process: unable to setup cgroup: no controller no-such-controller is "
                "mounted") in daemon.log()  # fmt: skip


def test_with_no_cgroups_the_same_job_runs(tmp_path: Path) -> None:
    with Daemon(tmp_path, "--user", "--no-cgroups") as daemon:
        daemon.write_job("web", "cgroup no-such-controller\nexec sleep 1000\n")
        assert daemon.run("start", "web").startswith("web start/running, process ")


# -- version 2 ------------------------------------------------------------------------------------------------


def is_empty(group: Path) -> bool:
    return not (group / "cgroup.procs").read_text()


@contextmanager
def box(controller: str) -> Iterator[Tree]:
    """A group of the unified tree that has this controller, for a daemon to be alone in."""
    tree = tree_of(controller, unified=True)
    control = Path(tree.place, "cgroup.subtree_control")
    place = Path(tree.place, f"upstartd-test-{os.getpid()}")
    had = controller in control.read_text().split()
    if not had:
        try:
            control.write_text(f"+{controller}")
        except OSError as error:
            pytest.skip(f"{tree.place} cannot hand {controller} down: {error.strerror}")
    place.mkdir()
    try:
        yield trees.Tree(str(place), True, frozenset({controller}))
    finally:
        for group in (place / "upstart", place / trees.OWN_LEAF, place):
            if group.exists():
                wait_until(partial(is_empty, group), f"{group} to be empty")
                group.rmdir()
        if not had:
            control.write_text(f"-{controller}")


def test_in_version_2_the_daemon_makes_room_for_groups_below_its_own(out: Path) -> None:
    with box("hugetlb") as tree:
        stanza = ControlGroup("hugetlb", None, "2MB.limit_in_bytes", str(4 << 20))

        def enter() -> None:
            Path(tree.place, "cgroup.procs").write_text("0")

        with Supervised(control_groups=True, prepare=enter) as supervised:
            instance = supervised.spawn("sleep 1000")
            supervised.wait_for_input(MainReady, instance)
            group = f"{tree.place}/upstart/job2"
            text = f"cat /proc/self/cgroup {group}/hugetlb.2MB.max > {out}"
            assert supervised.run(text, cgroups=(stanza,), script=True) == 0
            name = os.path.basename(tree.place)
            assert group_in(tree, out.read_text()).endswith(f"/{name}/upstart/job2")
            assert out.read_text().splitlines()[-1] == str(4 << 20)
            members = Path(tree.place, trees.OWN_LEAF, "cgroup.procs").read_text().split()
            assert sorted(map(int, members)) == sorted([supervised.pid, supervised.pid_of(instance)])
            wait_until(lambda: not own_groups(tree), "the group to go")
            reason = supervised.run("true", cgroups=(ControlGroup("hugetlb", None, "2MB.failcnt", "0"),))
            assert reason == (f"unable to setup cgroup: {tree.place}/upstart/job3, of cgroup version 2, has no "
                              "hugetlb.2MB.failcnt")  # fmt: skip


def test_in_version_2_a_group_with_processes_of_others_hands_nothing_down() -> None:
    with box("hugetlb") as tree:

        def enter() -> None:
            Path(tree.place, "cgroup.procs").write_text("0")

        with Supervised(prepare=enter), Supervised(control_groups=True, prepare=enter) as supervised:
            reason = supervised.run("true", cgroups=(ControlGroup("hugetlb"),))
            assert reason == f"unable to setup cgroup: there are others than the daemon's processes in {tree.place}"


def test_in_version_2_a_user_gets_the_group_to_divide(out: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may change users")
    with box("hugetlb") as tree:

        def enter() -> None:
            Path(tree.place, "cgroup.procs").write_text("0")

        with Supervised(control_groups=True, prepare=enter) as supervised:
            group = f"{tree.place}/upstart/job1"
            text = f"mkdir {group}/own; echo 0 > {group}/own/cgroup.procs; cat /proc/self/cgroup > {out}"
            assert supervised.run(text, script=True, setuid="daemon", cgroups=(ControlGroup("hugetlb"),)) == 0
            assert group_in(tree, out.read_text()).endswith("/upstart/job1/own")
            wait_until(lambda: not own_groups(tree), "the group to go, with the one that was made in it")
