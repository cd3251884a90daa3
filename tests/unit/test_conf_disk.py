"""Listing and reading what is on disk, without waiting for what is no file."""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING

import pytest

from upstartd.conf.disk import MOST_BYTES, Disk, Kind

if TYPE_CHECKING:
    from pathlib import Path


def test_a_listing_tells_the_kinds_in_the_order_of_the_names(tmp_path: Path) -> None:
    (tmp_path / "c").write_text("")
    (tmp_path / "b").mkdir()
    os.mkfifo(tmp_path / "a")
    (tmp_path / "d").symlink_to(tmp_path / "c")
    (tmp_path / "e").symlink_to(tmp_path / "nothing")
    (tmp_path / "f").symlink_to(tmp_path / "b")
    (tmp_path / "g").symlink_to("g")
    (tmp_path / "h").symlink_to(tmp_path / "c" / "below")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "i"))
        assert Disk().entries(str(tmp_path)) == [
            ("a", Kind.OTHER), ("b", Kind.DIRECTORY), ("c", Kind.FILE), ("d", Kind.LINK), ("e", Kind.DANGLING),
            ("f", Kind.OTHER), ("g", Kind.DANGLING), ("h", Kind.DANGLING), ("i", Kind.OTHER)]


def test_a_name_that_is_no_utf_8_is_listed(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/\xff.conf"
    os.close(os.open(path, os.O_CREAT, 0o600))
    assert Disk().entries(str(tmp_path)) == [("\udcff.conf", Kind.FILE)]


def test_a_missing_directory_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Disk().entries(str(tmp_path / "nothing"))


@pytest.mark.parametrize("size", [0, 1, 5000, MOST_BYTES])
def test_a_file_is_read_whole(tmp_path: Path, size: int) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x" * size)
    assert Disk().read(str(path)).data == b"x" * size


def test_a_file_without_a_size_is_read_whole() -> None:
    assert Disk().read("/proc/self/status").data.startswith(b"Name:")


def test_a_file_that_is_too_large_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"")
    os.truncate(path, 1 << 40)
    with pytest.raises(OSError, match="Larger than"):
        Disk().read(str(path))


def test_a_pipe_a_directory_and_a_device_are_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (str(tmp_path / "pipe"), str(tmp_path), "/dev/null"):
        with pytest.raises(OSError, match="Not a regular file"):
            Disk().read(path)
        assert Disk().stamp(path) is None


def test_a_link_is_followed_where_that_is_wanted(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    link = tmp_path / "b"
    link.symlink_to("a")
    assert Disk().read(str(link)).data == b"x"
    assert Disk().stamp(str(link)) == Disk().stamp(str(tmp_path / "a"))
    assert Disk().stamp(str(link), follow=False) is None
    with pytest.raises(OSError) as caught:  # noqa: PT011  # the system's words are the system's matter
        Disk().read(str(link), follow=False)
    assert caught.value.errno == errno.ELOOP


def test_a_stamp_stays_until_the_file_changes(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("x")
    stamp = Disk().stamp(str(path))
    path.chmod(0o600)
    assert Disk().stamp(str(path)) == stamp == Disk().read(str(path)).stamp
    os.utime(path, ns=(0, 0))
    assert Disk().stamp(str(path)) != stamp
    assert Disk().stamp(str(tmp_path / "nothing")) is None


def test_reading_leaves_no_descriptor_open(tmp_path: Path) -> None:
    before = os.listdir("/proc/self/fd")
    for path in (str(tmp_path), "/proc/self/status", str(tmp_path / "nothing")):
        try:
            Disk().read(path)
        except OSError:
            continue
    assert os.listdir("/proc/self/fd") == before
