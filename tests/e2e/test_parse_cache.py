"""A daemon that starts with job files that one before it has read: what they mean is known, and says the same."""

from __future__ import annotations

import os
import re
import stat
from typing import TYPE_CHECKING

import pytest

from support.bus_host import MANAGER, ROOT, Client
from support.daemon import Daemon
from support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

JOBS = 40


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    """With job files, one of which has an override and one an error."""
    (tmp_path / "init").mkdir()
    for number in range(JOBS):
        (tmp_path / f"init/job{number}.conf").write_text(
            f"description 'Number {number}'\nstart on (one and two{number}) or three\nexec sleep 1000\n")
    (tmp_path / "init/job1.override").write_text("manual\n")
    (tmp_path / "init/wrong.conf").write_text("exec true\nbogus\n")
    return tmp_path


def start(scratch: Path, *arguments: str) -> Daemon:
    return Daemon(scratch, "--user", "--no-startup-event", "--debug", *arguments)


def known(daemon: Daemon) -> tuple[int, int]:
    """How many valid texts of the last load were known, and of how many."""
    *_, last = re.finditer(r"\.readings: (\d+) of (\d+) texts were known\n", daemon.log())
    return int(last[1]), int(last[2])


def seen(daemon: Daemon) -> str:
    """What clients see of the jobs, and what the log says of errors."""
    return daemon.run("initctl", "show-config", "-e") + "".join(re.findall(".*Unknown stanza\n", daemon.log()))


def is_saved(scratch: Path) -> bool:
    directory = scratch / "cache" / "upstartd"
    return directory.is_dir() and [file.suffix for file in directory.iterdir()] == [".readings"]


def test_a_second_daemon_knows_what_the_first_one_has_read(scratch: Path) -> None:
    with start(scratch) as daemon:
        assert known(daemon) == (0, JOBS)
        first = seen(daemon)
        wait_until(lambda: is_saved(scratch), "the cache")
    assert "Unknown stanza" in first
    (file,) = (scratch / "cache" / "upstartd").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with start(scratch) as daemon:
        assert known(daemon) == (JOBS, JOBS)
        assert seen(daemon) == first
        assert daemon.run("start", "job0").startswith("job0 start/running, process ")
        assert daemon.run("stop", "job0") == "job0 stop/waiting\n"


def test_a_file_that_changed_meanwhile_is_read_anew(scratch: Path) -> None:
    with start(scratch):
        wait_until(lambda: is_saved(scratch), "the cache")
    path = scratch / "init/job0.conf"
    before = path.stat()
    path.write_text(path.read_text().replace("Number 0", "Number X"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with start(scratch) as daemon:
        assert known(daemon) == (JOBS - 1, JOBS)
        assert "Number X" in daemon.run("initctl", "list", "--long")


def test_a_reload_and_a_re_execution_know_the_files_too(scratch: Path) -> None:
    def loads() -> int:
        return daemon.log().count(" texts were known\n")

    with start(scratch) as daemon:
        wait_until(lambda: is_saved(scratch), "the cache")
        daemon.run("initctl", "reload-configuration")
        assert (loads(), known(daemon)) == (2, (JOBS, JOBS))
        with Client.on_socket(daemon.environ["UPSTART_SESSION"].partition("abstract=")[2]) as client:
            client.send(ROOT, MANAGER, "Restart")
            wait_until(lambda: loads() == 3, "the new daemon")
        assert known(daemon) == (JOBS, JOBS)


def test_without_a_cache_and_with_few_files_nothing_is_left_on_the_disk(scratch: Path) -> None:
    with start(scratch, "--no-cache") as daemon:
        daemon.run("initctl", "reload-configuration")
        assert "texts were known" not in daemon.log()
    for number in range(10):
        (scratch / f"init/job{number}.conf").unlink()
    with start(scratch) as daemon:
        assert known(daemon) == (0, JOBS - 10)
        daemon.run("initctl", "reload-configuration")
        assert known(daemon) == (0, JOBS - 10)
    assert list((scratch / "cache").iterdir()) == []


def test_a_disk_that_can_be_written_later_gets_the_cache_then(scratch: Path) -> None:
    place = scratch / "later"
    place.write_text("in the way")
    with start(scratch, "--cachedir", str(place / "cache")) as daemon:
        wait_until(lambda: "cannot write " in daemon.log(), "the first try")
        place.unlink()
        daemon.run("initctl", "notify-disk-writeable")
        wait_until((place / "cache").is_dir, "the directory")
        wait_until(lambda: [file.suffix for file in (place / "cache").iterdir()] == [".readings"], "the cache")
    with start(scratch, "--cachedir", str(place / "cache")) as daemon:
        assert known(daemon) == (JOBS, JOBS)
