"""Waiting for a socket to appear, on a real file system."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from inotify_simple import INotify  # type: ignore[import-untyped]  # it comes without annotations

from upstartd import inotify
from upstartd.bus.socket_watch import SocketWatch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LIMIT = 20.0


def change_seen(paths: list[Path], *changes: Callable[[], Any]) -> int:
    """Make changes until one is seen; how many that took. AssertionError if none is."""

    async def watch() -> int:
        seen = asyncio.Event()
        watch = SocketWatch(asyncio.get_running_loop(), map(str, paths), seen.set)
        for number, change in enumerate(changes, 1):
            change()
            # inotify tells of what was done before anything else is: the loop has it in its next turns.
            for _ in range(3):
                await asyncio.sleep(0)
            if seen.is_set():
                return number
        watch.close()
        raise AssertionError("no change was seen")

    return asyncio.run(watch())


def test_the_socket_itself_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "bus"
    assert change_seen([path], (tmp_path / "other").touch, path.touch) == 2


def test_a_socket_that_is_there_and_is_touched_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "bus"
    path.touch()
    assert change_seen([path], lambda: path.chmod(0o600)) == 1


def test_a_socket_that_is_moved_to_its_place_is_seen(tmp_path: Path) -> None:
    (tmp_path / "new").touch()
    assert change_seen([tmp_path / "bus"], lambda: (tmp_path / "new").rename(tmp_path / "bus")) == 1


def test_a_directory_on_the_way_is_seen(tmp_path: Path) -> None:
    assert change_seen([tmp_path / "a" / "b" / "bus"], (tmp_path / "b").mkdir, (tmp_path / "a").mkdir) == 2


def test_the_loss_of_the_directory_is_seen(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    assert change_seen([tmp_path / "a" / "bus"], lambda: shutil.rmtree(tmp_path / "a")) == 1
    (tmp_path / "a").mkdir()
    assert change_seen([tmp_path / "a" / "bus"], lambda: (tmp_path / "a").rename(tmp_path / "b")) == 1


def test_several_places_are_watched(tmp_path: Path) -> None:
    paths = [tmp_path / "a" / "bus", tmp_path / "bus"]
    assert change_seen(paths, paths[1].touch) == 1
    assert change_seen(paths, (tmp_path / "a").mkdir) == 1


def test_a_directory_that_comes_while_the_one_above_is_being_watched_is_not_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Late(INotify):  # type: ignore[misc]  # its class comes without annotations
        def add_watch(self, path: str, mask: int) -> int:
            if path == str(tmp_path):
                (tmp_path / "a").mkdir()
            watch: int = super().add_watch(path, mask)
            return watch

    monkeypatch.setattr(inotify, "make", partial(Late, nonblocking=True))
    path = tmp_path / "a" / "bus"
    assert change_seen([path], path.touch) == 1


def test_a_directory_that_goes_before_it_is_watched_is_not_insisted_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").mkdir()

    class Early(INotify):  # type: ignore[misc]  # its class comes without annotations
        def add_watch(self, path: str, mask: int) -> int:
            if path == str(tmp_path / "a") and os.path.isdir(path):
                os.rmdir(path)
            watch: int = super().add_watch(path, mask)
            return watch

    monkeypatch.setattr(inotify, "make", partial(Early, nonblocking=True))
    assert change_seen([tmp_path / "a" / "bus"], (tmp_path / "a").mkdir) == 1


def test_what_cannot_be_watched_is_an_error_that_leaves_nothing_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(INotify, "add_watch", refuse)
    before = len(os.listdir("/proc/self/fd"))

    async def watch() -> None:
        with pytest.raises(OSError, match="No space left on device"):
            SocketWatch(asyncio.get_running_loop(), [str(tmp_path / "bus")], lambda: None)

    asyncio.run(watch())
    assert len(os.listdir("/proc/self/fd")) == before
