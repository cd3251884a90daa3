"""The system's login records: what a process leaves in utmp when it ends is marked as dead, and noted in wtmp.

Everything here is best effort: a system may have no such files, and nobody is told of a failure. Not responsible for
how records are laid out (upstartd/utmp.py). The files are not locked: one record is written in one piece, in its
place, right after it was read. Sources: utmp(5); lifecycle specification, 10.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from upstartd import utmp as files

if TYPE_CHECKING:
    from collections.abc import Callable

_WHO_CAN_DIE = (files.INIT_PROCESS, files.LOGIN_PROCESS, files.USER_PROCESS)


class LoginRecords:
    """The records in the files `utmp` and `wtmp`; `clock` gives seconds since the epoch.

    What utmp says is read again only when it has changed, so that the many processes without a record cost nothing.
    """

    def __init__(self, clock: Callable[[], float], utmp: str = files.UTMP, wtmp: str = files.WTMP) -> None:
        self._clock = clock
        self._utmp = utmp
        self._wtmp = wtmp
        self._version: tuple[int, int, int] | None = None
        self._places: dict[int, list[int]]  # pid -> the numbers of its records in utmp

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
        for index, record in enumerate(files.records(self._utmp)):
            if record.kind in _WHO_CAN_DIE:
                places.setdefault(record.pid, []).append(index)
        return places

    def _bury(self, pid: int, places: list[int]) -> None:
        now = self._clock()
        self._version = None
        file = os.open(self._utmp, os.O_RDWR | os.O_CLOEXEC)
        try:
            for index in places:
                record = files.record_at(file, index)
                if record is None or record.pid != pid or record.kind not in _WHO_CAN_DIE:
                    continue  # somebody else has it by now
                dead = record._replace(kind=files.DEAD_PROCESS, user=b"", host=b"", seconds=int(now),
                                       microseconds=int(now % 1 * 1_000_000), address=b"")
                files.put_at(file, index, dead)
                with suppress(OSError):
                    files.append(self._wtmp, dead)
        finally:
            os.close(file)
