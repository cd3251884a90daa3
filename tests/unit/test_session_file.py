"""The session file (upstartd/session_file.py): runtime specification, 7.2."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest

from upstartd import session_file

if TYPE_CHECKING:
    from pathlib import Path

ADDRESS = "unix:abstract=/com/ubuntu/upstart-session/1000/321"


def test_it_holds_the_address_in_one_line_and_its_directories_are_private(tmp_path: Path) -> None:
    path = tmp_path / "upstart" / "sessions" / "321.session"
    session_file.write(str(path), ADDRESS)
    assert path.read_text() == f"UPSTART_SESSION={ADDRESS}\n"
    for directory in (path.parent, path.parent.parent):
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_that_of_a_dead_daemon_with_the_same_pid_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "321.session"
    path.write_text("UPSTART_SESSION=unix:abstract=/another/and/much/longer/address/than/the/new/one/is/321\n")
    session_file.write(str(path), ADDRESS)
    assert path.read_text() == f"UPSTART_SESSION={ADDRESS}\n"


def test_it_does_not_follow_a_link_put_in_its_place(tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.write_text("kept")
    path = tmp_path / "321.session"
    path.symlink_to(target)
    with pytest.raises(session_file.SessionFileError, match=f"^unable to create session file: {path}$"):
        session_file.write(str(path), ADDRESS)
    assert target.read_text() == "kept"


def test_a_directory_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "upstart").touch()
    path = tmp_path / "upstart" / "sessions" / "321.session"
    with pytest.raises(session_file.SessionFileError, match=f"^unable to create session file: {path}$") as failure:
        session_file.write(str(path), ADDRESS)
    assert failure.value.reason == "File exists"


def test_a_full_disk_is_said() -> None:
    with pytest.raises(session_file.SessionFileError, match=r"^unable to write session file: /dev/full$") as failure:
        session_file.write("/dev/full", ADDRESS)
    assert failure.value.reason == "No space left on device"


def test_it_is_removed_and_need_not_be_there(tmp_path: Path) -> None:
    path = tmp_path / "321.session"
    session_file.write(str(path), ADDRESS)
    session_file.remove(str(path))
    assert not path.exists()
    session_file.remove(str(path))


def test_one_that_cannot_be_removed_is_said(tmp_path: Path) -> None:
    with pytest.raises(session_file.SessionFileError, match=f"^unable to remove session file: {tmp_path}$"):
        session_file.remove(str(tmp_path))
