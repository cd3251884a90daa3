"""Where control groups can be made: the kernel's trees of them as they are mounted, and the daemon's place in each.

The groups of jobs are made below the daemon's own group, which is the part of the tree that is its to divide: the
root on a machine or in a container of its own, a service's group beside another init. Not responsible for what is
made there (control_groups.py). Sources: cgroups(7), proc_pid_mountinfo(5); the kernel's admin-guide/cgroup-v2.rst.
"""

from __future__ import annotations

import errno
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from upstartd.proc.control_group_keys import ControlGroupError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from upstartd.proc.kernel import Kernel

OWN_LEAF = "upstart.daemon"  # where the daemon goes when its own group may hold no process any more
_ROUNDS = 10  # of looking for processes that came while others were moved
_ESCAPED = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Tree:
    """A tree of control groups. `place` is the daemon's own group in it, as a path."""

    place: str
    is_unified: bool  # version 2: one tree for all controllers
    controllers: frozenset[str]


def find(kernel: Kernel) -> tuple[Tree, ...]:
    """All trees that the daemon has a place in. OSError where the system does not tell."""
    own: dict[str, str] = {}  # the daemon's group by controller; that of the unified tree by ""
    for line in kernel.read_text("/proc/self/cgroup").splitlines():
        _, names, group = line.split(":", 2)
        own |= dict.fromkeys(names.split(","), group)
    trees: list[Tree] = []
    found: set[str] = set()
    for line in kernel.read_text("/proc/self/mountinfo").splitlines():
        mount, _, kind = line.partition(" - ")
        file_system, _, options = kind.split(" ", 2)
        if file_system not in ("cgroup", "cgroup2"):
            continue
        is_unified = file_system == "cgroup2"
        controllers = own.keys() & ({""} if is_unified else set(options.split(",")))
        if not controllers or controllers & found:
            continue
        root, point = (_ESCAPED.sub(lambda code: chr(int(code[1], 8)), field) for field in mount.split(" ")[3:5])
        place = _place(point, root, own[min(controllers)])
        # What is mounted may be hidden below another mount.
        if place is None or not kernel.exists(f"{place}/cgroup.procs"):
            continue
        found |= controllers
        if is_unified:
            place = place.removesuffix(f"/{OWN_LEAF}")
            controllers = set(kernel.read_text(f"{place}/cgroup.controllers").split())
        trees.append(Tree(place, is_unified, frozenset(controllers)))
    # What a controller of version 1 is for, the unified tree may do without any: the former goes first.
    return tuple(sorted(trees, key=lambda tree: tree.is_unified))


def _place(point: str, root: str, group: str) -> str | None:
    """The path of `group` where the group `root` of its tree is mounted at `point`; None where it is not below that."""
    if root == "/":
        root = ""
    if not f"{group}/".startswith(f"{root}/"):
        return None
    return (point + group.removeprefix(root)).rstrip("/")


def make_room(kernel: Kernel, tree: Tree, controllers: Iterable[str]) -> None:
    """Have the daemon's own group free to hand `controllers` down to groups below it.

    A group of the unified tree that does so may hold no process itself, unless it is the tree's root. So the daemon,
    and all that it has started, moves into a group beside those of jobs. OSError, ControlGroupError where others are in
    the way.
    """
    place = tree.place
    wanted = tree.controllers.intersection(controllers)
    if not kernel.exists(f"{place}/cgroup.type") or wanted <= handed_down(kernel, place):
        return
    for _ in range(_ROUNDS):
        pids = kernel.read_text(f"{place}/cgroup.procs").split()
        if not pids:
            return
        if not all(_is_own(kernel, int(pid)) for pid in pids):
            raise ControlGroupError(f"there are others than the daemon's processes in {place}")
        leaf = f"{place}/{OWN_LEAF}"
        if not kernel.exists(leaf):
            kernel.make_directory(leaf)
        for pid in pids:
            try:
                kernel.write_text(f"{leaf}/cgroup.procs", pid)
            except OSError as error:
                if error.errno != errno.ESRCH:  # it has ended
                    raise


def handed_down(kernel: Kernel, group: str, directory: int | None = None) -> set[str]:
    """The controllers that a group of the unified tree hands down to those below it."""
    return set(kernel.read_text(f"{group}/cgroup.subtree_control", directory).split())


def _is_own(kernel: Kernel, pid: int) -> bool:
    """Whether a process is the daemon or descends from it, or has ended. All that process 1 can see is its own."""
    if pid == 0:  # a process that belongs to an outer namespace
        return False
    own = kernel.own_pid()
    while pid not in (0, own):
        stat = kernel.stat(pid)
        if stat is None:
            return True
        pid = stat.parent  # 0 for process 1, and for what has come into the namespace from outside
    return pid == own or own == 1
