"""The log of an instance: its output is written, or held until it can be, or dropped.

Not responsible for where the output comes from (job_logs.py), nor for the file itself (log_file.py). Source:
runtime specification, 6.2 and 6.3; design, 39.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from upstartd.log import Log
    from upstartd.proc.log_file import LogFile, LogPath

# How many bytes are held at most, for one log and for all together.
LOG_LIMIT = 1 << 20
TOTAL_LIMIT = 16 << 20

_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})
# What may be different once the disk is writeable: the early stages of a system's start.
_NOT_WRITEABLE = frozenset({errno.EROFS, errno.EPERM, errno.EACCES})


class Common:
    """What all logs share: how many bytes more may be held, and for which jobs it was said that output is dropped."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self.room = TOTAL_LIMIT
        self._told: set[str] = set()

    def dropped(self, job: str, path: str, error: OSError) -> None:
        """Say that output is dropped, once until some is written again."""
        if job not in self._told:
            self._told.add(job)
            self._log.warn(f"Output of {job} is dropped: cannot write {path}: {error.strerror}")

    def written(self, job: str) -> None:
        """Output of this job was written."""
        self._told.discard(job)


class HeldOutput:
    """Output that waits, in order. What is kept of it has no gap: after a loss nothing is added until all is gone."""

    def __init__(self, common: Common) -> None:
        self._common = common
        self._data = bytearray()
        self._has_lost = False

    def __len__(self) -> int:
        return len(self._data)

    def __bytes__(self) -> bytes:
        return bytes(self._data)

    def add(self, data: bytes) -> bool:
        """Hold `data`, or as much of its beginning as there is room for. Whether that was all."""
        room = 0 if self._has_lost else max(0, min(LOG_LIMIT - len(self._data), self._common.room))
        kept = data[:room]
        self._data += kept
        self._common.room -= len(kept)
        self._has_lost = self._has_lost or len(kept) < len(data)
        return not self._has_lost

    def write_by(self, write: Callable[[bytearray], int]) -> None:
        """Write all of it by `write`, which gives how many bytes it took; what it takes before it raises is gone."""
        while self._data:
            self._remove(write(self._data))
        self._has_lost = False

    def drop(self) -> None:
        """Hold nothing any more."""
        self._remove(len(self._data))
        self._has_lost = False

    def _remove(self, size: int) -> None:
        del self._data[:size]
        self._common.room += size


class JobLog:
    """The log of one instance. `writers` counts the processes whose output it takes.

    `error` is why the last attempt to write failed; None: it did not.
    """

    def __init__(self, job: str, where: LogPath, common: Common) -> None:
        self.job = job
        self.where = where
        self.writers = 0
        self.error: OSError | None = None
        self.held = HeldOutput(common)
        self._common = common

    def write(self, file: LogFile, data: bytes = b"") -> None:
        """Write to `file` what is held, and then `data`; what cannot be written is held or dropped."""
        rest = data
        try:
            self.held.write_by(file.append)
            while rest:
                rest = rest[file.append(rest) :]
        except OSError as error:
            self.error = error
            # A full disk is not waited for: only what was held before, or was cut in the middle, stays.
            is_thrown_away = error.errno in _NO_SPACE and rest is data
            if rest and (is_thrown_away or not self.held.add(rest)):
                self._common.dropped(self.job, self.where.path, error)
        else:
            self.error = None
            self._common.written(self.job)

    @property
    def may_be_kept(self) -> bool:
        """Whether what is held may find a writeable disk later."""
        return self.error is not None and self.error.errno in _NOT_WRITEABLE

    def lose(self) -> None:
        """Drop what is held, and say so."""
        if self.error is not None:
            self._common.dropped(self.job, self.where.path, self.error)
        self.held.drop()
