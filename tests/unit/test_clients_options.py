"""The grammar of options (clients specification, section 1)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from upstartd_clients.errors import UsageError
from upstartd_clients.options import Arguments, Given, Option

QUIET = Option("quiet", "q", help="say less")
WARN = Option("warn", "w")
IGNORE = Option("ignore", "i", value="EVENTS", help="know these")
DEST = Option("dest", value="NAME", help="call this")
KNOWN = (QUIET, WARN, IGNORE, DEST)


def read(*words: str) -> tuple[list[tuple[str, str]], list[str]]:
    line = Arguments(words)
    return [(option.long, value) for option, value in line.options(KNOWN)], line.operands


@pytest.mark.parametrize(("words", "options", "operands"), [
    ("", [], []),
    ("web A=1", [], ["web", "A=1"]),
    ("web --quiet A=1 -w", [("quiet", ""), ("warn", "")], ["web", "A=1"]),
    ("-qw", [("quiet", ""), ("warn", "")], []),
    ("- x", [], ["-", "x"]),
    ("-q -- -w --quiet", [("quiet", "")], ["-w", "--quiet"]),
    ("-- --", [], ["--"]),
    ("-i one job", [("ignore", "one")], ["job"]),
    ("-ione job", [("ignore", "one")], ["job"]),
    ("-iqw job", [("ignore", "qw")], ["job"]),  # attached to the first of a bundle: never options
    ("-qi one job", [("quiet", ""), ("ignore", "one")], ["job"]),
    ("-qiw one job", [("quiet", ""), ("ignore", "one"), ("warn", "")], ["job"]),  # not the first: further on
    ("--ignore=one=two", [("ignore", "one=two")], []),
    ("--ignore=", [("ignore", "")], []),
    ("--ignore one", [("ignore", "one")], []),
    ("--dest -q --warn name job", [("dest", "name"), ("quiet", ""), ("warn", "")], ["job"]),
    ("--dest -i one two three", [("dest", "one"), ("ignore", "two")], ["three"]),
    ("--dest -- -x job", [("dest", "-x")], ["job"]),
    ("--dest - job", [("dest", "-")], ["job"]),
])
def test_options_and_arguments_may_be_mixed(words: str, options: list[tuple[str, str]], operands: list[str]) -> None:
    assert read(*words.split()) == (options, operands)


@pytest.mark.parametrize(("words", "message"), [
    ("--frob", "invalid option: --frob"),
    ("--frob=x", "invalid option: --frob=x"),
    ("--qui", "invalid option: --qui"),
    ("-z", "invalid option: -z"),
    ("-qzw", "invalid option: -z"),
    ("--quiet=yes", "unexpected argument: --quiet=yes"),
    ("--quiet=", "unexpected argument: --quiet="),
    ("web --dest", "missing argument: --dest"),
    ("--dest --quiet", "missing argument: --dest"),
    ("--dest --", "missing argument: --dest"),
    ("-i", "missing argument: -i"),
    ("-qi", "missing argument: -i"),
])
def test_what_is_wrong_is_named_as_it_was_typed(words: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        read(*words.split())
    assert caught.value.message == message


def test_reading_up_to_the_first_operand_leaves_the_rest() -> None:
    line = Arguments(["-q", "service", "-w", "x"])
    assert [option.long for option, _ in line.options(KNOWN, up_to_operand=True)] == ["quiet"]
    assert (line.operands, line.rest) == (["service"], ["-w", "x"])


def test_a_value_before_the_command_is_looked_for_beyond_it() -> None:
    line = Arguments(["--dest", "-q", "name", "start", "web"])
    assert [(option.long, value) for option, value in line.options(KNOWN, up_to_operand=True)] == [
        ("dest", "name"), ("quiet", "")]
    assert (line.operands, line.rest) == (["start"], ["web"])


def test_the_end_of_options_holds_for_what_is_read_later() -> None:
    line = Arguments(["--", "start", "-q"])
    assert list(line.options(KNOWN, up_to_operand=True)) == []
    assert list(line.options(KNOWN)) == []
    assert line.operands == ["start", "-q"]


def test_options_that_were_given_are_found_by_name_value_and_order() -> None:
    options = Given()
    for option, value in ((QUIET, ""), (IGNORE, "a"), (WARN, ""), (IGNORE, "b")):
        options.add(option, value)
    assert "quiet" in options
    assert "dest" not in options
    assert options.last("quiet", "warn") == "warn"
    assert options.last("warn", "quiet") == "warn"
    assert options.last("dest") is None
    assert options.values("ignore") == ["a", "b"]
    assert (options.value("ignore"), options.value("dest")) == ("b", None)


def test_an_option_shows_how_it_is_written() -> None:
    assert [option.spelling for option in KNOWN] == [
        "-q, --quiet", "-w, --warn", "-i, --ignore=EVENTS", "    --dest=NAME"]


def test_an_option_may_have_a_short_name_only() -> None:
    options = (Option(short="r"), Option(short="g", value="TIME"))
    line = Arguments(["-rg", "now", "--", "-r"])
    assert [(option.name, value) for option, value in line.options(options)] == [("r", ""), ("g", "now")]
    assert line.operands == ["-r"]
    assert [option.spelling for option in options] == ["-r", "-g TIME"]
    for word in ("--", "--=x", "--r"):
        wrong = Arguments([word, "x"])
        if word == "--":
            assert list(wrong.options(options)) == []
        else:
            with pytest.raises(UsageError, match=f"invalid option: {word}"):
                list(wrong.options(options))


WORDS = st.lists(st.text(max_size=4) | st.sampled_from(
    ["-", "--", "-q", "-i", "-qi", "-iq", "-wq", "--dest", "--dest=x", "--quiet", "a", "b"]))


@settings(max_examples=200)
@given(WORDS)
def test_any_line_is_read_whole_or_refused(words: list[str]) -> None:
    try:
        options, operands = read(*words)
    except UsageError:
        return
    # No word is lost: each operand, and each value that stood alone, is one of the words.
    for word in (*operands, *(value for _, value in options if value in words)):
        assert word in words
    assert len(operands) <= len(words)


@given(st.lists(st.text(alphabet="abc=", max_size=3)))
def test_words_without_a_dash_are_all_operands(words: list[str]) -> None:
    assert read(*words) == ([], words)
