"""Login records of processes that end, in scratch files."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from upstartd.proc.login_records import LoginRecords
from upstartd.utmp import LAYOUT

if TYPE_CHECKING:
    import struct
    from pathlib import Path

NOW = 1_700_000_000.25
LOGIN, USER, BOOT, DEAD = 6, 7, 2, 8


class Files:
    """A utmp and a wtmp, and the records in them."""

    def __init__(self, directory: Path) -> None:
        self.utmp, self.wtmp = directory / "utmp", directory / "wtmp"
        self.records = LoginRecords(lambda: NOW, str(self.utmp), str(self.wtmp))
        self.shape: struct.Struct = LAYOUT

    def record(self, kind: int, pid: int, user: bytes = b"ann", line: bytes = b"tty1") -> bytes:
        return self.shape.pack(kind, pid, line, b"1", user, b"host", 3, 4, 5, 1_600_000_000, 6, b"\1" * 16)

    def write(self, *records: bytes, age: float = 60) -> None:
        self.utmp.write_bytes(b"".join(records))
        os.utime(self.utmp, (NOW - age, NOW - age))


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def read(path: Path, shape: struct.Struct) -> list[tuple[object, ...]]:
    return list(shape.iter_unpack(path.read_bytes()))


def test_the_record_of_a_process_that_ends_is_marked_dead_and_noted(files: Files) -> None:
    files.write(files.record(BOOT, 0), files.record(USER, 40), files.record(LOGIN, 41))
    files.wtmp.write_bytes(files.record(BOOT, 0))
    files.records.process_ended(40)
    dead = (DEAD, 40, b"tty1".ljust(32, b"\0"), b"1".ljust(4, b"\0"), bytes(32), bytes(256), 3, 4, 5, int(NOW), 250_000,
            bytes(16))  # fmt: skip
    before, marked, after = read(files.utmp, files.shape)
    assert marked == dead
    assert (before[1], after[0], after[1]) == (0, LOGIN, 41)
    assert read(files.wtmp, files.shape)[1:] == [dead]


def test_every_record_of_the_process_is_marked(files: Files) -> None:
    files.write(files.record(USER, 40, line=b"tty1"), files.record(USER, 40, line=b"tty2"))
    files.records.process_ended(40)
    assert [record[0] for record in read(files.utmp, files.shape)] == [DEAD, DEAD]


@pytest.mark.parametrize("kind", [BOOT, DEAD])
def test_a_record_that_is_nobody_s_login_stays(files: Files, kind: int) -> None:
    files.write(files.record(kind, 40))
    files.records.process_ended(40)
    assert files.utmp.read_bytes() == files.record(kind, 40)


def test_wtmp_is_not_made_where_it_is_not_kept(files: Files) -> None:
    files.write(files.record(USER, 40))
    files.records.process_ended(40)
    assert read(files.utmp, files.shape)[0][0] == DEAD
    assert not files.wtmp.exists()


def test_a_file_that_has_not_changed_is_not_read_again(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    files.write(files.record(USER, 40))
    files.records.process_ended(1)
    monkeypatch.setattr(files.records, "_read", lambda: pytest.fail("read again"))
    files.records.process_ended(2)


def test_a_login_that_came_after_the_file_was_read_is_found(files: Files) -> None:
    files.write(files.record(USER, 40))
    files.records.process_ended(1)
    files.write(files.record(USER, 40), files.record(USER, 41), age=30)
    files.records.process_ended(41)
    assert [record[0] for record in read(files.utmp, files.shape)] == [USER, DEAD]


def test_a_file_written_a_moment_ago_is_read_again_as_its_time_may_not_show_the_next_change(files: Files) -> None:
    files.write(files.record(USER, 40), age=0)
    files.records.process_ended(1)
    files.write(files.record(USER, 41), age=0)  # the same size, in the same tick
    files.records.process_ended(41)
    assert read(files.utmp, files.shape)[0][0] == DEAD


def test_a_record_that_somebody_else_has_taken_meanwhile_stays(files: Files) -> None:
    files.write(files.record(USER, 40))
    files.records.process_ended(1)
    files.write(files.record(USER, 50), age=60)  # not to be told from the first by time and size
    files.records.process_ended(40)
    assert files.utmp.read_bytes() == files.record(USER, 50)


def test_a_file_that_is_cut_off_while_it_is_read_does_no_harm(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    files.write(files.record(USER, 40))
    files.wtmp.touch()
    monkeypatch.setattr(os, "pread", lambda *_: b"short")
    files.records.process_ended(40)
    assert files.utmp.read_bytes() == files.record(USER, 40)
    assert files.wtmp.read_bytes() == b""


def test_nothing_stays_open(files: Files) -> None:
    before = os.listdir("/proc/self/fd")
    files.write(files.record(USER, 40))
    files.wtmp.touch()
    files.records.process_ended(40)
    assert read(files.wtmp, files.shape)
    assert os.listdir("/proc/self/fd") == before


@pytest.mark.parametrize("content", [b"", b"short", b"\xff" * 1000])
def test_a_broken_file_does_no_harm(files: Files, content: bytes) -> None:
    files.utmp.write_bytes(content)
    files.records.process_ended(40)
    assert files.utmp.read_bytes() == content


def test_a_system_without_records_is_fine(files: Files) -> None:
    files.records.process_ended(40)
    assert not files.utmp.exists()


def test_the_record_has_the_size_that_the_c_library_writes() -> None:
    assert LAYOUT.size in (384, 400)
