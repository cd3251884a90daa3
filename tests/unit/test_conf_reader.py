"""Job files in an event loop: read when asked for, when something tells of a change, and else from time to time."""

from __future__ import annotations

import errno
import gc
import os
from functools import partial
from typing import TYPE_CHECKING, NoReturn, cast

import pytest

from support.scripted_kernel import ScriptedLoop
from upstartd.conf import reader
from upstartd.conf.reader import JobReader
from upstartd.conf.watch import INTERVAL, JobWatch
from upstartd.slices import SLICE

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Iterator
    from pathlib import Path

    from upstartd.conf.model import JobFiles


class Stage:
    """A reader of `directory` on a loop that is turned by hand. `taken` are the jobs whose files were read."""

    def __init__(self, directory: Path) -> None:
        self.loop = ScriptedLoop()
        self.taken: list[str] = []
        self.said: list[str] = []
        self.reader = JobReader(
            [str(directory)], take=self._take, report=lambda _, text: self.said.append(text),
            loop=cast("AbstractEventLoop", self.loop),
        )  # fmt: skip

    def _take(self, files: JobFiles) -> None:
        self.taken.append(files.name)


def refuse() -> NoReturn:
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


@pytest.fixture
def without_inotify(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "JobWatch", partial(JobWatch, make_inotify=refuse))


def test_nothing_is_read_before_it_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "web.conf").write_text("")
    stage = Stage(tmp_path)
    assert stage.taken == []
    stage.reader.load()
    stage.reader.load()
    assert stage.taken == ["web", "web"]
    stage.reader.close()


def test_a_change_is_read_when_the_loop_sees_it(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.reader.load()
    (tmp_path / "web.conf").write_text("")
    (look,) = stage.loop.readers.values()
    look()
    assert stage.taken == ["web"]
    assert stage.loop.timers == []
    stage.reader.close()
    assert stage.loop.readers == {}


@pytest.mark.usefixtures("without_inotify")
def test_where_nothing_tells_of_changes_they_are_looked_for_until_the_end(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.reader.load()
    stage.reader.load()
    for name in ("one", "two"):
        (tmp_path / f"{name}.conf").write_text("")
        assert stage.loop.let_time_pass() == INTERVAL
    assert stage.taken == ["one", "two"]
    assert len(stage.loop.timers) == 1
    stage.reader.close()
    assert stage.loop.timers == []


# -- reloads ---------------------------------------------------------------------------------------------------


class SlowStage(Stage):
    """Reading a file takes as long as a slice here."""

    def _take(self, files: JobFiles) -> None:
        super()._take(files)
        self.loop.now += SLICE


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[SlowStage]:
    """Has read three files."""
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.conf").write_text("")
    stage = SlowStage(tmp_path)
    stage.reader.load()
    stage.taken.clear()
    yield stage
    stage.reader.close()


def test_a_small_reload_is_done_at_once(tmp_path: Path) -> None:
    (tmp_path / "web.conf").write_text("")
    stage = Stage(tmp_path)
    stage.reader.load()
    stage.reader.reload(partial(stage.taken.append, "done"))
    assert stage.taken == ["web", "web", "done"]
    assert not stage.loop.turn()
    stage.reader.close()


def test_a_long_reload_lets_others_have_their_turn_and_tells_when_it_is_done(slow: SlowStage) -> None:
    slow.reader.reload(partial(slow.taken.append, "done"))
    assert slow.taken == ["a"]
    assert slow.loop.turn()
    assert slow.taken == ["a", "b"]
    while slow.loop.turn():
        pass
    assert slow.taken == ["a", "b", "c", "done"]


def test_who_asks_for_a_reload_during_one_waits_for_the_next_one(slow: SlowStage, tmp_path: Path) -> None:
    slow.reader.reload(partial(slow.taken.append, "first"))
    for name in ("second", "third"):
        slow.reader.reload(partial(slow.taken.append, name))
    (tmp_path / "a.conf").unlink()
    while slow.loop.turn():
        pass
    assert slow.taken == ["a", "b", "c", "first", "a", "b", "c", "second", "third"]


def test_who_cannot_wait_sees_what_is_there_also_during_a_reload(slow: SlowStage, tmp_path: Path) -> None:
    slow.reader.reload(partial(slow.taken.append, "done"))
    (tmp_path / "c.conf").write_text("nice 1\n")
    slow.reader.take_in_changes()
    assert slow.taken == ["a", "c"]
    while slow.loop.turn():
        pass
    assert slow.taken == ["a", "c", "b", "done"]


def test_many_changes_are_read_in_slices(slow: SlowStage, tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.conf").write_text("nice 1\n")
    (look,) = slow.loop.readers.values()
    look()
    assert slow.taken == ["a"]
    slow.reader.take_in_changes()
    assert slow.taken == ["a", "b", "c"]
    while slow.loop.turn():
        pass
    assert slow.taken == ["a", "b", "c"]


def test_a_reload_that_is_cut_short_keeps_nobody_waiting(slow: SlowStage) -> None:
    slow.reader.reload(partial(slow.taken.append, "first"))
    slow.reader.reload(partial(slow.taken.append, "second"))
    slow.reader.close()
    while slow.loop.turn():
        pass
    assert slow.taken == ["a", "first", "second"]
    assert slow.loop.timers == []


def test_a_reload_that_fails_keeps_nobody_waiting(slow: SlowStage, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: JobFiles) -> NoReturn:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(slow.reader, "_take", fail)
        with pytest.raises(ZeroDivisionError):
            slow.reader.reload(partial(slow.taken.append, "first"))
    slow.reader.reload(partial(slow.taken.append, "second"))
    while slow.loop.turn():
        pass
    assert slow.taken == ["first", "a", "b", "c", "second"]


def test_the_garbage_collector_is_back_after_a_reload(slow: SlowStage) -> None:
    slow.reader.reload(lambda: None)
    assert not gc.isenabled()
    while slow.loop.turn():
        pass
    assert gc.isenabled()
