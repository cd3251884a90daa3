"""Job files in an event loop: read when asked for, when something tells of a change, and else from time to time."""

from __future__ import annotations

import errno
import os
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from support.scripted_kernel import ScriptedLoop
from upstartd.conf import reader
from upstartd.conf.reader import JobReader
from upstartd.conf.watch import INTERVAL, JobWatch

if TYPE_CHECKING:
    from pathlib import Path

    from upstartd.conf.model import JobFiles


class Stage:
    """A reader of `directory` on a loop that is turned by hand. `taken` are the jobs whose files were read."""

    def __init__(self, directory: Path) -> None:
        self.loop: Any = ScriptedLoop()
        self.taken: list[str] = []
        self.said: list[str] = []
        self.reader = JobReader(
            [str(directory)], take=self._take, report=lambda _, text: self.said.append(text), loop=self.loop)

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
