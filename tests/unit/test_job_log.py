"""What becomes of output that cannot be written: held within bounds, in order, or dropped with one word about it."""

from __future__ import annotations

import errno
import os

import pytest

from support.scripted_kernel import RecordedLog
from upstartd.log import Priority
from upstartd.proc.job_log import LOG_LIMIT, TOTAL_LIMIT, Common, HeldOutput, JobLog
from upstartd.proc.log_file import LogPath

DROPPED = "init: Output of web is dropped: cannot write /logs/web.log: "


class File:
    """A log file of which the test says what it does: `error` is what it refuses with, after `room` bytes."""

    def __init__(self) -> None:
        self.content = b""
        self.error: int | None = None
        self.room = 0
        self.at_once = 1 << 30  # no write takes more

    def append(self, data: bytes | bytearray) -> int:
        size = min(len(data), self.at_once)
        if self.error is not None:
            size = min(size, self.room)
            self.room -= size
            if not size:
                raise OSError(self.error, os.strerror(self.error))
        self.content += data[:size]
        return size


class Stage:
    def __init__(self) -> None:
        self.daemon_log = RecordedLog(Priority.DEBUG)
        self.common = Common(self.daemon_log)
        self.file = File()
        self.log = self.new_log("web")

    def new_log(self, job: str) -> JobLog:
        return JobLog(job, LogPath(f"/logs/{job}.log"), self.common)

    def write(self, data: bytes = b"", log: JobLog | None = None) -> None:
        (log or self.log).write(self.file, data)  # type: ignore[arg-type]  # a File stands for a LogFile

    @property
    def lines(self) -> list[str]:
        return self.daemon_log.lines


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_output_is_written_as_it_comes(stage: Stage) -> None:
    stage.write(b"one\n")
    stage.write(b"\0two")
    assert stage.file.content == b"one\n\0two"
    assert not stage.log.held


def test_a_file_that_takes_a_part_at_a_time_gets_all(stage: Stage) -> None:
    stage.file.at_once = 3
    stage.write(b"one two three")
    assert stage.file.content == b"one two three"


@pytest.mark.parametrize("number", [errno.ENOENT, errno.EACCES, errno.EROFS, errno.EIO, errno.ELOOP, errno.EMFILE])
def test_what_cannot_be_written_is_held_and_comes_before_newer_output(stage: Stage, number: int) -> None:
    stage.file.error = number
    stage.write(b"one ")
    stage.write(b"two ")
    assert (bytes(stage.log.held), stage.file.content) == (b"one two ", b"")
    stage.file.error = None
    stage.write(b"three")
    assert stage.file.content == b"one two three"
    assert stage.lines == []


def test_what_is_held_is_written_at_an_attempt_without_new_output(stage: Stage) -> None:
    stage.file.error = errno.ENOENT
    stage.write(b"one")
    stage.file.error = None
    stage.write()
    assert (stage.file.content, len(stage.log.held), stage.log.error) == (b"one", 0, None)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_drops_new_output_at_once(stage: Stage, number: int) -> None:
    stage.file.error = number
    stage.write(b"lost")
    stage.write(b"lost too")
    assert len(stage.log.held) == 0
    assert stage.lines == [DROPPED + os.strerror(number)]
    stage.file.error = None
    stage.write(b"back")
    assert stage.file.content == b"back"


def test_a_full_disk_leaves_held_what_was_held_before(stage: Stage) -> None:
    stage.file.error = errno.EACCES
    stage.write(b"early ")
    stage.file.error = errno.ENOSPC
    stage.write(b"lost ")
    assert bytes(stage.log.held) == b"early "
    stage.file.error = None
    stage.write(b"late")
    assert stage.file.content == b"early late"


def test_the_rest_of_what_was_written_in_part_follows_first(stage: Stage) -> None:
    stage.file.error, stage.file.room = errno.ENOSPC, 4
    stage.write(b"one two")
    assert (stage.file.content, bytes(stage.log.held)) == (b"one ", b"two")
    assert stage.lines == []
    stage.write(b" lost")
    stage.file.error = None
    stage.write(b" three")
    assert stage.file.content == b"one two three"


def test_an_attempt_that_fails_drops_nothing_and_says_nothing(stage: Stage) -> None:
    stage.file.error = errno.EACCES
    stage.write(b"one")
    stage.file.error = errno.ENOSPC
    stage.write()
    assert (bytes(stage.log.held), stage.lines) == (b"one", [])


# -- bounds -------------------------------------------------------------------------------------------------


def test_the_oldest_mebibyte_is_held_and_the_log_says_once_that_more_is_dropped(stage: Stage) -> None:
    stage.file.error = errno.ENOENT
    stage.write(b"a" * (LOG_LIMIT - 2))
    assert stage.lines == []
    stage.write(b"bcde")
    stage.write(b"f")
    assert len(stage.log.held) == LOG_LIMIT
    assert bytes(stage.log.held).endswith(b"abc")
    assert stage.lines == [DROPPED + "No such file or directory"]


def test_after_a_loss_nothing_is_held_until_all_is_written(stage: Stage) -> None:
    stage.file.error = errno.EIO
    stage.write(b"a" * LOG_LIMIT + b"lost")
    stage.file.room = 10  # so that there is room for some of it again
    stage.write(b"lost too")
    assert len(stage.log.held) == LOG_LIMIT - 10
    stage.file.error = None
    stage.write(b"end")
    assert stage.file.content == b"a" * LOG_LIMIT + b"end"


def test_a_loss_is_told_again_after_output_was_written(stage: Stage) -> None:
    stage.file.error = errno.ENOSPC
    stage.write(b"lost")
    stage.file.error = None
    stage.write(b"written")
    stage.file.error = errno.ENOSPC
    stage.write(b"lost")
    assert len(stage.lines) == 2


def test_all_logs_together_hold_sixteen_mebibytes(stage: Stage) -> None:
    stage.file.error = errno.EROFS
    logs = [stage.new_log(f"job{n}") for n in range(20)]
    for log in logs:
        stage.write(b"x" * LOG_LIMIT, log)
    assert [len(log.held) for log in logs] == [LOG_LIMIT] * 16 + [0] * 4
    assert TOTAL_LIMIT == 16 * LOG_LIMIT
    assert len(stage.lines) == 4


def test_what_was_written_or_given_up_makes_room_for_others(stage: Stage) -> None:
    stage.file.error = errno.EROFS
    for log in (first := stage.new_log("one")), (second := stage.new_log("two")):
        stage.write(b"x" * LOG_LIMIT, log)
    assert stage.common.room == TOTAL_LIMIT - 2 * LOG_LIMIT
    first.lose()
    stage.file.error = None
    stage.write(log=second)
    assert stage.common.room == TOTAL_LIMIT


def test_a_state_may_hold_more_than_there_is_room_for(stage: Stage) -> None:
    held = HeldOutput(stage.common)
    assert not held.add(b"x" * (LOG_LIMIT + 1))
    assert len(held) == LOG_LIMIT


def test_output_that_is_given_up_is_told(stage: Stage) -> None:
    stage.file.error = errno.ENOENT
    stage.write(b"lost")
    stage.log.lose()
    assert (len(stage.log.held), stage.lines) == (0, [DROPPED + "No such file or directory"])


@pytest.mark.parametrize(("number", "may"), [(errno.EROFS, True), (errno.EPERM, True), (errno.EACCES, True),
                                             (errno.ENOENT, False), (errno.ENOSPC, False), (errno.EIO, False)])
def test_only_what_a_writeable_disk_would_change_may_be_kept_for_later(stage: Stage, number: int, may: bool) -> None:
    stage.file.error = number
    stage.write(b"x")
    assert stage.log.may_be_kept is may
    stage.file.error = None
    stage.write(b"y")
    assert not stage.log.may_be_kept
