"""The daemon's command line (upstartd/cli.py): runtime specification, 1.1 to 1.3; design, 31, 36 and 37."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from upstartd import COMPATIBLE_VERSION, __version__
from upstartd.cli import EarlyEnd, Mode, Options, parse
from upstartd.conf.model import Console
from upstartd.log import Priority

if TYPE_CHECKING:
    from collections.abc import Mapping

TRY_HELP = "Try `init --help' for more information."


def options(*arguments: str, environ: Mapping[str, str] | None = None, uid: int = 0, pid: int = 200) -> Options:
    return parse(arguments, environ or {}, uid=uid, pid=pid)


def refusal(*arguments: str, uid: int = 0, pid: int = 200) -> EarlyEnd:
    with pytest.raises(EarlyEnd) as caught:
        options(*arguments, uid=uid, pid=pid)
    return caught.value


def test_without_arguments_root_gets_a_system_instance_with_every_default() -> None:
    assert options() == Options(mode=Mode.SYSTEM, startup_event="startup", use_bus=True, default_console=Console.LOG,
                                priority=Priority.MESSAGE, confdirs=(), logdir=None, log_jobs=True, inherit_env=False)


@pytest.mark.parametrize(("arguments", "field", "value"), [
    (["--session"], "mode", Mode.SESSION),
    (["--user"], "mode", Mode.USER),
    (["--confdir", "/a", "--confdir=/b"], "confdirs", ("/a", "/b")),
    (["--prepend-confdir=/a", "--prepend-confdir", "/b"], "prepend_confdirs", ("/a", "/b")),
    (["--append-confdir", "/a", "--append-confdir", "/b"], "append_confdirs", ("/a", "/b")),
    (["--confdir", "--user"], "confdirs", ("--user",)),
    (["--logdir", "/a", "--logdir=/b"], "logdir", "/b"),
    (["--logdir=/a=b"], "logdir", "/a=b"),
    (["--no-log"], "log_jobs", False),
    (["--cachedir", "/a", "--cachedir=/b"], "cachedir", "/b"),
    (["--no-cache"], "cache", False),
    (["--default-console", "owner"], "default_console", Console.OWNER),
    (["--default-console=none"], "default_console", Console.NONE),
    (["--startup-event", "boot"], "startup_event", "boot"),
    (["--no-startup-event"], "emits_startup_event", False),
    (["--no-dbus"], "use_bus", False),
    (["--chroot-sessions"], "chroot_sessions", True),
    (["--no-cgroups"], "cgroups", False),
    (["--write-state-file"], "write_state_file", True),
    (["--restart"], "restart", True),
    (["--state-fd", "7"], "state_fd", 7),
    (["-q"], "priority", Priority.ERROR),
    (["--quiet"], "priority", Priority.ERROR),
    (["-v"], "priority", Priority.INFO),
    (["--verbose"], "priority", Priority.INFO),
    (["--debug"], "priority", Priority.DEBUG),
    (["-qv"], "priority", Priority.INFO),
    (["-v", "-q"], "priority", Priority.ERROR),
])
def test_each_option_sets_its_field_and_nothing_else(arguments: list[str], field: str, value: object) -> None:
    found = options(*arguments)
    expected = {name: getattr(Options(), name) for name in Options.__slots__} | {field: value}
    if field == "mode":
        expected["inherit_env"] = value is Mode.USER
    assert {name: getattr(found, name) for name in Options.__slots__} == expected


@pytest.mark.parametrize("arguments", [
    ("--no-startup-event", "--startup-event", "boot"), ("--startup-event", "boot", "--no-startup-event"),
])
def test_no_event_at_the_start_is_a_rule_of_its_own_whatever_the_name_and_the_order(arguments: tuple[str, ...]) -> None:
    assert not options(*arguments).emits_startup_event


def test_user_mode_inherits_the_environment_unless_told_not_to() -> None:
    assert options("--user").inherit_env
    assert not options("--user", "--no-inherit-env").inherit_env
    assert not options("--no-inherit-env", "--user").inherit_env
    assert not options("--session").inherit_env


def test_of_session_and_user_the_last_one_wins() -> None:
    assert options("--session", "--user").mode is Mode.USER
    assert options("--user", "--session").mode is Mode.SESSION


@pytest.mark.parametrize("arguments", [["stray"], ["-"], ["--", "--frob", "-z", "--confdir"], ["a", "--", "b"]])
def test_words_that_are_no_options_are_passed_over(arguments: list[str]) -> None:
    assert options(*arguments) == Options()


@pytest.mark.parametrize(("arguments", "problem"), [
    (["--frob"], "invalid option: --frob"),
    (["--frob=3"], "invalid option: --frob=3"),
    (["--conf", "/a"], "invalid option: --conf"),
    (["--help=me"], "invalid option: --help=me"),
    (["-z"], "invalid option: -z"),
    (["-qz"], "invalid option: -z"),
    (["--user=1000"], "unexpected argument: --user=1000"),
    (["--confdir"], "missing argument: --confdir"),
    (["--confdir="], "missing argument: --confdir"),
    (["--logdir", ""], "missing argument: --logdir"),
    (["--cachedir", ""], "missing argument: --cachedir"),
    (["--state-fd", "x"], "illegal argument: x"),
    (["--state-fd", "-1"], "illegal argument: -1"),
    (["--state-fd", "1_0"], "illegal argument: 1_0"),
    (["--state-fd", "2147483648"], "illegal argument: 2147483648"),
    (["--state-fd", "0" * 5000], f"illegal argument: {'0' * 5000}"),
])
def test_a_wrong_option_is_an_error_that_points_to_the_help(arguments: list[str], problem: str) -> None:
    end = refusal(*arguments)
    assert (end.text, end.status) == (f"init: {problem}\n{TRY_HELP}", 1)


def test_an_unknown_console_is_an_error_of_one_line() -> None:
    end = refusal("--default-console", "screen")
    assert (end.text, end.status) == ("init: invalid console type specified: screen", 1)


def test_process_1_passes_over_options_it_does_not_know_and_keeps_the_others() -> None:
    kernel_words = ["splash", "--frob", "-z", "-bv", "nosplash=x", "--confdir", "/a"]
    assert options(*kernel_words, pid=1) == Options(confdirs=("/a",), priority=Priority.INFO)


def test_process_1_ends_over_a_missing_value_too() -> None:
    assert refusal("--confdir", pid=1).text == f"init: missing argument: --confdir\n{TRY_HELP}"


def test_a_system_instance_needs_root() -> None:
    end = refusal(uid=1000)
    assert (end.text, end.status) == ("init: Need to be root", 1)


@pytest.mark.parametrize("arguments", [["--user"], ["--session"]])
def test_the_other_modes_run_under_any_uid(arguments: list[str]) -> None:
    assert options(*arguments, uid=1000) == options(*arguments, uid=0)


def test_version_starts_with_what_we_are_compatible_with() -> None:
    end = refusal("--version", uid=1000)
    first, second, *_ = end.text.splitlines()
    assert (first, end.status) == (COMPATIBLE_VERSION, 0)
    assert __version__ in second
    assert "MIT" in end.text


def test_help_names_every_option_but_the_internal_ones() -> None:
    end = refusal("--user", "--help")
    assert end.status == 0
    for name in ("--confdir DIR", "--prepend-confdir", "--append-confdir", "--logdir", "--no-log", "--cachedir DIR",
                 "--no-cache", "--default-console",
                 "--startup-event NAME", "--no-startup-event", "--no-dbus", "--session", "--user", "--no-inherit-env",
                 "--chroot-sessions", "--no-cgroups", "--write-state-file", "-q, --quiet", "-v, --verbose", "--help",
                 "--version"):
        assert f"  {name}" in end.text
    for name in ("--debug", "--restart", "--state-fd"):
        assert name not in end.text


@pytest.mark.parametrize("arguments", [[], ["--session"]])
def test_the_environment_gives_a_system_instance_its_directories(arguments: list[str]) -> None:
    found = options(*arguments, environ={"UPSTART_CONFDIR": "/jobs", "UPSTART_LOGDIR": "/logs"})
    assert (found.confdirs, found.logdir) == (("/jobs",), "/logs")


def test_an_option_beats_the_variable_that_says_the_same() -> None:
    environ = {"UPSTART_CONFDIR": "/jobs", "UPSTART_LOGDIR": "/logs", "UPSTART_USE_SESSION_BUS": "1"}
    found = options("--confdir=/a", "--logdir=/b", environ=environ)
    assert (found.confdirs, found.logdir, found.mode) == (("/a",), "/b", Mode.SESSION)
    assert options("--user", environ=environ).mode is Mode.USER


def test_the_directories_of_the_environment_do_not_count_in_user_mode() -> None:
    found = options("--user", environ={"UPSTART_CONFDIR": "/jobs", "UPSTART_LOGDIR": "/logs"})
    assert (found.confdirs, found.logdir) == ((), None)


def test_an_empty_directory_in_the_environment_counts_as_none() -> None:
    assert options(environ={"UPSTART_CONFDIR": "", "UPSTART_LOGDIR": ""}) == Options()


@pytest.mark.parametrize(("variable", "arguments", "field", "value"), [
    ("UPSTART_USE_SESSION_BUS", [], "mode", Mode.SESSION),
    ("UPSTART_NO_SESSIONS", ["--chroot-sessions"], "chroot_sessions", False),
    ("UPSTART_WRITE_STATEFILE", [], "write_state_file", True),
    ("UPSTART_NO_SYSTEM_USERCONFDIR", ["--user"], "system_user_confdir", False),
])
def test_a_variable_that_is_a_switch_counts_whatever_its_value(
    variable: str, arguments: list[str], field: str, value: object,
) -> None:
    assert getattr(options(*arguments), field) != value
    for text in ("1", ""):
        assert getattr(options(*arguments, environ={variable: text}), field) == value


@pytest.mark.parametrize(("text", "seconds"), [("10", 10), ("-1", -1), ("soon", 3), ("", 3),
                                                ("9" * 400, 2**31 // 1000), ("-" + "9" * 400, -1)])
def test_the_wait_for_the_state_is_a_number_of_seconds_or_the_default(text: str, seconds: int) -> None:
    assert options(environ={"UPSTART_STATE_WAIT_SECS": text}).state_wait == seconds


def test_wrong_options_and_help_are_answered_without_loading_the_daemon() -> None:
    program = ("import sys; from upstartd.cli import main; status = main(); "
               "assert not {'asyncio', 'dbus_next', 'pyparsing', 'argparse'} & set(sys.modules); sys.exit(status)")
    wrong = subprocess.run([sys.executable, "-c", program, "--frob"], capture_output=True, text=True, check=False)
    assert (wrong.returncode, wrong.stdout, wrong.stderr) == (1, "", f"init: invalid option: --frob\n{TRY_HELP}\n")
    module = [sys.executable, "-m", "upstartd", "--version"]
    version = subprocess.run(module, capture_output=True, text=True, check=True)
    assert (version.stdout.splitlines()[0], version.stderr) == (COMPATIBLE_VERSION, "")
