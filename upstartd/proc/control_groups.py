"""The control groups of jobs: which a process belongs to, made and entered by it, and removed when all have gone.

The daemon finds out before the fork what a process needs, and remembers it for the instance; the child carries it out.
Not responsible for where groups can be made (control_group_trees.py), nor for what the settings of version 1 have
become (control_group_keys.py). Source: runtime specification, 5.5; the kernel's admin-guide/cgroup-v2.rst.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Mapping  # noqa: TC003 - state/codec.py reads the annotations
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from upstartd.engine.expansion import ExpansionError, expand
from upstartd.proc import control_group_trees as trees
from upstartd.proc.control_group_keys import CONTROLLERS, ControlGroupError, translate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from upstartd.engine.effects import Spawn
    from upstartd.log import Log
    from upstartd.proc.control_group_trees import Tree
    from upstartd.proc.kernel import Kernel
    from upstartd.proc.supervisor import Loop

OWN_NAME = "UPSTART_CGROUP"  # the variable that has the name of an instance's own group
_PARENT = "upstart"  # of those groups
_CPUSET_MUSTS = ("cpuset.cpus", "cpuset.mems")  # in version 1 nobody gets into a group that has none
_GIVEN = ("", "/cgroup.procs", "/cgroup.threads", "/cgroup.subtree_control", "/tasks")  # of the group, to its user
_SHORTAGES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
_AT_ONCE = 1000  # groups that a job has made in its own, and that are removed in one go
# Seconds after which a group is tried again that the kernel has not emptied yet, though nobody is to be seen in it.
RETRY_AFTER = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)


# -- what a process needs -------------------------------------------------------------------------------------


@dataclass(slots=True)
class Group:
    """A group that a process is to be in. `name` is the path below the place of its tree."""

    tree: Tree
    name: str
    controllers: set[str] = field(default_factory=set)  # that have to be handed down to it, in the unified tree
    settings: list[tuple[str, str]] = field(default_factory=list)  # files, each with what is written to it

    @property
    def path(self) -> str:
        """Where it is."""
        return f"{self.tree.place}/{self.name}"


@dataclass(slots=True)
class Membership:
    """The groups of a process, those above others first; `refusal` is why it cannot have them."""

    groups: list[Group] = field(default_factory=list)
    refusal: str = ""
    # The places of the trees, by their paths: the child may have another root by the time it needs them.
    directories: dict[str, int] = field(default_factory=dict)
    entrances: list[tuple[str, int]] = field(default_factory=list)  # in the child: groups, each with its open way in


def own_name(job: str, instance: str, root: str = "") -> str:
    """The name of an instance's own group. Each chroot session has its own jobs, `root` being its root directory."""
    name = f"{job}-{instance}" if instance else job
    name = f"{root}/{name}" if root else name
    return f"{_PARENT}/{name.replace('/', '_')}"


def _find_groups(effect: Spawn, found: tuple[Tree, ...]) -> list[Group]:
    """The groups that the stanzas are about. ControlGroupError, ExpansionError."""
    variables = dict(entry.split("=", 1) for entry in effect.env if "=" in entry)
    variables[OWN_NAME] = own_name(effect.job_name, effect.instance_name, effect.root)
    all_keys: dict[tuple[str, str], dict[str, str]] = {}
    for stanza in effect.settings.cgroups:
        name = _cleaned(expand(stanza.name or f"${OWN_NAME}", variables))
        keys = all_keys.setdefault((stanza.controller, name), {})
        if stanza.key is not None:
            keys[stanza.key] = stanza.value or ""
    groups: dict[tuple[str, str], Group] = {}
    for (controller, name), keys in all_keys.items():
        tree = _tree_of(controller, found)
        group = groups.setdefault((tree.place, name), Group(tree, name))
        if tree.is_unified:
            group.controllers |= tree.controllers & {CONTROLLERS.get(controller, controller)}
            group.settings += translate(controller, keys)
        else:
            group.settings += ((f"{controller}.{key}", value) for key, value in keys.items())
    return sorted(groups.values(), key=lambda group: group.name.split("/"))


def _cleaned(name: str) -> str:
    """A group's name as a path that leads down. ControlGroupError for one that does not."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if not parts or ".." in parts or "\0" in name:
        raise ControlGroupError(f"{name!r} is no name for a group")
    return "/".join(parts)


def _tree_of(controller: str, found: tuple[Tree, ...]) -> Tree:
    """The tree that has this controller. ControlGroupError where none has."""
    for tree in found:
        name = CONTROLLERS.get(controller, controller) if tree.is_unified else controller
        if name is None or name in tree.controllers:
            return tree
    unified = [f", and none is handed down to {tree.place}" for tree in found if tree.is_unified]
    raise ControlGroupError(f"no controller {controller} is mounted{''.join(unified)}")


def _entered(groups: list[Group]) -> list[Group]:
    """The one group of each tree that the process enters, by which it is in those above as well. ControlGroupError."""
    last: dict[str, Group] = {}
    for group in groups:
        above = last.get(group.tree.place)
        if above is not None and not group.name.startswith(f"{above.name}/"):
            raise ControlGroupError(f"a process cannot be both in {above.path} and in {group.path}")
        last[group.tree.place] = group
    return list(last.values())


# -- in the child -----------------------------------------------------------------------------------------------


def make(kernel: Kernel, membership: Membership, uid: int | None, gid: int | None) -> None:
    """Make and set the groups, give them to `uid` and `gid`, and open the ways in. ControlGroupError.

    They are opened here, by who may do so, for whoever the process will be when it enters.
    """
    if membership.refusal:
        raise ControlGroupError(membership.refusal)
    for group in membership.groups:
        _make(kernel, group, membership.directories[group.tree.place])
    for group in membership.groups:
        if uid is not None or gid is not None:
            _give(kernel, group, membership.directories[group.tree.place], uid, gid)
    for group in _entered(membership.groups):
        with _telling(group.path):
            fd = kernel.open(f"{group.name}/cgroup.procs", os.O_WRONLY, membership.directories[group.tree.place])
            membership.entrances.append((group.path, fd))


def enter(kernel: Kernel, membership: Membership) -> None:
    """Enter the groups that make() has made. ControlGroupError."""
    for path, entrance in membership.entrances:
        with _telling(path):
            kernel.write(entrance, b"0")  # the process that writes


def _make(kernel: Kernel, group: Group, directory: int) -> None:
    parts = group.name.split("/")
    for depth in range(len(parts)):
        above, name = "/".join([".", *parts[:depth]]), "/".join(parts[: depth + 1])
        with _telling(f"{group.tree.place}{above[1:]}"):
            missing = group.controllers - (trees.handed_down(kernel, above, directory) if group.controllers else set())
            if missing:
                words = " ".join(f"+{controller}" for controller in sorted(missing))
                kernel.write_text(f"{above}/cgroup.subtree_control", words, directory)
        with _telling(f"{group.tree.place}/{name}"):
            with contextlib.suppress(FileExistsError):
                kernel.make_directory(name, directory)
            if not group.tree.is_unified and "cpuset" in group.tree.controllers:
                _inherit(kernel, above, name, directory)
    for file, value in group.settings:
        try:
            kernel.write_text(f"{group.name}/{file}", value, directory)
        except FileNotFoundError:
            version = 2 if group.tree.is_unified else 1
            raise ControlGroupError(f"{group.path}, of cgroup version {version}, has no {file}") from None
        except OSError as error:
            raise ControlGroupError(f"{group.path}/{file}: {error.strerror}") from error


def _inherit(kernel: Kernel, above: str, name: str, directory: int) -> None:
    for file in _CPUSET_MUSTS:
        if not kernel.read_text(f"{name}/{file}", directory).strip():
            kernel.write_text(f"{name}/{file}", kernel.read_text(f"{above}/{file}", directory).strip(), directory)


def _give(kernel: Kernel, group: Group, directory: int, uid: int | None, gid: int | None) -> None:
    for file in _GIVEN:
        # Each version has some of these only.
        with _telling(group.path), contextlib.suppress(FileNotFoundError):
            kernel.give(f"{group.name}{file}", -1 if uid is None else uid, -1 if gid is None else gid, directory)


@contextlib.contextmanager
def _telling(path: str) -> Iterator[None]:
    """Say what the system's refusal is about."""
    try:
        yield
    except OSError as error:
        raise ControlGroupError(f"{path}: {error.strerror}") from error


# -- for as long as they are needed -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ControlGroupsState:
    """What is handed on over a re-execution: groups by path, and how many of the names in each are ours to remove."""

    used: Mapping[int, Mapping[str, int]] = field(default_factory=dict)  # by the instance
    left: Mapping[str, int] = field(default_factory=dict)


class ControlGroups:
    """The groups of all instances. An instance's are removed when it has no process; what it has left keeps them."""

    def __init__(self, kernel: Kernel, log: Log, loop: Loop) -> None:
        self._kernel = kernel
        self._log = log
        self._loop = loop
        self._used: dict[int, dict[str, int]] = {}
        self._left: dict[str, int] = {}
        self._waiting: dict[str, Callable[[], object]] = {}  # by the group that is left: what ends waiting for it

    def take_state(self) -> ControlGroupsState:
        """What another daemon has to know to go on."""
        return ControlGroupsState({instance: dict(paths) for instance, paths in self._used.items()}, dict(self._left))

    def put_state(self, state: ControlGroupsState) -> None:
        """Go on from there. Call instance_ended() for all instances that have no process."""
        self._used = {instance: dict(paths) for instance, paths in state.used.items()}
        self._left = dict(state.left)
        for path in state.left:
            if path in self._left:  # and has not gone with one below it
                self._remove(path)

    def instances(self) -> list[int]:
        """All instances that have groups."""
        return list(self._used)

    def prepare(self, effect: Spawn) -> Membership:
        """What the process has to join; its groups are kept from now on. OSError for a lack of descriptors or memory.

        The caller closes `directories` when the process has been forked.
        """
        membership = Membership()
        try:
            membership.groups = _find_groups(effect, trees.find(self._kernel))
            _entered(membership.groups)
            for group in membership.groups:
                trees.make_room(self._kernel, group.tree, group.controllers)
                if group.tree.place not in membership.directories:
                    membership.directories[group.tree.place] = self._kernel.open_directory(group.tree.place)
        except (ControlGroupError, ExpansionError) as error:
            membership.refusal = str(error)
        except OSError as error:
            if error.errno in _SHORTAGES:
                for directory in membership.directories.values():
                    self._kernel.close(directory)
                raise
            membership.refusal = f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror)
        if not membership.refusal:
            for group in membership.groups:
                self._use(effect.instance, group)
        return membership

    def _use(self, instance: int, group: Group) -> None:
        levels = self._levels(group)
        if levels:
            self._used.setdefault(instance, {})[group.path] = levels
            self._left.pop(group.path, None)
            self._stop_waiting(group.path)

    def _levels(self, group: Group) -> int:
        """How many of the last names in its path are ours to remove: not what somebody else has made before."""
        parts = group.name.split("/")
        if parts[0] == _PARENT:
            return len(parts)
        made = {
            path
            for groups in (self._left, *self._used.values())
            for known, levels in groups.items()
            for path in _removable(known, levels)
        }
        for levels, path in enumerate(_removable(group.path, len(parts))):
            if path not in made and self._kernel.exists(path):
                return levels
        return len(parts)

    def instance_ended(self, instance: int) -> None:
        """No process of this instance is left that it knows of: remove its groups, as soon as they are empty."""
        for path, levels in self._used.pop(instance, {}).items():
            if not self._is_used(path):
                self._left[path] = levels
                self._remove(path)

    def _remove(self, path: str, attempt: int = 0) -> None:
        """Remove a group that is left, with those above it that were made for it; or wait until that can be done."""
        self._stop_waiting(path)
        if self._is_above_a_used_one(path):
            return  # It is tried again when the last of those has been removed.
        try:
            self._remove_with_all_below(path)
        except OSError as error:
            if error.errno == errno.EBUSY:
                self._wait(path, attempt)
            else:
                self._give_up(path, error.strerror)
            return
        except ValueError as error:  # a path that is none, out of a state of foreign making
            self._give_up(path, error)
            return
        for above in _removable(path, self._left.pop(path))[1:]:
            if above in self._left:
                self._remove(above)
                return
            if self._is_used(above) or self._is_above_a_used_one(above):
                return
            try:
                self._kernel.remove_directory(above)
            except FileNotFoundError:
                continue  # Its process has not even got to making it.
            except OSError:
                return  # Others have made groups in it.

    def _give_up(self, path: str, reason: object) -> None:
        self._log.warn(f"cannot remove the control group {path!r}: {reason}")
        del self._left[path]

    def _is_used(self, path: str) -> bool:
        return any(path in groups for groups in self._used.values())

    def _is_above_a_used_one(self, path: str) -> bool:
        every = (other for groups in (self._left, *self._used.values()) for other in groups)
        return any(other.startswith(f"{path}/") for other in every)

    def _remove_with_all_below(self, path: str) -> None:
        """The group was the job's to divide."""
        for group in reversed(self._below(path)):
            with contextlib.suppress(OSError):  # what stays keeps the whole
                self._kernel.remove_directory(group)
        with contextlib.suppress(FileNotFoundError):
            self._kernel.remove_directory(path)

    def _below(self, path: str) -> list[str]:
        """The groups in a group, those above others first; of very many only some, as the daemon waits meanwhile."""
        groups = [path]
        for group in groups:
            if len(groups) > _AT_ONCE:
                break
            with contextlib.suppress(FileNotFoundError):
                groups += (f"{group}/{name}" for name in self._kernel.subdirectories(group))
        return groups[1 : _AT_ONCE + 1]

    def _wait(self, path: str, attempt: int) -> None:
        """Try again when some process in it has ended."""
        pidfd = self._somebody_in(path)
        if pidfd is not None:
            self._loop.add_reader(pidfd, partial(self._remove, path))
            self._waiting[path] = partial(self._close_pidfd, pidfd)
        elif attempt < len(RETRY_AFTER):
            timer = self._loop.call_later(RETRY_AFTER[attempt], partial(self._waited, path, attempt + 1))
            self._waiting[path] = timer.cancel
        else:
            self._log.warn(f"cannot remove the control group {path!r}: {os.strerror(errno.EBUSY)}")

    def _somebody_in(self, path: str) -> int | None:
        """A pidfd of some process in the group, or below it."""
        for group in (path, *self._below(path)):
            # Either may be gone when it is asked for.
            with contextlib.suppress(OSError):
                for pid in self._kernel.read_text(f"{group}/cgroup.procs").split():
                    with contextlib.suppress(OSError):
                        return self._kernel.pidfd_open(int(pid))
        return None

    def _close_pidfd(self, pidfd: int) -> None:
        self._loop.remove_reader(pidfd)
        self._kernel.close(pidfd)

    def _waited(self, path: str, attempt: int) -> None:
        del self._waiting[path]
        self._remove(path, attempt)

    def _stop_waiting(self, path: str) -> None:
        if stop := self._waiting.pop(path, None):
            stop()


def _removable(path: str, levels: int) -> list[str]:
    """A group and those above it, as many as that."""
    paths = [path]
    while len(paths) < levels:
        paths.append(os.path.dirname(paths[-1]))
    return paths
