"""From a command of a job file to what is executed."""

from __future__ import annotations

import pytest

from upstartd.conf.model import Command
from upstartd.proc.command import Invocation, SetupFailed, candidates, environment, invocation


def argv(text: str, *, script: bool = False) -> list[bytes]:
    return list(invocation(Command(text, script)).argv)


def test_a_plain_command_is_split_at_blanks_and_tabs() -> None:
    assert argv("touch   /a,@ \t /b%+  ") == [b"touch", b"/a,@", b"/b%+"]


def test_no_other_white_space_splits_a_command() -> None:
    assert argv("echo a\u00a0b\x0bc") == [b"echo", "a\u00a0b\x0bc".encode()]


@pytest.mark.parametrize("character", "~`!$^&*()=|\\{}[];\"'<>?")
def test_each_shell_character_hands_a_command_to_the_shell(character: str) -> None:
    assert argv(f"prog a{character}b") == [b"/bin/sh", b"-e", b"-c", f"exec prog a{character}b".encode(), b"/bin/sh"]


@pytest.mark.parametrize("character", "#%+,-./:@_09AZaz")
def test_other_characters_do_not(character: str) -> None:
    assert argv(f"prog a{character}b") == [b"prog", f"a{character}b".encode()]


def test_a_script_of_one_line_is_an_argument_of_the_shell() -> None:
    assert invocation(Command("echo one\n\n", script=True)) == Invocation(
        (b"/bin/sh", b"-e", b"-c", b"echo one", b"/bin/sh")
    )


def test_a_plain_word_as_a_script_is_run_by_the_shell_all_the_same() -> None:
    assert argv("true", script=True) == [b"/bin/sh", b"-e", b"-c", b"true", b"/bin/sh"]


def test_an_empty_script_is_an_empty_argument() -> None:
    assert argv("", script=True) == [b"/bin/sh", b"-e", b"-c", b"", b"/bin/sh"]


def test_a_script_of_several_lines_comes_on_descriptor_9_which_its_first_line_closes() -> None:
    assert invocation(Command("one\ntwo\n", script=True)) == Invocation(
        (b"/bin/sh", b"-e", b"/proc/self/fd/9"), b"exec 9<&-\none\ntwo\n", 9
    )


def test_a_script_gets_another_descriptor_where_an_event_s_file_has_number_9() -> None:
    assert invocation(Command("one\ntwo", script=True), (9, 7)) == Invocation(
        (b"/bin/sh", b"-e", b"/proc/self/fd/8"), b"exec 8<&-\none\ntwo\n", 8
    )


def test_a_script_that_no_descriptor_is_left_for_cannot_be_run() -> None:
    with pytest.raises(SetupFailed, match=r"^unable to move script fd: Too many open files$"):
        invocation(Command("one\ntwo", script=True), range(3, 10))


def test_bytes_that_are_no_text_survive() -> None:
    assert argv(b"echo \xff\xc3\xa9".decode("utf-8", "surrogateescape")) == [b"echo", b"\xff\xc3\xa9"]


@pytest.mark.parametrize("script", [False, True])
def test_a_zero_byte_is_refused(script: bool) -> None:
    with pytest.raises(SetupFailed, match=r"^unable to execute: Invalid argument$"):
        invocation(Command("a\0b", script))


def test_the_environment_is_in_order_and_the_last_of_a_name_counts() -> None:
    given = ("B=1", "A=x=y", "B=2", "E=", b"F=\xff".decode("utf-8", "surrogateescape"))
    assert list(environment(given).items()) == [(b"B", b"2"), (b"A", b"x=y"), (b"E", b""), (b"F", b"\xff")]


def test_a_variable_without_a_name_is_one_like_any_other() -> None:
    assert environment(("=x", "A=1", "=y=z")) == {b"": b"y=z", b"A": b"1"}


def test_a_program_is_looked_for_in_each_directory_of_the_job_s_path() -> None:
    assert candidates(b"prog", {b"PATH": b"/a:/b/c"}) == (b"/a/prog", b"/b/c/prog")


def test_an_empty_directory_in_path_is_the_present_one() -> None:
    assert candidates(b"prog", {b"PATH": b":/a:"}) == (b"prog", b"/a/prog", b"prog")


def test_a_program_with_a_slash_is_not_looked_for() -> None:
    assert candidates(b"./prog", {b"PATH": b"/a"}) == (b"./prog",)


def test_without_path_the_system_s_own_directories_are_searched() -> None:
    assert candidates(b"prog", {}) == (b"/bin/prog", b"/usr/bin/prog")
