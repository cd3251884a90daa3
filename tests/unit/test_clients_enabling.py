"""enable, disable and is-enabled on files alone: what of an override changes, and what stays."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upstartd.conf.parser import parse
from upstartd_clients import enabling
from upstartd_clients.enabling import disable, enable, find
from upstartd_clients.errors import LocalError

if TYPE_CHECKING:
    from pathlib import Path

START = "start on runlevel [2345]\nexec sleep 1\n"


class Jobs:
    """Job directories, the first with the highest precedence."""

    def __init__(self, tmp_path: Path) -> None:
        self.directories = [tmp_path / name for name in ("one", "two", "three")]
        for directory in self.directories:
            directory.mkdir()

    def write(self, directory: int, name: str, text: str) -> Path:
        path = self.directories[directory] / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    def find(self, name: str = "web") -> enabling.JobOnDisk:
        return find(name, [str(directory) for directory in self.directories])

    def files(self) -> dict[str, str]:
        """Every file below the directories, hidden ones too."""
        return {str(path.relative_to(self.directories[0].parent)): path.read_text()
                for directory in self.directories for path in directory.rglob("*") if path.is_file()}


@pytest.fixture
def jobs(tmp_path: Path) -> Jobs:
    return Jobs(tmp_path)


def refused(jobs: Jobs, change: str) -> str:
    """The error with which a change ends; no file has changed."""
    before = jobs.files()
    with pytest.raises(LocalError) as caught:
        {"enable": enable, "disable": disable}[change](jobs.find())
    assert jobs.files() == before
    return caught.value.message


# -- finding ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("conf", "override", "enabled"), [
    (START, None, True),
    ("exec sleep 1\n", None, False),
    (f"{START}manual\n", None, False),
    (f"manual\n{START}", None, True),
    (START, "manual\n", False),
    (START, "manual\nstart on boot\n", True),
    ("exec sleep 1\n", "start on boot\n", True),
    (START, "frob\nmanual\n", True),  # it is wrong, and so does not count
    (START, "nice 3\n", True),
    (START, "script\nmanual\nend script\n", True),
    ("#start on runlevel [2345]\nexec true\n", None, False),
])
def test_a_job_is_enabled_if_an_event_can_start_it(jobs: Jobs, conf: str, override: str | None, enabled: bool) -> None:
    jobs.write(1, "web.conf", conf)
    if override is not None:
        jobs.write(1, "web.override", override)
    assert jobs.find().enabled is enabled


def test_the_first_valid_file_counts_and_overrides_up_to_its_directory(jobs: Jobs) -> None:
    jobs.write(0, "web.conf", "frob\n")
    jobs.write(1, "web.conf", START)
    jobs.write(2, "web.conf", "exec true\n")
    jobs.write(2, "web.override", "manual\n")
    found = jobs.find()
    assert (found.path, found.enabled, found.overrides) == (f"{jobs.directories[1]}/web.conf", True, [])
    near = jobs.write(1, "web.override", "nice 1\n")
    far = jobs.write(0, "web.override", "manual\n")
    found = jobs.find()
    assert (found.enabled, found.overrides) == (False, [str(far), str(near)])


def test_a_job_in_a_directory_below_is_found_by_its_whole_name(jobs: Jobs) -> None:
    jobs.write(1, "net/web.conf", START)
    jobs.write(1, "web.conf", "exec true\n")
    assert jobs.find("net/web").enabled
    assert not jobs.find("web").enabled
    path = disable(jobs.find("net/web"))
    assert path == f"{jobs.directories[1]}/net/web.override"
    assert not jobs.find("net/web").enabled


@pytest.mark.parametrize("name", ["db", "web.conf", "", "we", "../two/web", "net/web", "/web", "web/"])
def test_a_job_that_has_no_file_is_unknown(jobs: Jobs, name: str) -> None:
    jobs.write(1, "web.conf", START)
    with pytest.raises(LocalError) as caught:
        jobs.find(name)
    assert caught.value.message == f"Unknown job: {name}"


def test_a_job_whose_file_is_wrong_is_none_and_the_mistake_is_told(jobs: Jobs) -> None:
    path = jobs.write(1, "web.conf", f"{START}frob\n")
    with pytest.raises(LocalError) as caught:
        jobs.find()
    assert caught.value.message.startswith(f"web is no job: {path}:3:1: Unknown stanza")


# -- disabling --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("override", "changed"), [
    (None, "manual\n"),
    ("", "manual\n"),
    ("nice 3\n", "nice 3\nmanual\n"),
    ("# why\nnice 3", "# why\nnice 3\nmanual\n"),  # it had no newline at its end
    ("manual\nstart on boot\n", "manual\nstart on boot\nmanual\n"),
])
def test_disable_puts_manual_at_the_end_of_the_override(jobs: Jobs, override: str | None, changed: str) -> None:
    jobs.write(1, "web.conf", START)
    if override is not None:
        jobs.write(1, "web.override", override)
    path = disable(jobs.find())
    assert path == f"{jobs.directories[1]}/web.override"
    assert jobs.files() == {"two/web.conf": START, "two/web.override": changed}
    assert not jobs.find().enabled


def test_what_is_disabled_already_stays_as_it_is(jobs: Jobs) -> None:
    jobs.write(1, "web.conf", "exec true\n")
    assert disable(jobs.find()) is None
    assert list(jobs.files()) == ["two/web.conf"]


def test_disable_is_refused_where_it_would_have_no_effect(jobs: Jobs) -> None:
    jobs.write(1, "web.conf", START)
    path = jobs.write(1, "web.override", "frob\n")
    assert refused(jobs, "disable") == f"cannot disable web: {path}:1: Unknown stanza"
    path.write_text("exec sleep 2 \\\n")  # goes on in the next line, which would be ours
    assert refused(jobs, "disable") == f"cannot disable web: `manual' would not count at the end of {path}"


def test_an_override_that_is_a_link_is_not_replaced_as_it_does_not_count(jobs: Jobs) -> None:
    jobs.write(1, "web.conf", START)
    path = jobs.directories[1] / "web.override"
    path.symlink_to("elsewhere")
    assert refused(jobs, "disable") == f"cannot disable web: {path} is a symbolic link, which would not count"


# -- enabling ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("override", "changed"), [
    ("manual\n", None),
    ("\n\tmanual  \n\n", None),
    ("nice 3\nmanual", "nice 3\n"),  # as Puppet writes it
    ("manual\nnice 3\nmanual\n", "nice 3\n"),
    ("manual # since Monday\n", " # since Monday\n"),
    ("# manual\nmanual\n", "# manual\n"),
    ("manual nice 3\nmanual\n", " nice 3\n"),  # the stanza that may share its line
    ("script\n  manual\nend script\nmanual\n", "script\n  manual\nend script\n"),
    ("description 'manual\nmanual'\nmanual\n", "description 'manual\nmanual'\n"),
    ("env manual=manual\nmanual\r\n", "env manual=manual\n"),
    ("start on boot\nmanual\n", "start on boot\n"),
])
def test_enable_takes_manual_away_and_nothing_else(jobs: Jobs, override: str, changed: str | None) -> None:
    jobs.write(1, "web.conf", START)
    path = jobs.write(1, "web.override", override)
    assert not jobs.find().enabled
    assert enable(jobs.find()) == str(path)
    assert jobs.files() == {"two/web.conf": START} | ({} if changed is None else {"two/web.override": changed})
    assert jobs.find().enabled


def test_what_is_enabled_already_stays_as_it_is(jobs: Jobs) -> None:
    jobs.write(1, "web.conf", START)
    jobs.write(1, "web.override", "manual\nstart on boot\n")
    before = jobs.files()
    assert enable(jobs.find()) is None
    assert jobs.files() == before


@pytest.mark.parametrize(("conf", "override"), [
    ("exec true\n", None), ("exec true\n", "manual\n"), (f"{START}manual\n", "manual\n"),
    (f"{START}manual\n", "frob\n"),
])
def test_a_job_without_a_start_condition_cannot_be_enabled(jobs: Jobs, conf: str, override: str | None) -> None:
    path = jobs.write(1, "web.conf", conf)
    if override is not None:
        jobs.write(1, "web.override", override)
    assert refused(jobs, "enable") == f"cannot enable web: {path} has no `start on', or has `manual' below it"


def test_an_override_of_the_job_s_own_start_condition_enables_a_job_that_has_none(jobs: Jobs) -> None:
    jobs.write(1, "web.conf", "exec true\n")
    jobs.write(1, "web.override", "start on boot\nmanual\n")
    enable(jobs.find())
    assert jobs.find().enabled


@given(st.lists(st.sampled_from(["manual", "nice 3", "env A=manual", "# manual", "", "script\n manual\nend script",
                                 "manual umask 022", "  manual  "]), max_size=6))
def test_disabled_and_enabled_again_an_override_without_manual_is_what_it_was(lines: list[str]) -> None:
    """Of any other, it is what it was without `manual`: what is left means the same."""
    text = "".join(f"{line}\n" for line in lines)
    config = parse(START, "").config
    assert config is not None
    job = enabling.JobOnDisk("web", config, "", config, [], [])
    without = enabling._without_manual(text, job)
    assert enabling._without_manual(f"{text}manual\n", job) == without
    assert enabling._without_manual(without, job) == without
    plain = parse(without, "", job.plain).config
    assert plain is not None
    assert plain.start_on == job.plain.start_on
    if not any("manual" in line for line in lines):
        assert without == text


# -- writing ----------------------------------------------------------------------------------------------------------


def test_an_override_of_an_earlier_directory_is_the_one_that_is_edited(jobs: Jobs) -> None:
    jobs.write(2, "web.conf", START)
    jobs.write(2, "web.override", "manual\n")
    near = jobs.write(1, "web.override", "nice 3\n")
    assert disable(jobs.find()) == str(near)
    near.write_text("manual\n")
    # It must stay, empty: without it the one behind it would count, which says manual too.
    assert enable(jobs.find()) == str(near)
    assert near.read_text() == ""
    assert jobs.find().enabled


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
def test_where_the_job_s_directory_cannot_be_written_to_an_earlier_one_is_used(
        jobs: Jobs, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    jobs.write(1, "net/web.conf", START)
    jobs.write(1, "net/web.override", "nice 3\n")
    replace = enabling._replace

    def picky(path: str, text: str) -> None:
        if path.startswith(str(jobs.directories[1])):
            raise OSError(number, os.strerror(number), path)
        replace(path, text)

    monkeypatch.setattr(enabling, "_replace", picky)
    assert disable(jobs.find("net/web")) == f"{jobs.directories[0]}/net/web.override"
    assert jobs.files() == {"two/net/web.conf": START, "two/net/web.override": "nice 3\n",
                            "one/net/web.override": "nice 3\nmanual\n"}
    assert not jobs.find("net/web").enabled


def test_where_no_directory_can_be_written_to_the_job_s_own_is_told(
        jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs.write(1, "web.conf", START)

    def refuse(path: str, text: str) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", path)

    monkeypatch.setattr(enabling, "_replace", refuse)
    assert refused(jobs, "disable") == (
        f"cannot disable web: cannot write {jobs.directories[1]}/web.override: Permission denied")


def test_a_full_disk_leaves_the_override_as_it_was_and_no_earlier_directory_is_tried(
        jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs.write(1, "web.conf", START)
    path = jobs.write(1, "web.override", "nice 3\n")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert refused(jobs, "disable") == f"cannot disable web: cannot write {path}: No space left on device"


def test_mode_and_owner_stay_and_a_new_override_is_for_all_to_read(jobs: Jobs) -> None:
    conf = jobs.write(1, "web.conf", START)
    path = jobs.write(1, "web.override", "nice 3\n")
    path.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(path, 65534, 65534)
    disable(jobs.find())
    status = path.stat()
    assert status.st_mode & 0o7777 == 0o640
    assert status.st_uid == (65534 if os.geteuid() == 0 else os.geteuid())
    path.unlink()
    disable(jobs.find())
    assert path.stat().st_mode & 0o7777 == 0o644
    assert conf.read_text() == START


def test_bytes_that_are_no_text_stay_what_they_were(jobs: Jobs) -> None:
    jobs.write(1, "web.conf", START)
    path = jobs.directories[1] / "web.override"
    path.write_bytes(b"# \xff\r\nenv A=\xfe\n")
    disable(jobs.find())
    assert path.read_bytes() == b"# \xff\r\nenv A=\xfe\nmanual\n"
    enable(jobs.find())
    assert path.read_bytes() == b"# \xff\r\nenv A=\xfe\n"
