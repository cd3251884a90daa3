"""From terminals to logs: real terminals and files, an event loop turned by hand, and a kernel that may refuse."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import json
import os
import select
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from support.faulty_kernel import FaultyKernel
from support.scripted_kernel import RecordedLog, ScriptedLoop, spawn_effect
from upstartd.conf.model import ProcessName
from upstartd.log import Priority
from upstartd.proc.job_log import LOG_LIMIT
from upstartd.proc.job_logs import JobLogs, JobLogsState, LogState, OutputState
from upstartd.proc.log_file import LogPath
from upstartd.state.codec import decode, encode

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAIN, PRE_START = ProcessName.MAIN, ProcessName.PRE_START


class Stage:
    """JobLogs with logs in `directory`; tests hold the processes' sides of the terminals."""

    def __init__(self, directory: Path | None, kernel: FaultyKernel | None = None) -> None:
        self.directory = directory
        self.kernel = kernel or FaultyKernel()
        self.loop = ScriptedLoop()
        self.log = RecordedLog(Priority.DEBUG)
        place = None if directory is None else str(directory)
        self.logs = JobLogs(self.kernel, directory=place, log=self.log, loop=self.loop)
        self.held: list[int] = []  # the terminals that are open on the processes' side

    def open(self, job: str = "web", instance: int = 1, process: ProcessName = MAIN, name: str = "") -> int:
        effect = dataclasses.replace(
            spawn_effect(instance=instance, process=process), job_name=job, instance_name=name, title=job
        )
        fd = self.logs.open(effect)
        assert fd is not None
        self.held.append(fd)
        return fd

    def close(self, fd: int) -> None:
        os.close(fd)
        self.held.remove(fd)

    def turn(self) -> bool:
        """Let the loop look once; whether there was anything to be read."""
        # The kernel passes on what is written to a terminal a little later, or when that is asked for itself.
        select.select(list(self.logs._outputs), [], [], 0)
        ready = select.select(list(self.loop.readers), [], [], 0)[0]
        for fd in ready:
            self.loop.readers[fd]()
        return bool(ready)

    def turn_all(self) -> None:
        while self.turn():
            pass

    def content(self, name: str = "web.log") -> bytes | None:
        assert self.directory is not None
        path = self.directory / name
        return path.read_bytes() if path.exists() else None

    def hand_over(self) -> JobLogsState:
        """Go on as after a re-execution, of which only the state is left; gives that."""
        state = self.logs.take_state()
        for poll in self.loop.readers:
            os.close(poll)
        self.logs._poll = None
        self.loop = ScriptedLoop()
        self.logs = JobLogs(self.kernel, directory=str(self.directory), log=self.log, loop=self.loop)
        self.logs.put_state(decode(JobLogsState, json.loads(json.dumps(encode(state)))))
        assert self.logs.take_state() == state
        return state


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    opened = set(os.listdir("/proc/self/fd"))
    stage = Stage(tmp_path)
    yield stage
    for fd in stage.held:
        os.close(fd)
    stage.logs.close()
    assert set(os.listdir("/proc/self/fd")) == opened


@pytest.fixture
def no_directory(stage: Stage, tmp_path: Path) -> Path:
    """A directory for logs that is not there yet."""
    stage.directory = tmp_path / "later"
    stage.logs._directory = str(stage.directory)
    return stage.directory


# -- while processes run ------------------------------------------------------------------------------------


def test_output_is_in_the_log_as_soon_as_the_loop_has_looked(stage: Stage) -> None:
    fd = stage.open()
    assert not stage.turn()
    os.write(fd, b"one\ntw\0")
    assert stage.turn()
    assert stage.content() == b"one\ntw\0"
    assert not stage.turn()


def test_a_silent_process_has_no_log(stage: Stage) -> None:
    stage.close(stage.open())
    stage.logs.process_ended(1, MAIN)
    assert stage.content() is None
    assert not stage.turn()


def test_an_unfinished_line_goes_on_where_it_was(stage: Stage) -> None:
    for part in (b"unfin", b"ished\n"):
        fd = stage.open()
        os.write(fd, part)
        stage.close(fd)
        stage.logs.process_ended(1, MAIN)
    assert stage.content() == b"unfinished\n"


def test_all_processes_of_an_instance_write_to_one_log(stage: Stage) -> None:
    first, second = stage.open(process=PRE_START), stage.open()
    os.write(first, b"one ")
    stage.turn_all()
    os.write(second, b"two ")
    stage.turn_all()
    os.write(first, b"three")
    stage.turn_all()
    assert stage.content() == b"one two three"


def test_each_instance_has_its_own_log(stage: Stage) -> None:
    for instance, name in enumerate(("", "a/b")):
        os.write(stage.open("net/web", instance, name=name), name.encode() + b".")
    stage.turn_all()
    assert (stage.content("net_web.log"), stage.content("net_web-a_b.log")) == (b".", b"a/b.")


def test_what_a_process_has_written_is_in_the_log_when_its_end_is_told(stage: Stage) -> None:
    fd = stage.open()
    os.set_blocking(fd, False)
    written = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            written += os.write(fd, b"x" * 1000)
    stage.close(fd)
    stage.logs.process_ended(1, MAIN)
    assert stage.content() == b"x" * written


def test_what_is_left_behind_is_logged_as_long_as_it_writes(stage: Stage) -> None:
    fd = stage.open()
    os.write(fd, b"main ")
    stage.logs.process_ended(1, MAIN)
    os.write(fd, b"child ")
    stage.turn_all()
    os.write(stage.open(), b"next ")  # the job was started again meanwhile
    stage.turn_all()
    os.write(fd, b"child")
    stage.close(fd)
    stage.turn_all()
    assert stage.content() == b"main child next child"


def test_a_left_behind_writer_that_never_rests_does_not_keep_the_end_from_being_told(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.open()
    reads = 0

    def endless(_fd: int, _size: int) -> bytes:
        nonlocal reads
        reads += 1
        return b"x"

    monkeypatch.setattr(stage.kernel, "read", endless)
    stage.logs.process_ended(1, MAIN)
    assert reads == 64
    assert stage.content() == b"x" * 64


def test_who_closes_its_output_and_lives_on_is_forgotten(stage: Stage) -> None:
    stage.close(stage.open())
    stage.turn_all()
    assert stage.logs.take_state().logs == ()
    stage.logs.process_ended(1, MAIN)


def test_each_turn_reads_a_bounded_part_and_all_terminals_get_theirs(stage: Stage, monkeypatch: Any) -> None:
    fds = [stage.open(f"job{n}", n) for n in range(40)]
    reads: list[int] = []
    read = stage.kernel.read

    def counting(fd: int, size: int) -> bytes:
        reads.append(fd)
        return read(fd, size)

    monkeypatch.setattr(stage.kernel, "read", counting)
    for fd in fds:
        os.write(fd, b"x" * 3000)
    for _ in range(3):
        before = len(reads)
        assert stage.turn()
        assert len(reads) - before <= 16
    assert all(stage.content(f"job{n}.log") == b"x" * 3000 for n in range(40))


def test_without_a_directory_there_is_no_terminal() -> None:
    stage = Stage(None)
    assert stage.logs.open(spawn_effect()) is None
    assert stage.log.lines == []
    assert stage.loop.readers == {}
    stage.logs.close()


def test_a_job_without_a_terminal_goes_without_until_its_file_is_read_again(stage: Stage) -> None:
    stage.kernel.terminal_error = errno.ENOSPC
    assert stage.logs.open(spawn_effect()) is None
    assert stage.log.lines == ["init: Failed to create pty - disabling logging for job"]
    stage.kernel.terminal_error = None
    assert stage.logs.open(spawn_effect()) is None
    stage.open("other")
    stage.logs.job_was_read("web")
    stage.open()
    assert len(stage.log.lines) == 1


def test_a_terminal_that_cannot_be_watched_is_none(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> NoReturn:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(select, "epoll", refuse)
    assert stage.logs.open(spawn_effect()) is None
    assert stage.log.lines == ["init: Failed to create pty - disabling logging for job"]


# -- files that cannot be opened or written -----------------------------------------------------------------


def test_output_waits_for_its_directory_while_the_process_runs(stage: Stage, no_directory: Path) -> None:
    fd = stage.open()
    os.write(fd, b"early ")
    stage.turn_all()
    no_directory.mkdir()
    assert stage.content() is None
    os.write(fd, b"late")
    stage.turn_all()
    assert stage.content() == b"early late"


def test_at_the_end_of_the_process_one_more_attempt_is_made(stage: Stage, no_directory: Path) -> None:
    fd = stage.open()
    os.write(fd, b"early")
    stage.turn_all()
    no_directory.mkdir()
    stage.close(fd)
    stage.logs.process_ended(1, MAIN)
    assert stage.content() == b"early"


def test_at_the_end_of_the_process_what_it_leaves_behind_does_not_hold_output_up(
    stage: Stage, no_directory: Path
) -> None:
    os.write(stage.open(), b"early")
    stage.turn_all()
    no_directory.mkdir()
    stage.logs.process_ended(1, MAIN)
    assert stage.content() == b"early"


def test_output_of_an_ended_process_is_lost_with_its_directory(stage: Stage, no_directory: Path) -> None:
    fd = stage.open()
    os.write(fd, b"lost")
    stage.close(fd)
    stage.logs.process_ended(1, MAIN)
    no_directory.mkdir()
    assert stage.logs.write_held() is None
    assert stage.content() is None
    assert stage.log.lines == [
        f"init: Output of web is dropped: cannot write {no_directory}/web.log: No such file or directory"
    ]


@pytest.mark.parametrize("number", [errno.EROFS, errno.EPERM, errno.EACCES])
def test_output_of_an_ended_process_waits_for_a_writeable_disk(stage: Stage, number: int) -> None:
    stage.kernel.open_error = number
    for instance in ("1", "2"):
        fd = stage.open(name=instance)
        os.write(fd, b"early " + instance.encode())
        stage.close(fd)
        stage.logs.process_ended(1, MAIN)
    error = stage.logs.write_held()
    assert error is not None
    assert error.strerror == os.strerror(number)
    assert stage.content("web-1.log") is None
    stage.kernel.open_error = None
    assert stage.logs.write_held() is None
    assert (stage.content("web-1.log"), stage.content("web-2.log")) == (b"early 1", b"early 2")
    assert stage.logs.write_held() is None
    assert stage.log.lines == []


def test_kept_output_comes_before_that_of_the_next_process(stage: Stage) -> None:
    stage.kernel.open_error = errno.EROFS
    fd = stage.open(process=PRE_START)
    os.write(fd, b"first ")
    stage.close(fd)
    stage.logs.process_ended(1, PRE_START)
    stage.kernel.open_error = None
    os.write(stage.open(), b"second")
    stage.turn_all()
    assert stage.content() == b"first second"


def test_once_the_disk_was_writeable_nothing_is_kept_beyond_the_end_of_a_process(stage: Stage) -> None:
    assert stage.logs.write_held() is None
    stage.kernel.open_error = errno.EACCES
    fd = stage.open()
    os.write(fd, b"lost")
    stage.close(fd)
    stage.logs.process_ended(1, MAIN)
    stage.kernel.open_error = None
    assert stage.logs.write_held() is None
    assert stage.content() is None
    assert len(stage.log.lines) == 1


def test_an_attempt_to_write_what_is_kept_that_fails_changes_nothing(stage: Stage) -> None:
    stage.kernel.open_error = errno.EROFS
    for text in (b"one ", b"two"):
        fd = stage.open()
        os.write(fd, text)
        stage.close(fd)
        stage.logs.process_ended(1, MAIN)
        assert stage.logs.write_held() is not None
    stage.kernel.open_error = None
    assert stage.logs.write_held() is None
    assert stage.content() == b"one two"


def test_output_of_a_running_process_is_written_too_when_the_disk_is_writeable_and_is_no_error(stage: Stage) -> None:
    stage.kernel.open_error = errno.EROFS
    fd = stage.open()
    os.write(fd, b"early ")
    stage.turn_all()
    assert stage.logs.write_held() is None
    stage.kernel.open_error = None
    assert stage.logs.write_held() is None
    assert stage.content() == b"early "
    os.write(fd, b"late")
    stage.turn_all()
    assert stage.content() == b"early late"


def test_a_disk_that_fills_up_while_kept_output_is_written_keeps_the_rest(stage: Stage) -> None:
    stage.kernel.open_error = errno.EROFS
    fd = stage.open()
    os.write(fd, b"one two")
    stage.close(fd)
    stage.logs.process_ended(1, MAIN)
    stage.kernel.open_error = None
    stage.kernel.write_error, stage.kernel.room = errno.ENOSPC, 4
    error = stage.logs.write_held()
    assert error is not None
    assert error.errno == errno.ENOSPC
    assert stage.content() == b"one "
    stage.kernel.write_error = None
    assert stage.logs.write_held() is None
    assert stage.content() == b"one two"


def test_a_full_disk_costs_what_comes_meanwhile_and_nothing_else(stage: Stage) -> None:
    fd = stage.open()
    os.write(fd, b"before ")
    stage.turn_all()
    stage.kernel.write_error = errno.ENOSPC
    for _ in range(3):
        os.write(fd, b"lost ")
        stage.turn_all()
    stage.kernel.write_error = None
    os.write(fd, b"after")
    stage.turn_all()
    assert stage.content() == b"before after"
    assert stage.log.lines == [
        f"init: Failed to write to log file {stage.directory}/web.log",
        f"init: Output of web is dropped: cannot write {stage.directory}/web.log: No space left on device",
    ]


def test_a_pipe_in_place_of_a_log_keeps_nobody_waiting(stage: Stage, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "web.log")
    fd = stage.open()
    os.write(fd, b"early ")
    stage.turn_all()
    (tmp_path / "web.log").unlink()
    os.write(fd, b"late")
    stage.turn_all()
    assert stage.content() == b"early late"


def test_a_renamed_log_is_followed_until_the_process_ends(stage: Stage, tmp_path: Path) -> None:
    fd = stage.open()
    os.write(fd, b"one ")
    stage.turn_all()
    (tmp_path / "web.log").rename(tmp_path / "web.log.1")
    other = stage.open(process=PRE_START)
    os.write(other, b"anew")
    stage.turn_all()
    os.write(fd, b"two")
    stage.close(fd)
    stage.logs.process_ended(1, MAIN)
    assert (stage.content("web.log.1"), stage.content()) == (b"one two", b"anew")


# -- over a re-execution ------------------------------------------------------------------------------------


def test_processes_are_logged_after_a_re_execution(stage: Stage, tmp_path: Path) -> None:
    fd, left_behind = stage.open(), stage.open(process=PRE_START)
    os.write(fd, b"one ")
    stage.turn_all()
    stage.logs.process_ended(1, PRE_START)
    (tmp_path / "web.log").rename(tmp_path / "web.log.1")
    state = stage.hand_over()
    assert len(state.descriptors()) == 3  # two terminals, and the log of one
    os.write(fd, b"two")
    os.write(left_behind, b"three")
    stage.logs.process_ended(1, PRE_START)  # a later one than that which has left something behind
    stage.logs.process_ended(1, MAIN)
    assert (stage.content("web.log.1"), stage.content()) == (b"one two", None)
    stage.turn_all()
    assert stage.content() == b"three"


def test_held_output_of_any_bytes_survives_a_re_execution(stage: Stage, no_directory: Path) -> None:
    everything = bytes(range(256)) + "ü€".encode()
    fd = stage.open()
    os.write(fd, everything)
    stage.turn_all()
    stage.hand_over()
    no_directory.mkdir()
    stage.close(fd)
    stage.logs.process_ended(1, MAIN)
    assert stage.content() == everything


def test_kept_output_survives_a_re_execution_and_so_does_what_is_known_of_the_disk(stage: Stage) -> None:
    stage.kernel.open_error = errno.EROFS
    fd = stage.open()
    os.write(fd, b"early")
    stage.close(fd)
    stage.logs.process_ended(1, MAIN)
    stage.hand_over()
    error = stage.logs.write_held()
    assert error is not None
    assert error.strerror == "Read-only file system"
    stage.kernel.open_error = None
    assert stage.logs.write_held() is None
    assert stage.content() == b"early"
    assert stage.hand_over() == JobLogsState((), disk_is_writeable=True)


def test_a_state_that_cannot_be_is_taken_as_far_as_it_goes(stage: Stage, tmp_path: Path) -> None:
    plain = os.open(tmp_path / "plain", os.O_RDWR | os.O_CREAT)
    outputs = (OutputState(1, MAIN, True, plain), OutputState(2, MAIN, True, 999_999, 999_998))
    held = "x" * (LOG_LIMIT + 5) + "€"
    stage.logs.put_state(JobLogsState((
        LogState("gone", LogPath("\0"), outputs, held, 10**30),
        LogState("kept", LogPath(str(tmp_path / "kept.log")), (), "€1", errno.EROFS),
    ), disk_is_writeable=False))  # fmt: skip
    os.close(plain)
    assert len(stage.log.lines) == 2
    assert all(line.startswith("init: cannot go on reading the output of gone: ") for line in stage.log.lines)
    assert [log.job for log in stage.logs.take_state().logs] == ["kept"]
    assert stage.logs.write_held() is None
    assert stage.content("kept.log") == b"?1"


def test_a_descriptor_that_would_keep_its_reader_waiting_does_not(stage: Stage) -> None:
    reader, writer = os.pipe()
    output = OutputState(1, MAIN, True, reader)
    where = LogPath(f"{stage.directory}/web.log")
    stage.logs.put_state(JobLogsState((LogState("web", where, (output,)),), disk_is_writeable=False))
    assert not os.get_blocking(reader)
    os.write(writer, b"x")
    stage.turn_all()
    os.close(writer)
    stage.turn_all()
    assert stage.content() == b"x"


# -- the end ------------------------------------------------------------------------------------------------


def test_at_the_end_of_the_daemon_what_terminals_hold_is_read(stage: Stage) -> None:
    os.write(stage.open(), b"last words")
    stage.logs.close()
    assert stage.content() == b"last words"
    assert stage.loop.readers == {}
