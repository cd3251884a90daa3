"""A directory whose files nobody but this process's user can have written (upstartd/private_directory.py)."""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from upstartd.private_directory import PrivateDirectory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

MOST = 1000
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "above" / "directory"


@pytest.fixture
def directory(path: Path) -> PrivateDirectory:
    """With one file in it."""
    made = PrivateDirectory(str(path))
    replace(made, "file", b"before")
    return made


def replace(directory: PrivateDirectory, name: str, *parts: bytes) -> None:
    with directory.replacing(name) as write:
        for part in parts:
            write(part)


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_what_was_written_can_be_read_and_is_private(directory: PrivateDirectory, path: Path) -> None:
    replace(directory, "file", b"one", b"two")
    assert directory.read("file", MOST) == b"onetwo"
    modes = [stat.S_IMODE(each.stat().st_mode) for each in (path.parent, path, path / "file")]
    assert modes == [0o700, 0o700, 0o600]
    assert os.listdir(path) == ["file"]


def test_a_file_larger_than_it_may_be_is_not_read(directory: PrivateDirectory) -> None:
    assert directory.read("file", 6) == b"before"
    with pytest.raises(OSError, match="File too large"):
        directory.read("file", 5)


def test_what_is_not_there_cannot_be_read(directory: PrivateDirectory, path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        directory.read("other", MOST)
    with pytest.raises(FileNotFoundError):
        PrivateDirectory(str(path / "other")).read("file", MOST)


def link(file: Path) -> None:
    file.rename(file.parent / "elsewhere")
    file.symlink_to("elsewhere")


def pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file, 0o600)


def subdirectory(file: Path) -> None:
    file.unlink()
    file.mkdir(0o700)


# Each makes something of a file that does not count any more.
UNSAFE = [
    link, pipe, lambda file: file.chmod(0o620), lambda file: file.chmod(0o602),
    pytest.param(lambda file: os.chown(file, 12345, -1), marks=as_root),
]


@pytest.mark.parametrize("spoil", [*UNSAFE, subdirectory])
def test_a_file_that_others_may_have_written_is_not_read(
    directory: PrivateDirectory, path: Path, spoil: Callable[[Path], None]
) -> None:
    spoil(path / "file")
    with pytest.raises(OSError, match=r"Not private|symbolic links"):
        directory.read("file", MOST)


@pytest.mark.parametrize("spoil", UNSAFE)
def test_it_is_replaced_all_the_same(
    directory: PrivateDirectory, path: Path, spoil: Callable[[Path], None]
) -> None:
    spoil(path / "file")
    replace(directory, "file", b"new")
    assert directory.read("file", MOST) == b"new"
    if (path / "elsewhere").exists():
        assert (path / "elsewhere").read_bytes() == b"before"


@pytest.mark.parametrize("spoil", [
    link, lambda path: path.chmod(0o720), lambda path: path.chmod(0o702),
    pytest.param(lambda path: os.chown(path, 12345, -1), marks=as_root),
])
def test_a_directory_that_others_may_write_to_is_neither_read_nor_written(
    directory: PrivateDirectory, path: Path, spoil: Callable[[Path], None]
) -> None:
    spoil(path)
    for work in (lambda: directory.read("file", MOST), lambda: replace(directory, "file", b"new"),
                 lambda: directory.keep_newest("file", 0)):
        with pytest.raises(OSError, match=r"Not private|symbolic links|Not a directory"):
            work()
    assert [each.read_bytes() for each in path.iterdir()] == [b"before"]


def test_a_disk_that_is_full_leaves_the_file_as_it_was_and_nothing_else(
    directory: PrivateDirectory, path: Path
) -> None:
    with no_file_larger_than(10), pytest.raises(OSError, match="File too large"):
        replace(directory, "file", b"123456", b"123456")
    assert directory.read("file", MOST) == b"before"
    assert os.listdir(path) == ["file"]


def test_an_error_in_the_midst_leaves_the_file_as_it_was_and_nothing_else(
    directory: PrivateDirectory, path: Path
) -> None:
    with pytest.raises(ZeroDivisionError), directory.replacing("file") as write:
        write(bytes(1 // 0))
    assert directory.read("file", MOST) == b"before"
    assert os.listdir(path) == ["file"]


def test_a_file_in_the_place_of_the_directory_is_an_error(path: Path) -> None:
    path.parent.mkdir()
    path.touch()
    with pytest.raises(FileExistsError):
        replace(PrivateDirectory(str(path)), "file", b"new")


def test_what_a_killed_process_has_left_behind_is_used_up(directory: PrivateDirectory, path: Path) -> None:
    (path / "file.new").write_bytes(b"longer than what is written now")
    replace(directory, "file", b"new")
    assert directory.read("file", MOST) == b"new"
    assert os.listdir(path) == ["file"]


def test_of_two_who_replace_a_file_at_once_one_gives_up(directory: PrivateDirectory, path: Path) -> None:
    with directory.replacing("file") as write:
        write(b"fi")
        with pytest.raises(BlockingIOError):
            replace(directory, "file", b"second")
        assert directory.read("file", MOST) == b"before"
        write(b"rst")
    assert directory.read("file", MOST) == b"first"
    assert os.listdir(path) == ["file"]


def test_who_is_overtaken_while_opening_does_not_touch_the_finished_file(
    directory: PrivateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = fcntl.flock
    first = directory.replacing("file")
    first.__enter__()(b"first")

    def finish_first(file: int, how: int) -> None:
        first.__exit__(None, None, None)  # between the opening of the second and its lock
        lock(file, how)

    monkeypatch.setattr(fcntl, "flock", finish_first)
    with pytest.raises((BlockingIOError, FileNotFoundError)):
        replace(directory, "file", b"second")
    assert directory.read("file", MOST) == b"first"


def test_a_new_file_with_the_name_of_the_one_that_was_locked_is_another_s(
    directory: PrivateDirectory, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = fcntl.flock

    def third_begins(file: int, how: int) -> None:
        (path / "file.new").unlink()
        (path / "file.new").write_bytes(b"third")
        lock(file, how)

    monkeypatch.setattr(fcntl, "flock", third_begins)
    with pytest.raises(BlockingIOError) as refused:
        replace(directory, "file", b"second")
    assert refused.value.errno == errno.EAGAIN
    assert (path / "file.new").read_bytes() == b"third"


def test_only_the_newest_files_of_a_kind_are_kept(directory: PrivateDirectory, path: Path) -> None:
    for age, name in enumerate(["a.kind", "b.kind", "c.kind.new", "d.kind", "e.kind"]):
        (path / name).touch()
        os.utime(path / name, (0, 1000 - age))
    directory.keep_newest(".kind", 3)
    assert sorted(os.listdir(path)) == ["a.kind", "b.kind", "c.kind.new", "file"]
