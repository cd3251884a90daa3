"""A machine (upstartd/machine.py) as a test wants it: what is there, what is refused, and what was asked of it."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from upstartd.machine import Reboot


class ScriptedMachine:
    """`there` are the files and mount points that exist; whatever it is asked for is noted in `calls`, as text.

    `refused` has an errno for the beginning of a call; a call that is refused is noted as well. `deaf` is how many
    signals to everybody have no effect.
    """

    def __init__(self, *there: str, refused: dict[str, int] | None = None, deaf: int = 0) -> None:
        self.there = set(there)
        self.refused = refused or {}
        self.deaf = deaf
        self.calls: list[str] = []
        self.open_files = {0: "stdin", 1: "stdout", 2: "stderr"}
        self.mounts: list[str] = []
        self.swaps: list[str] = []

    def _note(self, *words: object) -> None:
        call = " ".join(map(str, words))
        self.calls.append(call)
        self._refuse(call)

    def _refuse(self, call: str) -> None:
        for beginning, number in self.refused.items():
            if call.startswith(beginning):
                raise OSError(number, os.strerror(number))

    def asked(self, word: str) -> list[str]:
        """The calls that begin with `word`, without it."""
        return [call.removeprefix(f"{word} ") for call in self.calls if call.startswith(f"{word} ")]

    # -- the process ----------------------------------------------------------------------------------------

    def new_session(self) -> None:
        self._note("setsid")

    def umask(self, mask: int, /) -> int:
        self._note("umask", mask)
        return 0o022

    def chdir(self, path: str, /) -> None:
        self._note("chdir", path)

    def rename(self, name: str, line: str, /) -> None:
        self._note("rename", name, line)

    # -- files ----------------------------------------------------------------------------------------------

    def exists(self, path: str, /) -> bool:
        return path in self.there

    def is_mount_point(self, path: str, /) -> bool:
        return path in self.mounts

    def make_directory(self, path: str, mode: int, /) -> None:
        self._note("mkdir", path, f"{mode:o}")
        self.there.add(path)

    def make_device(self, path: str, mode: int, major: int, minor: int, /) -> None:
        self._note("mknod", path, f"{mode:o}", major, minor)
        self.there.add(path)

    def open(self, path: str, flags: int, /) -> int:
        self._note("open", path)
        if path not in self.there:
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
        fd = max(self.open_files, default=0) + 10
        self.open_files[fd] = path
        return fd

    def is_open(self, fd: int, /) -> bool:
        return fd in self.open_files

    def become(self, fd: int, number: int, /) -> None:
        self.open_files[number] = self.open_files[fd]

    def close(self, fd: int, /) -> None:
        del self.open_files[fd]

    # -- file systems ---------------------------------------------------------------------------------------

    def mount(self, source: str, target: str, kind: str, flags: int, data: str, /) -> None:
        self._note("mount", target, kind, flags, data)
        if target not in self.mounts:
            self.mounts.append(target)

    def unmount(self, target: str, /) -> None:
        self._note("unmount", target)
        self.mounts.remove(target)

    def mount_points(self) -> list[str]:
        self._refuse("list")
        return list(self.mounts)

    def swap_files(self) -> list[str]:
        self._refuse("list")
        return list(self.swaps)

    def swap_off(self, path: str, /) -> None:
        self._note("swapoff", path)

    def sync(self) -> None:
        self._note("sync")

    # -- console and keyboard -------------------------------------------------------------------------------

    def make_sane(self, fd: int, /) -> None:
        self._note("sane", self.open_files[fd])

    def disable_ctrl_alt_delete(self) -> None:
        self._note("no-ctrl-alt-delete")

    def accept_keyboard_request(self, fd: int, number: int, /) -> None:
        self._note("keyboard", self.open_files[fd], number)

    def report_crashes(self, fd: int, /) -> None:
        self._note("crashes", self.open_files[fd])

    # -- the end --------------------------------------------------------------------------------------------

    def kill_all(self, number: int, /) -> None:
        self._note("kill", number)

    def collect_all(self, seconds: float, /) -> bool:
        self._note("collect", seconds)
        self.deaf -= 1
        return self.deaf < 0

    def in_child(self, do: Callable[[], object], seconds: float, /) -> None:
        self.calls.append("child")
        do()

    def reboot(self, how: Reboot, /) -> None:
        self._note("reboot", how.name)
