"""Noticing changes with the kernel's own inotify, and without it: configuration specification, 7 and 8; design, 21, 33.

The kernel queues an event before the system call that causes it returns, so nothing here has to be waited for.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import inotify_simple  # type: ignore[import-untyped]  # it comes without annotations
import pytest

from support.calls import counted_calls
from upstartd.conf.disk import Disk, Kind
from upstartd.conf.source import JobSources
from upstartd.conf.watch import INTERVAL, JobWatch
from upstartd.log import Priority

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from upstartd.conf.model import JobFiles

    Watched: TypeAlias = "Callable[..., Scene]"


class Scene:
    """Job directories on disk, watched, and what is told of their jobs: a name with + where a job is, - where not."""

    def __init__(self, *directories: Path, files: Disk | None = None, **how: Any) -> None:
        self.log: list[tuple[Priority, str]] = []
        self.sources = JobSources([str(directory) for directory in directories], report=self._report, files=files)
        self.watch = JobWatch(self.sources, report=self._report, **how)
        self.said: dict[str, JobFiles] = {}
        self.load()

    def load(self) -> list[str]:
        return self._take(self.sources.load())

    def changes(self) -> list[str]:
        return self._take(self.watch.drain())

    def descriptions(self, name: str) -> list[str]:
        return [definition.config.description for definition in self.said[name].definitions]

    def _take(self, told: Iterator[JobFiles]) -> list[str]:
        names = []
        for files in told:
            names.append(("+" if files.definitions else "-") + files.name)
            self.said[files.name] = files
        return names

    def _report(self, priority: Priority, text: str) -> None:
        self.log.append((priority, text))


@pytest.fixture
def watched() -> Iterator[Watched]:
    """Makes a Scene of directories; what it opens is closed at the end."""
    with contextlib.ExitStack() as stack:
        def make(*directories: Path, **how: Any) -> Scene:
            scene = Scene(*directories, **how)
            stack.callback(scene.watch.close)
            return scene

        yield make


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    directory = tmp_path / "conf"
    directory.mkdir()
    return directory


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    directory = tmp_path / "elsewhere"
    directory.mkdir()
    return directory


def readable(scene: Scene) -> bool:
    descriptor = scene.watch.fileno()
    assert descriptor is not None
    return bool(select.select([descriptor], [], [], 0)[0])


# -- files ---------------------------------------------------------------------------------------------------


def test_files_are_noticed_as_they_are_written_changed_and_deleted(watched: Watched, conf: Path) -> None:
    scene = watched(conf)
    file = conf / "x.conf"
    file.write_text("description one\n")
    assert readable(scene)
    assert scene.changes() == ["+x"]
    assert not readable(scene)
    first = scene.said["x"].definitions[0]
    file.write_text("description one\n")
    assert scene.changes() == ["+x"]
    assert scene.said["x"].definitions[0] is not first
    file.write_text("bogus\n")
    assert scene.changes() == ["-x"]
    file.write_text("description two\n")
    assert scene.changes() == ["+x"]
    assert scene.descriptions("x") == ["two"]
    file.unlink()
    assert scene.changes() == ["-x"]
    assert scene.log[-1] == (Priority.INFO, f"Handling deletion of {file}")


def test_a_file_is_read_when_it_is_closed_and_not_before(watched: Watched, conf: Path) -> None:
    scene = watched(conf)
    with (conf / "x.conf").open("w") as file:
        file.write("description ")
        file.flush()
        assert scene.changes() == []
        file.write("late\n")
    assert scene.changes() == ["+x"]
    assert scene.descriptions("x") == ["late"]


def test_opening_for_writing_is_a_change_and_attributes_and_links_are_none(watched: Watched, conf: Path) -> None:
    (conf / "x.conf").write_text("task\n")
    scene = watched(conf)
    with (conf / "x.conf").open("a"):
        pass
    assert scene.changes() == ["+x"]
    (conf / "x.conf").chmod(0o600)
    (conf / "soft.conf").symlink_to("x.conf")
    (conf / "hard.conf").hardlink_to(conf / "x.conf")
    (conf / "x.override").symlink_to("x.conf")
    os.mkfifo(conf / "pipe.conf")
    assert scene.changes() == []
    assert scene.load() == ["+hard", "+soft", "+x"]


def test_the_job_of_a_link_that_was_made_meanwhile_goes_with_the_link(
        watched: Watched, conf: Path, elsewhere: Path) -> None:
    scene = watched(conf)
    (elsewhere / "x.conf").write_text("task\n")
    (conf / "x.conf").symlink_to(elsewhere / "x.conf")
    assert scene.load() == ["+x"]
    (conf / "x.conf").unlink()
    assert scene.changes() == ["-x"]


def test_both_names_of_a_renamed_file_count(watched: Watched, conf: Path, elsewhere: Path) -> None:
    (conf / "a.conf").write_text("description first\n")
    (elsewhere / "new").write_text("description replaced\n")
    scene = watched(conf)
    (conf / "a.conf").rename(conf / "b.conf")
    assert scene.changes() == ["-a", "+b"]
    (elsewhere / "new").rename(conf / "b.conf")
    assert scene.changes() == ["+b"]
    assert scene.descriptions("b") == ["replaced"]
    (conf / "b.conf").rename(conf / "b.conf.disabled")
    assert scene.changes() == ["-b"]
    (conf / "b.conf.disabled").rename(conf / "c.conf")
    assert scene.changes() == ["+c"]
    (conf / "c.conf").rename(elsewhere / "c.conf")
    assert scene.changes() == ["-c"]


def test_overrides_that_come_change_and_go_make_their_file_be_read(watched: Watched, conf: Path) -> None:
    (conf / "x.conf").write_text("description conf\n")
    scene = watched(conf)
    override = conf / "x.override"
    override.write_text("description over\n")
    assert scene.changes() == ["+x"]
    assert scene.descriptions("x") == ["over"]
    override.rename(conf / "x.override.off")
    assert scene.changes() == ["+x"]
    assert scene.descriptions("x") == ["conf"]
    (conf / "x.override.off").rename(override)
    assert scene.changes() == ["+x"]
    override.unlink()
    assert scene.changes() == ["+x"]
    assert scene.descriptions("x") == ["conf"]


def test_a_directory_that_is_not_in_use_is_noticed_too(watched: Watched, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    scene = watched(tmp_path / "a", tmp_path / "b")
    (tmp_path / "b" / "x.conf").write_text("description b\n")
    (tmp_path / "a" / "x.conf").write_text("description a\n")
    assert scene.changes() == ["+x", "+x"]
    assert scene.descriptions("x") == ["a", "b"]
    (tmp_path / "a" / "x.conf").unlink()
    assert scene.changes() == ["+x"]
    assert scene.descriptions("x") == ["b"]


def test_what_is_not_taken_from_one_drain_comes_from_the_next(watched: Watched, conf: Path) -> None:
    scene = watched(conf)
    for name in "abc":
        (conf / f"{name}.conf").write_text("task\n")
    (conf / "sub").mkdir()
    for name in "de":
        (conf / "sub" / f"{name}.conf").write_text("task\n")
    for name in ("a", "b", "c", "sub/d", "sub/e"):
        assert next(scene.watch.drain()).name == name
    assert scene.changes() == []


# -- directories ---------------------------------------------------------------------------------------------


def test_a_new_directory_is_watched_and_read(watched: Watched, conf: Path) -> None:
    scene = watched(conf)
    (conf / "net").mkdir()
    assert scene.changes() == []
    (conf / "net" / "web.conf").write_text("task\n")
    assert scene.changes() == ["+net/web"]
    (conf / "net" / "web.conf").unlink()
    (conf / "net").rmdir()
    assert scene.changes() == ["-net/web"]
    (conf / "net").mkdir()
    (conf / "net" / "web.conf").write_text("task\n")
    assert scene.changes() == ["+net/web"]


def test_directories_made_at_once_are_read_once(watched: Watched, conf: Path) -> None:
    scene = watched(conf)
    (conf / "a" / "b" / "c").mkdir(parents=True)
    for place in ("a", "a/b", "a/b/c"):
        (conf / place / "x.conf").write_text("task\n")
        (conf / place / "x.override").write_text("author me\n")
    assert scene.changes() == ["+a/b/c/x", "+a/b/x", "+a/x"]
    (conf / "a" / "b" / "c" / "x.conf").write_text("nice 1\n")
    assert scene.changes() == ["+a/b/c/x"]


class Hasty(Disk):
    """A disk on which somebody writes into a directory just before it is listed, and so after it is watched."""

    def entries(self, path: str) -> list[tuple[str, Kind]]:
        for name in ("x.conf", "x.override"):
            Path(path, name).write_text("author me\n")
        return super().entries(path)


def test_a_file_that_is_written_while_its_new_directory_is_read_is_read_once(watched: Watched, conf: Path) -> None:
    scene = watched(conf, files=Hasty())
    scene.changes()
    (conf / "a").mkdir()
    assert scene.changes() == ["+a/x"]
    (conf / "a" / "x.conf").write_text("author me\n")
    assert scene.changes() == ["+a/x"]


def test_a_file_that_changes_after_its_new_directory_was_read_is_read_again(watched: Watched, conf: Path) -> None:
    scene = watched(conf)
    (conf / "a").mkdir()
    for name in ("x", "y"):
        (conf / "a" / f"{name}.conf").write_text("description 1\n")
    told = scene.watch.drain()
    assert [next(told).name for _ in range(2)] == ["a/x", "a/y"]
    (conf / "a" / "x.conf").write_text("description 2\n")
    (conf / "a" / "y.conf").unlink()
    assert [(files.name, len(files.definitions)) for files in told] == [("a/x", 1), ("a/y", 0)]


def test_a_directory_moved_in_is_read_once_with_what_it_holds(watched: Watched, conf: Path, elsewhere: Path) -> None:
    (elsewhere / "deep").mkdir()
    (elsewhere / "web.conf").write_text("description web\n")
    (elsewhere / "web.override").write_text("author me\n")
    (elsewhere / "broken.conf").write_text("description\n")
    (elsewhere / "deep" / "mail.conf").write_text("description mail\n")
    scene = watched(conf)
    elsewhere.rename(conf / "moved")
    assert scene.changes() == ["-moved/broken", "+moved/deep/mail", "+moved/web"]
    (conf / "moved" / "deep" / "mail.conf").write_text("description changed\n")
    assert scene.changes() == ["+moved/deep/mail"]
    (conf / "moved" / "broken.conf").write_text("description mended\n")
    assert scene.changes() == ["+moved/broken"]


def test_the_jobs_of_a_renamed_directory_go_and_come_with_it(watched: Watched, conf: Path, elsewhere: Path) -> None:
    (conf / "old" / "deep").mkdir(parents=True)
    (conf / "old" / "web.conf").write_text("task\n")
    (conf / "old" / "deep" / "mail.conf").write_text("task\n")
    scene = watched(conf)
    (conf / "old").rename(conf / "new")
    assert scene.changes() == ["-old/deep/mail", "-old/web", "+new/deep/mail", "+new/web"]
    (conf / "new" / "deep" / "mail.conf").write_text("task\n")
    assert scene.changes() == ["+new/deep/mail"]
    (conf / "new").rename(elsewhere / "out")
    assert scene.changes() == ["-new/deep/mail", "-new/web"]
    (elsewhere / "out" / "web.conf").write_text("task\n")
    assert scene.changes() == []


def test_a_renamed_directory_takes_the_name_of_an_empty_one(watched: Watched, conf: Path, elsewhere: Path) -> None:
    (conf / "net").mkdir()
    (elsewhere / "web.conf").write_text("task\n")
    scene = watched(conf)
    elsewhere.rename(conf / "net")
    assert scene.changes() == ["+net/web"]
    (conf / "net" / "mail.conf").write_text("task\n")
    assert scene.changes() == ["+net/mail"]


def test_a_directory_that_is_replaced_while_changes_are_taken_in_is_read_too(
        watched: Watched, conf: Path, elsewhere: Path) -> None:
    (elsewhere / "web.conf").write_text("task\n")
    scene = watched(conf)
    (conf / "net").mkdir()
    (conf / "x.conf").write_text("task\n")
    told = scene.watch.drain()
    assert next(told).name == "x"
    elsewhere.rename(conf / "net")
    assert [files.name for files in told] == ["net/web"]
    (conf / "net" / "web.conf").unlink()
    assert scene.changes() == ["-net/web"]


def test_a_link_to_a_directory_is_not_watched(watched: Watched, conf: Path, elsewhere: Path) -> None:
    (conf / "link").symlink_to(elsewhere)
    scene = watched(conf)
    scene.watch.watch(str(conf), "link")
    (elsewhere / "x.conf").write_text("task\n")
    assert scene.changes() == []
    assert scene.watch.interval is None


def test_the_name_of_a_directory_decides_whether_it_counts(watched: Watched, conf: Path) -> None:
    scene = watched(conf)
    (conf / ".git").mkdir()
    assert scene.changes() == []
    (conf / ".git" / "x.conf").write_text("task\n")
    assert not readable(scene)
    (conf / ".git").rename(conf / "git")
    assert scene.changes() == ["+git/x"]
    (conf / "git").rename(conf / "git.bak")
    assert scene.changes() == ["-git/x"]
    (conf / "git.bak" / "x.conf").write_text("task\n")
    assert scene.changes() == []


def test_a_removed_tree_of_many_directories_costs_in_proportion(watched: Watched, conf: Path) -> None:
    costs = []
    for count in (50, 100):
        scene = watched(conf)
        for number in range(count):
            (conf / f"a{number % 3}" / f"b{number}").mkdir(parents=True)
            (conf / f"a{number % 3}" / f"b{number}" / "x.conf").write_text("task\n")
            (conf / f"a{number % 3}" / f"b{number}" / "x.override").write_text("manual\n")
        scene.load()
        for number in range(3):
            shutil.rmtree(conf / f"a{number}")
        with counted_calls() as calls:
            assert len(scene.changes()) >= count
        assert not any(files.definitions for files in scene.said.values())
        costs.append(calls.count)
    assert costs[1] < 2.2 * costs[0]


def test_directories_that_move_away_one_by_one_cost_in_proportion(
        watched: Watched, conf: Path, elsewhere: Path) -> None:
    costs = []
    for count in (50, 100):
        scene = watched(conf)
        for number in range(count):
            (conf / f"{count}-{number}" / "deep").mkdir(parents=True)
            (conf / f"{count}-{number}" / "deep" / "x.conf").write_text("task\n")
        scene.load()
        for number in range(count):
            (conf / f"{count}-{number}").rename(elsewhere / f"{count}-{number}")
        with counted_calls() as calls:
            assert scene.changes() == [f"-{count}-{number}/deep/x" for number in range(count)]
        costs.append(calls.count)
    assert costs[1] < 2.2 * costs[0]


def test_a_deleted_tree_goes_file_by_file(watched: Watched, conf: Path) -> None:
    (conf / "a" / "b").mkdir(parents=True)
    (conf / "a" / "x.conf").write_text("task\n")
    (conf / "a" / "b" / "y.conf").write_text("task\n")
    scene = watched(conf)
    (conf / "a" / "b" / "y.conf").unlink()
    (conf / "a" / "b").rmdir()
    (conf / "a" / "x.conf").unlink()
    (conf / "a").rmdir()
    assert scene.changes() == ["-a/b/y", "-a/x"]


def test_a_directory_that_changed_again_since_is_read_as_it_is(watched: Watched, conf: Path) -> None:
    scene = watched(conf)
    (conf / "a").mkdir()
    (conf / "a" / "x.conf").write_text("task\n")
    (conf / "a").rename(conf / "b")
    (conf / "a").mkdir()
    (conf / "a" / "y.conf").write_text("task\n")
    scene.changes()
    assert {name for name, files in scene.said.items() if files.definitions} == {"a/y", "b/x"}
    (conf / "a" / "y.conf").write_text("task\n")
    (conf / "b" / "x.conf").write_text("task\n")
    assert scene.changes() == ["+a/y", "+b/x"]


def test_a_deleted_job_directory_is_missed_until_a_reload(watched: Watched, conf: Path) -> None:
    (conf / "x.conf").write_text("task\n")
    scene = watched(conf)
    (conf / "x.conf").unlink()
    conf.rmdir()
    assert scene.changes() == ["-x"]
    assert scene.log[-1] == (Priority.WARN, f"{conf}: Configuration directory deleted")
    conf.mkdir()
    (conf / "y.conf").write_text("task\n")
    assert scene.changes() == []
    assert scene.load() == ["+y"]
    (conf / "y.conf").unlink()
    assert scene.changes() == ["-y"]


def test_the_jobs_of_a_renamed_job_directory_stay_until_a_reload(watched: Watched, tmp_path: Path, conf: Path) -> None:
    (conf / "sub").mkdir()
    (conf / "sub" / "x.conf").write_text("task\n")
    scene = watched(conf)
    conf.rename(tmp_path / "away")
    assert scene.changes() == []
    assert scene.log[-1] == (Priority.WARN, f"{conf}: Configuration directory deleted")
    (tmp_path / "away" / "sub" / "x.conf").write_text("nice 1\n")
    (tmp_path / "away").rename(conf)
    (conf / "sub" / "x.conf").write_text("nice 2\n")
    assert scene.changes() == []
    assert scene.load() == ["+sub/x"]
    (conf / "sub" / "x.conf").unlink()
    assert scene.changes() == ["-sub/x"]


def test_a_missing_job_directory_is_looked_for_by_a_reload(watched: Watched, conf: Path) -> None:
    scene = watched(conf / "missing", conf)
    (conf / "missing").mkdir()
    (conf / "missing" / "x.conf").write_text("task\n")
    assert scene.changes() == ["+missing/x"]
    assert scene.load() == ["+x", "+missing/x"]
    (conf / "missing" / "y.conf").write_text("task\n")
    assert sorted(scene.changes()) == ["+missing/y", "+y"]


def test_a_job_directory_within_another_is_in_both(watched: Watched, conf: Path, tmp_path: Path) -> None:
    inner = conf / "inner"
    inner.mkdir()
    (tmp_path / "link").symlink_to(inner)
    scene = watched(conf, inner, tmp_path / "link")
    (inner / "x.conf").write_text("task\n")
    assert scene.changes() == ["+inner/x", "+x", "+x"]
    assert len(scene.said["x"].definitions) == 2
    inner.rename(conf / "outer")
    assert scene.changes() == ["-inner/x", "+outer/x"]
    (conf / "outer" / "x.conf").unlink()
    assert scene.changes() == ["-outer/x"]


# -- reloads -------------------------------------------------------------------------------------------------


def test_changes_before_a_reload_are_not_read_twice(watched: Watched, conf: Path) -> None:
    (conf / "gone.conf").write_text("task\n")
    scene = watched(conf)
    (conf / "x.conf").write_text("task\n")
    (conf / "gone.conf").unlink()
    assert scene.load() == ["+x", "-gone"]
    assert scene.changes() == []
    (conf / "x.conf").write_text("task # more\n")
    assert scene.changes() == ["+x"]


def test_a_reload_watches_each_directory_once(watched: Watched, conf: Path) -> None:
    (conf / "sub").mkdir()
    scene = watched(conf)
    for _ in range(3):
        scene.load()
    (conf / "sub" / "x.conf").write_text("task\n")
    (conf / "y.conf").write_text("task\n")
    assert scene.changes() == ["+sub/x", "+y"]


def test_what_was_seen_before_a_reload_is_known_from_its_first_file_on(watched: Watched, conf: Path) -> None:
    for name in ("a", "changed", "gone"):
        (conf / f"{name}.conf").write_text("description 1\n")
    scene = watched(conf)
    (conf / "changed.conf").write_text("description 2\n")
    (conf / "gone.conf").unlink()
    reload = scene.sources.load()
    first = [next(reload).name for _ in range(3)]
    assert first == ["changed", "gone", "a"]
    assert scene.changes() == []


def test_what_comes_changes_or_goes_while_a_reload_is_under_way_counts(watched: Watched, conf: Path) -> None:
    for name in ("a", "b", "changed", "gone"):
        (conf / f"{name}.conf").write_text("description 1\n")
    scene = watched(conf)
    (conf / "b.conf").unlink()
    (conf / "gone.conf").rename(conf / "moved.conf")
    reload = scene.sources.load()
    assert [next(reload).name for _ in range(4)] == ["b", "gone", "moved", "a"]
    (conf / "changed.conf").write_text("description 2\n")
    (conf / "b.conf").write_text("description 2\n")
    (conf / "moved.conf").unlink()
    assert scene.changes() == ["+changed", "+b", "-moved"]
    # Nothing is left for the reload but the name that it had found in the directory.
    assert scene._take(reload) == ["-moved"]
    assert scene.descriptions("changed") == scene.descriptions("b") == ["2"]


# -- where inotify fails -------------------------------------------------------------------------------------


MOST_EVENTS = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())


@pytest.mark.skipif(MOST_EVENTS > 100_000, reason="the kernel's queue is too long to be filled")
def test_when_events_are_lost_what_has_changed_is_found(watched: Watched, conf: Path) -> None:
    for name in ("same", "changed", "gone"):
        (conf / f"{name}.conf").write_text("description 1\n")
    (conf / "sub").mkdir()
    scene = watched(conf)
    # Equal events that follow each other are one, so it takes two files to fill the queue.
    for number in range(MOST_EVENTS + 1):
        os.close(os.open(conf / f"{number % 2}.txt", os.O_WRONLY | os.O_CREAT))
    status = (conf / "changed.conf").stat()
    (conf / "changed.conf").write_text("description 2\n")
    os.utime(conf / "changed.conf", ns=(status.st_atime_ns, status.st_mtime_ns))
    (conf / "gone.conf").unlink()
    (conf / "sub").rmdir()
    (conf / "new").mkdir()
    (conf / "new" / "x.conf").write_text("task\n")
    assert scene.changes() == ["+changed", "+new/x", "-gone"]
    (conf / "new" / "x.conf").write_text("nice 1\n")
    (conf / "same.conf").write_text("nice 1\n")
    assert scene.changes() == ["+new/x", "+same"]


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EMFILE])
def test_without_inotify_the_directories_are_looked_at(watched: Watched, conf: Path, number: int) -> None:
    (conf / "x.conf").write_text("description 1\n")
    def refuse() -> None:
        raise OSError(number, os.strerror(number))

    scene = watched(conf, make_inotify=refuse)
    assert scene.watch.fileno() is None
    assert scene.watch.interval == INTERVAL
    warning = f"cannot watch job directories: {os.strerror(number)}; looking for changes every 2 seconds instead"
    assert scene.log[0] == (Priority.WARN, warning)
    assert scene.changes() == []
    (conf / "sub").mkdir()
    (conf / "sub" / "y.conf").write_text("task\n")
    (conf / "x.conf").write_text("description 12\n")
    assert scene.changes() == ["+sub/y", "+x"]
    (conf / "x.conf").unlink()
    assert scene.changes() == ["-x"]
    assert scene.load() == ["+sub/y"]


class Limited(inotify_simple.INotify):  # type: ignore[misc]  # its class comes without annotations
    """inotify with a limit of watches, as /proc/sys/fs/inotify/max_user_watches sets one."""

    limit = 1

    def add_watch(self, path: str, mask: int) -> int:
        if self.limit == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.limit -= 1
        return int(super().add_watch(path, mask))


def test_where_a_directory_cannot_be_watched_it_is_looked_at_until_it_can(watched: Watched, conf: Path) -> None:
    (conf / "sub").mkdir()
    (conf / "sub" / "x.conf").write_text("description 1\n")
    limited = Limited(nonblocking=True)
    scene = watched(conf, make_inotify=lambda: limited)
    assert (scene.watch.fileno(), scene.watch.interval) == (limited.fileno(), INTERVAL)
    warning = f"cannot watch {conf}/sub: No space left on device; looking for changes every 2 seconds instead"
    assert (Priority.WARN, warning) in scene.log
    (conf / "sub" / "x.conf").write_text("description 12\n")
    (conf / "y.conf").write_text("task\n")
    limited.limit = 1  # for the job directory, which is watched already
    assert scene.changes() == ["+y", "+sub/x"]
    assert scene.watch.interval == INTERVAL
    limited.limit = 2
    assert scene.changes() == []
    assert scene.watch.interval is None
    (conf / "sub" / "x.conf").write_text("description 1\n")
    assert scene.changes() == ["+sub/x"]


def test_a_directory_that_could_not_be_watched_and_is_gone_is_not_looked_for(watched: Watched, conf: Path) -> None:
    (conf / "sub").mkdir()
    scene = watched(conf, make_inotify=lambda: Limited(nonblocking=True))
    assert scene.watch.interval == INTERVAL
    (conf / "sub").rmdir()
    assert scene.changes() == []
    assert scene.watch.interval is None


def test_a_watch_can_be_closed(watched: Watched, conf: Path) -> None:
    scene = watched(conf)
    descriptor = scene.watch.fileno()
    assert descriptor is not None
    scene.watch.close()
    assert scene.watch.fileno() is None
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)
    scene.watch.close()
