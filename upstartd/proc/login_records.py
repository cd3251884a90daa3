"""The system's login records: what a process leaves in utmp when it ends is marked as dead, and noted in wtmp.

Everything here is best effort: a system may have no such files, and nobody is told of a failure. The files are
not locked: one record is written in one piece, in its place, right after it was read. Sources: utmp(5); lifecycle
specification, 10.
"""

from __future__ import annotations

import os
import struct
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

UTMP = "/run/utmp"
WTMP = "/var/log/wtmp"

# Type, pid, line, id, user, host, exit status of the process (signal, status), session, seconds, microseconds,
# address. The architectures whose C library never had a 32-bit version have wider numbers for the session and time.
_WIDE = struct.Struct("=hxxi32s4s32s256shhqqq16s20x4x")
_NARROW = struct.Struct("=hxxi32s4s32s256shhiii16s20x")
_WIDE_MACHINES = ("aarch64", "aarch64_be", "alpha", "ia64", "loongarch64", "riscv64")

_WHO_CAN_DIE = (5, 6, 7)  # INIT_PROCESS, LOGIN_PROCESS, USER_PROCESS
_DEAD_PROCESS = 8


class LoginRecords:
    """The records in the files `utmp` and `wtmp`; `clock` gives seconds since the epoch.

    What utmp says is read again only when it has changed, so that the many processes without a record cost nothing.
    """

    def __init__(self, clock: Callable[[], float], utmp: str = UTMP, wtmp: str = WTMP) -> None:
        self.record = _WIDE if os.uname().machine in _WIDE_MACHINES else _NARROW
        self._clock = clock
        self._utmp = utmp
        self._wtmp = wtmp
        self._version: tuple[int, int, int] | None = None
        self._places: dict[int, list[int]]  # pid -> where its records begin in utmp

    def process_ended(self, pid: int) -> None:
        """Mark the records of this process, if there are any. Never fails."""
        with suppress(OSError):
            info = os.stat(self._utmp)
            version = (info.st_ino, info.st_mtime_ns, info.st_size)
            if version != self._version:
                self._places = self._read()
                # A file that has just been written may be written again within the same tick of its clock.
                self._version = version if self._clock() - info.st_mtime > 1 else None
            if places := self._places.get(pid):
                self._bury(pid, places)

    def _read(self) -> dict[int, list[int]]:
        places: dict[int, list[int]] = {}
        with open(self._utmp, "rb") as file:
            data = file.read()
        for place in range(0, len(data) - self.record.size + 1, self.record.size):
            kind, pid, *_ = self.record.unpack_from(data, place)
            if kind in _WHO_CAN_DIE:
                places.setdefault(pid, []).append(place)
        return places

    def _bury(self, pid: int, places: list[int]) -> None:
        now = self._clock()
        fd = os.open(self._utmp, os.O_RDWR | os.O_CLOEXEC)
        try:
            for place in places:
                data = os.pread(fd, self.record.size, place)
                if len(data) < self.record.size:
                    continue
                kind, whose, line, name, _user, _host, number, status, session, _s, _us, _ = self.record.unpack(data)
                if whose != pid or kind not in _WHO_CAN_DIE:
                    continue  # somebody else has it by now
                dead = self.record.pack(
                    _DEAD_PROCESS, pid, line, name, b"", b"", number, status, session,
                    int(now), int(now % 1 * 1_000_000), b"",
                )  # fmt: skip
                os.pwrite(fd, dead, place)
                self._note(dead)
        finally:
            os.close(fd)

    def _note(self, record: bytes) -> None:
        """Add a record to wtmp, where that file is kept."""
        with suppress(OSError):
            fd = os.open(self._wtmp, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
            try:
                os.write(fd, record)
            finally:
                os.close(fd)
