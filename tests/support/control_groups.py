"""Trees of control groups in memory, with the rules of the kernel's own that matter here, for a ScriptedKernel."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

from support.scripted_kernel import DAEMON, ScriptedKernel, refusal

if TYPE_CHECKING:
    from collections.abc import Iterable

# The files of each controller, by the version of the tree.
_SETTINGS = {
    1: {"cpu": ("cpu.shares",), "memory": ("memory.limit_in_bytes",), "cpuset": ("cpuset.cpus", "cpuset.mems"),
        "pids": ("pids.max",)},
    2: {"cpu": ("cpu.weight", "cpu.max"), "memory": ("memory.max", "memory.swap.max"), "pids": ("pids.max",)},
}  # fmt: skip


def mount(point: str, version: int, options: str = "rw", root: str = "/") -> str:
    """A line of /proc/self/mountinfo."""
    kind = "cgroup2" if version == 2 else "cgroup"
    return f"33 32 0:30 {root} {point} rw,nosuid shared:9 - {kind} {kind} {options}\n"


class ScriptedGroups:
    """Groups by path, each with its files; `kernel` is one that has them.

    `own` is what /proc/self/cgroup says, `mounts` what mountinfo says. `members` are the processes of each group.
    """

    def __init__(self, own: str, mounts: str, **answers: Any) -> None:
        self.files: dict[str, dict[str, str]] = {}
        self.members: dict[str, list[int]] = {}
        self.given: list[tuple[str, int, int]] = []
        self._trees: dict[str, tuple[int, tuple[str, ...]]] = {}  # version and controllers, by the place of the root
        self._open: dict[int, str] = {}
        self._proc = {"/proc/self/cgroup": own, "/proc/self/mountinfo": mounts}
        self.kernel = ScriptedKernel(**{
            "exists": self._exists, "subdirectories": self._subdirectories, "open_directory": self._open_below,
            "open": lambda path, _, directory=None: self._open_below(path, directory), "read_text": self._read,
            "write_text": self._write, "make_directory": self.make, "remove_directory": self._remove,
            "give": self._give, "close": lambda fd: self._open.pop(fd, None), "write": self._write_open, **answers,
        })  # fmt: skip

    def tree(self, place: str, version: int, *controllers: str) -> None:
        """Mount a tree there."""
        self._trees[place] = version, controllers
        self._add(place, version, controllers)
        self.files[place].pop("cgroup.type", None)

    def made(self) -> list[str]:
        """The groups that there are, but for the roots."""
        return sorted(self.files.keys() - self._trees.keys())

    def still_open(self) -> list[str]:
        """What has been opened and not closed."""
        return list(self._open.values())

    def make(self, path: str, directory: int | None = None) -> None:
        path = self._at(path, directory)
        above = path.rpartition("/")[0]
        if path in self.files or above not in self.files:
            raise refusal(errno.EEXIST if path in self.files else errno.ENOENT)
        version, controllers = self._trees[self._place(path)]
        self._add(path, version, self.files[above]["cgroup.subtree_control"].split() if version == 2 else controllers)

    # -- the kernel's side ------------------------------------------------------------------------------------

    def _place(self, path: str) -> str:
        return next(place for place in self._trees if f"{path}/".startswith(f"{place}/"))

    def _add(self, path: str, version: int, controllers: Iterable[str]) -> None:
        files = dict.fromkeys((file for name in controllers for file in _SETTINGS[version].get(name, ())), "")
        if version == 2:
            files |= {"cgroup.type": "domain\n", "cgroup.controllers": f"{' '.join(controllers)}\n",
                      "cgroup.subtree_control": "\n", "cgroup.threads": "", "cgroup.freeze": "0\n"}  # fmt: skip
        else:
            files["tasks"] = ""
        self.files[path] = files | {"cgroup.procs": ""}
        self.members[path] = []

    def _at(self, path: str, directory: int | None) -> str:
        path = path if directory is None else f"{self._open[directory]}/{path}"
        return path.replace("/./", "/").removesuffix("/.")

    def _exists(self, path: str) -> bool:
        group, _, file = path.rpartition("/")
        return path in self.files or file in self.files.get(group, ())

    def _split(self, path: str, directory: int | None) -> tuple[str, str]:
        """Group and file, both of which exist."""
        path = self._at(path, directory)
        if not self._exists(path):
            raise refusal(errno.ENOENT)
        group, _, file = path.rpartition("/")
        return group, file

    def _subdirectories(self, path: str) -> list[str]:
        self._split(path, None)
        return sorted(group.rpartition("/")[2] for group in self.files if group.rpartition("/")[0] == path)

    def _open_below(self, path: str, directory: int | None = None) -> int:
        self._split(path, directory)
        fd = self.kernel.fresh_fd()
        self._open[fd] = self._at(path, directory)
        return fd

    def _read(self, path: str, directory: int | None = None) -> str:
        if path in self._proc:
            return self._proc[path]
        group, file = self._split(path, directory)
        return "".join(f"{pid}\n" for pid in self.members[group]) if file == "cgroup.procs" else self.files[group][file]

    def _write(self, path: str, text: str, directory: int | None = None) -> None:
        group, file = self._split(path, directory)
        match file:
            case "cgroup.procs":
                self._move(int(text) or self.kernel.last_pid, group)
            case "cgroup.subtree_control":
                self._hand_down(group, {word.removeprefix("+") for word in text.split()})
            case _:
                self.files[group][file] = f"{text}\n"

    def _write_open(self, fd: int, data: bytes) -> int:
        if fd in self._open:
            self._write(self._open[fd], data.decode())
        else:
            self.kernel.written[fd] = self.kernel.written.get(fd, b"") + data
        return len(data)

    def _hand_down(self, group: str, controllers: set[str]) -> None:
        files = self.files[group]
        if self.members[group] and "cgroup.type" in files:
            raise refusal(errno.EBUSY)
        if not controllers <= set(files["cgroup.controllers"].split()):
            raise refusal(errno.ENOENT)
        handed = sorted({*files["cgroup.subtree_control"].split(), *controllers})
        files["cgroup.subtree_control"] = " ".join(handed)
        for name in self._subdirectories(group):
            below = self.files[f"{group}/{name}"]
            below["cgroup.controllers"] = files["cgroup.subtree_control"]
            for file in (file for each in handed for file in _SETTINGS[2].get(each, ())):
                below.setdefault(file, "")

    def _move(self, pid: int, group: str) -> None:
        files = self.files[group]
        if "cgroup.type" in files and files["cgroup.subtree_control"].strip():
            raise refusal(errno.EBUSY)
        if "" in (files.get("cpuset.cpus"), files.get("cpuset.mems")):
            raise refusal(errno.ENOSPC)
        for other, members in self.members.items():
            if self._place(other) == self._place(group) and pid in members:
                members.remove(pid)
        self.members[group].append(pid)

    def _remove(self, path: str) -> None:
        self._split(path, None)
        if self.members[path] or self._subdirectories(path):
            raise refusal(errno.EBUSY)
        del self.files[path], self.members[path]

    def _give(self, path: str, uid: int, gid: int, directory: int | None = None) -> None:
        self._split(path, directory)
        self.given.append((self._at(path, directory), uid, gid))


def unified(*controllers: str, own: str = "", **answers: Any) -> ScriptedGroups:
    """A tree of version 2, and no other; the daemon is in its root, or in the group `own`."""
    groups = ScriptedGroups(f"0::{own or '/'}\n", mount("/cg", 2), **answers)
    groups.tree("/cg", 2, *controllers)
    if own:
        groups.files["/cg"]["cgroup.subtree_control"] = " ".join(controllers)
        groups.make(f"/cg{own}")
    groups.members[f"/cg{own}"].append(DAEMON)
    return groups


def separate(*controllers: str, **answers: Any) -> ScriptedGroups:
    """A tree of version 1 for each controller, and one of version 2 that has none; the daemon is in their roots."""
    own = "".join(f"{number}:{name}:/\n" for number, name in enumerate(controllers, 1)) + "0::/\n"
    mounts = "".join(mount(f"/cg/{name}", 1, f"rw,{name}") for name in controllers) + mount("/cg/unified", 2)
    groups = ScriptedGroups(own, mounts, **answers)
    for name in controllers:
        groups.tree(f"/cg/{name}", 1, name)
    groups.tree("/cg/unified", 2)
    return groups
