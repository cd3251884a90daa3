"""Login records: what is written can be read, by the C library's own programs too."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from upstartd import utmp
from upstartd.utmp import BOOT_TIME, LAYOUT, RUN_LEVEL, USER_PROCESS, append, put, record, records

if TYPE_CHECKING:
    from pathlib import Path

NOW = 1_700_000_000.25


def login(user: bytes) -> utmp.Record:
    return record(USER_PROCESS, NOW, pid=4000, line=b"tty1", identifier=b"1", user=user)


def test_a_record_that_was_written_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "utmp"
    path.touch()
    append(str(path), login(b"ann"))
    [found] = records(str(path))
    assert path.stat().st_size == LAYOUT.size
    assert found.data == login(b"ann").data
    assert (found.kind, found.pid, found.line.rstrip(b"\0"), found.user.rstrip(b"\0")) == (7, 4000, b"tty1", b"ann")
    assert (found.seconds, found.microseconds) == (1_700_000_000, 250_000)


def test_put_takes_the_place_of_the_first_of_its_kind(tmp_path: Path) -> None:
    path = tmp_path / "utmp"
    path.touch()
    put(str(path), record(BOOT_TIME, NOW, user=b"reboot"))
    put(str(path), record(RUN_LEVEL, NOW, user=b"runlevel", pid=50))
    append(str(path), login(b"ann"))
    put(str(path), record(RUN_LEVEL, NOW, user=b"runlevel", pid=51))
    assert [(found.kind, found.pid) for found in records(str(path))] == [
        (BOOT_TIME, 0), (RUN_LEVEL, 51), (USER_PROCESS, 4000)]


@pytest.mark.parametrize("write", [append, put])
def test_a_file_that_is_not_kept_is_not_made(tmp_path: Path, write: type[object]) -> None:
    with pytest.raises(FileNotFoundError):
        write(str(tmp_path / "utmp"), login(b"ann"))  # type: ignore[call-arg]  # one of the two functions
    assert not (tmp_path / "utmp").exists()


@pytest.mark.parametrize("more", [b"", b"short", b"\xff" * (LAYOUT.size - 1)])
def test_what_is_shorter_than_a_record_is_none(tmp_path: Path, more: bytes) -> None:
    path = tmp_path / "utmp"
    path.write_bytes(login(b"ann").data + more)
    assert len(records(str(path))) == 1
    file = path.open("rb")
    with file:
        assert utmp.record_at(file.fileno(), 0) == records(str(path))[0]
        assert utmp.record_at(file.fileno(), 1) is None


@pytest.mark.skipif(shutil.which("who") is None, reason="needs who(1)")
def test_who_reads_our_runlevel_and_boot_time(tmp_path: Path) -> None:
    path = tmp_path / "utmp"
    path.touch()
    append(str(path), record(BOOT_TIME, NOW, line=b"~", identifier=b"~~", user=b"reboot"))
    append(str(path), record(RUN_LEVEL, NOW, pid=ord("2") + 256 * ord("S"), line=b"~", identifier=b"~~",
                             user=b"runlevel"))
    who = subprocess.run(["who", "-br", path], capture_output=True, text=True, check=True,
                         env={"LC_ALL": "C", "TZ": "UTC"}).stdout.split()
    assert who[:2] == ["system", "boot"]
    assert [word for word in who if word.startswith(("run-level", "2", "22:", "last="))].count("22:13") == 2
    assert who[who.index("run-level") + 1] == "2"
    assert "last=S" in who
