"""Appending to logs: real files, and a kernel that refuses what the test says."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

import pytest

from support.faulty_kernel import FaultyKernel
from support.scripted_kernel import RecordedLog
from upstartd.log import Priority
from upstartd.proc.log_file import LogFile, LogPath, log_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def kernel() -> FaultyKernel:
    return FaultyKernel()


@pytest.fixture
def log() -> RecordedLog:
    return RecordedLog(Priority.DEBUG)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "web.log"


@pytest.fixture
def file(kernel: FaultyKernel, log: RecordedLog, path: Path) -> Iterator[LogFile]:
    file = LogFile(kernel, LogPath(str(path)), log)
    yield file
    file.close()


def test_a_log_is_made_by_its_first_output(file: LogFile, path: Path) -> None:
    assert not path.exists()
    assert file.append(b"one\n\0") == 5
    assert path.read_bytes() == b"one\n\0"


@pytest.mark.parametrize("umask", [0, 0o022, 0o777])
def test_its_mode_is_0640_whatever_the_umask(file: LogFile, path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        file.append(b"x")
    finally:
        found = os.umask(before)
    assert found == umask
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_log_that_is_there_is_appended_to_and_keeps_its_mode(file: LogFile, path: Path) -> None:
    path.write_bytes(b"old ")
    path.chmod(0o600)
    file.append(b"new")
    assert path.read_bytes() == b"old new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_somebody_else_adds_or_cuts_off_is_respected(file: LogFile, path: Path) -> None:
    file.append(b"one ")
    with path.open("ab") as other:
        other.write(b"two ")
    file.append(b"three")
    assert path.read_bytes() == b"one two three"
    os.truncate(path, 0)
    file.append(b"four")
    assert path.read_bytes() == b"four"


def test_a_log_that_was_deleted_is_made_anew(file: LogFile, path: Path) -> None:
    file.append(b"one")
    path.unlink()
    file.append(b"two")
    assert path.read_bytes() == b"two"


def test_a_log_that_was_renamed_is_followed_until_that_is_deleted(file: LogFile, path: Path) -> None:
    file.append(b"one ")
    rotated = path.rename(path.with_suffix(".1"))
    file.append(b"two")
    assert rotated.read_bytes() == b"one two"
    assert not path.exists()
    rotated.unlink()
    file.append(b"three")
    assert path.read_bytes() == b"three"


def test_a_log_whose_directory_was_moved_is_followed(file: LogFile, path: Path, tmp_path: Path) -> None:
    file.append(b"one ")
    tmp_path.rename(tmp_path.with_name("moved"))
    file.append(b"two")
    moved = tmp_path.with_name("moved")
    assert (moved / "web.log").read_bytes() == b"one two"
    moved.rename(tmp_path)


def test_a_symbolic_link_is_not_followed(file: LogFile, path: Path, tmp_path: Path) -> None:
    for target in (tmp_path / "there", tmp_path / "not-there"):
        path.unlink(missing_ok=True)
        path.symlink_to(target)
        (tmp_path / "there").write_bytes(b"precious")
        with pytest.raises(OSError, match="Too many levels of symbolic links"):
            file.append(b"x")
    assert (tmp_path / "there").read_bytes() == b"precious"
    assert not (tmp_path / "not-there").exists()


def test_what_is_no_file_is_refused_at_once(file: LogFile, path: Path) -> None:
    os.mkfifo(path)
    with pytest.raises(OSError, match="No such device or address"):  # nobody reads from the pipe
        file.append(b"x")
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    opened = set(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match="Invalid argument"):
        file.append(b"x")
    assert set(os.listdir("/proc/self/fd")) == opened
    os.close(reader)
    path.unlink()
    path.mkdir()
    with pytest.raises(OSError, match="Is a directory"):
        file.append(b"x")


@pytest.mark.parametrize("name", ["a\0b", "\ud800", "x" * 300, "gone/web.log"])
def test_a_path_that_cannot_be_is_an_error_like_others(
    name: str, kernel: FaultyKernel, log: RecordedLog, tmp_path: Path
) -> None:
    with pytest.raises(OSError, match=r"Invalid argument|File name too long|No such file"):
        LogFile(kernel, LogPath(f"{tmp_path}/{name}"), log).append(b"x")


def test_a_failed_write_is_told_once_and_the_log_opened_again(
    file: LogFile, path: Path, kernel: FaultyKernel, log: RecordedLog
) -> None:
    file.append(b"one ")
    kernel.write_error = errno.EIO
    for _ in range(3):
        with pytest.raises(OSError, match="Input/output error"):
            file.append(b"lost")
    assert log.lines == [f"init: Failed to write to log file {path}"]
    kernel.write_error = None
    assert kernel.attempts == 3
    file.append(b"two")
    assert kernel.attempts == 4
    assert path.read_bytes() == b"one two"
    kernel.write_error = errno.EIO
    with pytest.raises(OSError, match="Input/output error"):
        file.append(b"lost")
    assert len(log.lines) == 2


def test_a_failed_open_is_not_told(file: LogFile, kernel: FaultyKernel, log: RecordedLog) -> None:
    kernel.open_error = errno.EROFS
    with pytest.raises(OSError, match="Read-only file system"):
        file.append(b"x")
    assert log.lines == []


def test_a_write_that_takes_nothing_and_says_nothing_is_an_error(
    file: LogFile, kernel: FaultyKernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel, "write", lambda *_: 0)
    with pytest.raises(OSError, match="Input/output error"):
        file.append(b"x")


def test_a_log_with_a_shortened_name_is_told_when_it_is_made(
    kernel: FaultyKernel, log: RecordedLog, tmp_path: Path
) -> None:
    where = log_path(str(tmp_path), "n" * 300, "")
    said = f"init: cannot give a log its own name, which is too long: it is {where.path}"
    for _ in range(2):
        file = LogFile(kernel, where, log)
        file.append(b"x")
        file.close()
    assert log.lines == [said]
    assert [entry.name for entry in tmp_path.iterdir()] == [os.path.basename(where.path)]


def test_a_disk_without_room_refuses(kernel: FaultyKernel, log: RecordedLog) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("there is no /dev/full")
    with open("/dev/full", "wb", buffering=0) as full:
        file = LogFile(kernel, LogPath("/dev/full"), log, os.dup(full.fileno()))
        with pytest.raises(OSError, match="No space left on device"):
            file.append(b"x")
    assert file.fd is None
    assert log.lines == ["init: Failed to write to log file /dev/full"]
