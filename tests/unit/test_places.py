"""Where the daemon's things are (upstartd/places.py): runtime specification, 1.2 and 7; design, 28."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest

from upstartd import places
from upstartd.cli import Mode, Options

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

USER = Options(mode=Mode.USER, inherit_env=True)
ALICE = {"HOME": "/home/alice"}


def find(options: Options, environ: Mapping[str, str] | None = None) -> places.Places:
    return places.find(options, environ or {}, uid=1000, pid=321)


def test_a_system_instance_uses_the_system_s_places() -> None:
    found = find(Options())
    assert found.job_directories == ("/etc/init",)
    assert found.log_directory == "/var/log/upstart"
    assert found.cache_directory == "/var/cache/upstartd"
    assert found.socket_address == "unix:abstract=/com/ubuntu/upstart"
    assert (found.session_file, found.own_directories, found.left_out) == (None, (), ())


def test_a_system_instance_on_the_session_bus_has_no_private_socket() -> None:
    found = find(Options(mode=Mode.SESSION), {"XDG_RUNTIME_DIR": "/run/user/1000"})
    assert (found.socket_name, found.socket_address, found.session_file) == (None, None, None)
    assert found.job_directories == ("/etc/init",)


MODES = pytest.mark.parametrize("mode", [Mode.SYSTEM, Mode.SESSION, Mode.USER])


@MODES
def test_the_cache_can_be_elsewhere_or_nowhere(mode: Mode) -> None:
    assert find(Options(mode=mode, cachedir="/cache"), ALICE).cache_directory == "/cache"
    assert find(Options(mode=mode, cachedir="/cache", cache=False), ALICE).cache_directory is None


def test_without_home_a_user_s_cache_is_left_out_without_a_word() -> None:
    found = find(Options(mode=Mode.USER, confdirs=("/a",), logdir="/b"))
    assert (found.cache_directory, found.left_out) == (None, ())


@MODES
def test_given_directories_replace_the_default_ones_and_stand_between_prepended_and_appended(mode: Mode) -> None:
    options = Options(mode=mode, confdirs=("/b", "/a"), prepend_confdirs=("/first", "/second"),
                      append_confdirs=("/last",), logdir="/logs")
    found = find(options, ALICE)
    assert found.job_directories == ("/first", "/second", "/b", "/a", "/last")
    assert found.log_directory == "/logs"
    assert found.own_directories == ()


def test_prepended_and_appended_directories_surround_the_default_ones() -> None:
    found = find(Options(prepend_confdirs=("/first",), append_confdirs=("/last",)))
    assert found.job_directories == ("/first", "/etc/init", "/last")


def test_a_directory_named_twice_counts_where_it_comes_first() -> None:
    assert find(Options(confdirs=("/a", "/b", "/a"), append_confdirs=("/b",))).job_directories == ("/a", "/b")


def test_a_user_s_jobs_come_before_those_for_all_users() -> None:
    found = find(USER, ALICE)
    assert found.job_directories == ("/home/alice/.config/upstart", "/home/alice/.init", "/etc/xdg/upstart",
                                     "/usr/share/upstart/sessions")
    assert found.log_directory == "/home/alice/.cache/upstart"
    assert found.own_directories == ("/home/alice/.config/upstart", "/home/alice/.cache/upstart")
    assert found.cache_directory == "/home/alice/.cache/upstartd"
    assert found.left_out == ()


def test_xdg_variables_move_a_user_s_places() -> None:
    found = find(USER, ALICE | {"XDG_CONFIG_HOME": "/x/config", "XDG_CONFIG_DIRS": "/one:relative::/two",
                                "XDG_CACHE_HOME": "/x/cache", "XDG_RUNTIME_DIR": "/run/user/1000"})
    assert found.job_directories == ("/x/config/upstart", "/home/alice/.init", "/one/upstart", "/two/upstart",
                                     "/usr/share/upstart/sessions")
    assert found.log_directory == "/x/cache/upstart"
    assert found.own_directories == ("/x/config/upstart", "/x/cache/upstart")
    assert found.cache_directory == "/x/cache/upstartd"
    assert found.session_file == "/run/user/1000/upstart/sessions/321.session"


def test_a_directory_that_is_given_or_not_used_is_not_made() -> None:
    assert find(Options(mode=Mode.USER, logdir="/logs"), ALICE).own_directories == ("/home/alice/.config/upstart",)
    assert find(Options(mode=Mode.USER, confdirs=("/a",)), ALICE).own_directories == ("/home/alice/.cache/upstart",)
    assert find(Options(mode=Mode.USER, confdirs=("/a",), log_jobs=False), ALICE).own_directories == ()


def test_relative_xdg_variables_count_as_unset() -> None:
    relative = dict.fromkeys(("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR"), "here")
    assert find(USER, ALICE | relative) == find(USER, ALICE)
    assert find(USER, ALICE | relative).session_file is None


def test_an_empty_list_of_configuration_directories_is_the_default_one() -> None:
    assert "/etc/xdg/upstart" in find(USER, ALICE | {"XDG_CONFIG_DIRS": ""}).job_directories


def test_the_directory_for_all_users_can_be_left_out() -> None:
    found = find(Options(mode=Mode.USER, system_user_confdir=False), ALICE)
    assert found.job_directories[-1] == "/etc/xdg/upstart"


def test_a_user_s_socket_is_called_after_uid_and_pid() -> None:
    found = find(USER, ALICE)
    assert found.socket_name == "/com/ubuntu/upstart-session/1000/321"
    assert found.socket_address == "unix:abstract=/com/ubuntu/upstart-session/1000/321"


@pytest.mark.parametrize(("environ", "why"), [
    ({}, "HOME is not set"), ({"HOME": ""}, "HOME is not set"), ({"HOME": "here"}, "HOME is not an absolute path"),
])
def test_without_home_what_needs_it_is_left_out_and_named(environ: dict[str, str], why: str) -> None:
    found = find(USER, environ)
    assert found.job_directories == ("/etc/xdg/upstart", "/usr/share/upstart/sessions")
    assert (found.own_directories, found.log_directory) == ((), None)
    assert found.left_out == (f"cannot read jobs from ~/.config/upstart: {why}",
                              f"cannot read jobs from ~/.init: {why}",
                              f"cannot write the output of jobs to ~/.cache/upstart: {why}")


def test_without_home_nothing_is_missed_that_is_given_in_another_way() -> None:
    assert find(Options(mode=Mode.USER, confdirs=("/a",), logdir="/b")).left_out == ()
    xdg = {"XDG_CONFIG_HOME": "/x", "XDG_CACHE_HOME": "/y"}
    assert find(USER, xdg).left_out == ("cannot read jobs from ~/.init: HOME is not set",)


def test_a_private_directory_is_made_with_those_above_it_for_its_owner_only(tmp_path: Path) -> None:
    directory = tmp_path / "a" / "b" / "c"
    places.make_private_directory(str(directory))
    for made in (directory, directory.parent, directory.parent.parent):
        assert stat.S_IMODE(made.stat().st_mode) == 0o700


def test_a_private_directory_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    places.make_private_directory(str(tmp_path))
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


def test_a_private_directory_in_the_place_of_a_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="File exists"):
        places.make_private_directory(str(tmp_path / "file"))
    with pytest.raises(FileExistsError):
        places.make_private_directory(str(tmp_path / "file" / "below"))
