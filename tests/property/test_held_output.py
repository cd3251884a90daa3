"""Whatever happens to a log and in whatever order: what is in it is the output, but for what a full disk dropped."""

from __future__ import annotations

import errno
import os

from hypothesis import given
from hypothesis import strategies as st

from upstartd.log import Log, Priority
from upstartd.proc import job_log
from upstartd.proc.job_log import Common, JobLog
from upstartd.proc.log_file import LogPath

REFUSALS = st.sampled_from([None, errno.ENOENT, errno.EACCES, errno.ENOSPC, errno.EIO])
# What comes: so many bytes of output, to a file that refuses after so many bytes, if it does.
COMING = st.tuples(st.integers(0, 40), REFUSALS, st.integers(0, 20), st.integers(1, 7))
LIMIT, TOTAL = 60, 100


class File:
    def __init__(self) -> None:
        self.content: list[int] = []

    def prepare(self, error: int | None, room: int, at_once: int) -> None:
        self.error, self.room, self.at_once = error, room, at_once

    def append(self, data: bytes | bytearray) -> int:
        size = min(len(data), self.at_once, len(data) if self.error is None else self.room)
        self.room -= size
        if not size:
            assert self.error is not None
            raise OSError(self.error, os.strerror(self.error))
        self.content += data[:size]
        return size


@given(st.lists(st.tuples(st.integers(0, 2), COMING), max_size=60))
def test_output_stays_in_order_and_within_bounds(coming: list[tuple[int, tuple[int, int | None, int, int]]]) -> None:
    bounds = job_log.LOG_LIMIT, job_log.TOTAL_LIMIT
    job_log.LOG_LIMIT, job_log.TOTAL_LIMIT = LIMIT, TOTAL
    try:
        common = Common(Log(Priority.FATAL))
        logs = [JobLog(name, LogPath(name), common) for name in "abc"]
        files = [File() for _ in logs]
        counts = [0] * len(logs)
        for which, (size, error, room, at_once) in coming:
            files[which].prepare(error, room, at_once)
            # Each byte says where it stands: its place in the output of its log.
            data = bytes((counts[which] + place) % 251 for place in range(size))
            counts[which] += size
            before = len(logs[which].held) + len(files[which].content)
            logs[which].write(files[which], data)  # type: ignore[arg-type]  # a File stands for a LogFile
            held = [len(log.held) for log in logs]
            assert max(held) <= LIMIT
            assert sum(held) == TOTAL - common.room <= TOTAL
            if error is None:
                assert held[which] == 0
                assert len(files[which].content) == before + size
        for log, file, count in zip(logs, files, counts, strict=True):
            output = [place % 251 for place in range(count)]
            assert is_made_of(file.content + list(bytes(log.held)), output)
    finally:
        job_log.LOG_LIMIT, job_log.TOTAL_LIMIT = bounds


def is_made_of(part: list[int], whole: list[int]) -> bool:
    """Whether `part` is `whole` with some of it left out."""
    rest = iter(whole)
    return all(byte in rest for byte in part)
