"""Any text at all gets a definition or errors with places in it, and what is written is read back."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from upstartd.conf.model import Condition, EventPattern, JobConfig, Operator, ProcessName
from upstartd.conf.parser import Parsed, parse
from upstartd.conf.stanzas import STANZAS

# Pieces that mean something to the lexer or to a stanza come often, everything else sometimes.
PIECES = st.sampled_from([
    " ", "\t", "\r", "\n", "\\\n", "\\", "\\\\", "\\ ", '"', "'", "#", "(", ")", "\0", "=", "a", "K=v", "1", "-1",
    "and", "or", "script", "exec", "end script", "\nend script\n", "unlimited", "never", "\udcff", "é",
    *{word for stanza in STANZAS for word in stanza.name.split()}])
TEXTS = st.one_of(
    st.lists(PIECES, max_size=40).map("".join),
    st.lists(PIECES, max_size=40).map(" ".join),
    st.text(st.characters(exclude_categories=[]), max_size=60),
    st.lists(st.sampled_from([stanza.usage for stanza in STANZAS]), max_size=8).map("\n".join),
)


def places(text: str) -> list[int]:
    """The length of each line of a text, where the end of the file is a line too."""
    return [len(line) for line in text.split("\n")]


def assert_sound(text: str, parsed: Parsed) -> None:
    """Either a definition, or errors that are somewhere in the text."""
    assert (parsed.config is None) == bool(parsed.diagnostics)
    lengths = places(text)
    for diagnostic in parsed.diagnostics:
        assert 1 <= diagnostic.line <= len(lengths)
        assert 1 <= diagnostic.column <= lengths[diagnostic.line - 1] + 1
        assert diagnostic.message
        assert diagnostic.in_full.isprintable()


@given(TEXTS)
@example("start on ((a")
@example("(" * 3000)
@example("start on " + "(" * 3000 + "a" + ")" * 3000)
@example("exec '\\")
@example("script\n \0\nend script")
def test_any_text_is_a_definition_or_has_errors_with_places(text: str) -> None:
    assert_sound(text, parse(text, "job.conf"))


@given(TEXTS)
def test_a_text_means_the_same_each_time(text: str) -> None:
    # A base of its own is not looked up among the texts that have been read before.
    assert parse(text, "job.conf", JobConfig()) == parse(text, "job.conf") == parse(text, "job.conf", JobConfig())


@given(TEXTS, TEXTS)
def test_a_valid_text_adds_to_a_valid_text_what_its_override_would(first: str, second: str) -> None:
    conf, override = parse(first, "job.conf"), parse(second, "job.override")
    if conf.config is None or override.config is None:
        return
    both = parse(first + "\n" + second, "job.conf")
    assert parse(second, "job.override", conf.config).config == both.config


@given(TEXTS)
def test_the_first_error_does_not_depend_on_what_follows_a_complete_stanza(text: str) -> None:
    broken = "bogus\n" + text
    first = parse(broken, "job.conf").diagnostics[0]
    assert (first.line, first.column, first.message) == (1, 1, "Unknown stanza")
    valid = parse(text, "job.conf").config
    if valid is not None:
        last = parse(text + "\nbogus\n", "job.conf").diagnostics
        assert [diagnostic.message for diagnostic in last] == ["Unknown stanza"]
        assert last[0].line == text.count("\n") + 2


# -- what is written is read back -----------------------------------------------------------------------------

WORDS = st.text(st.characters(exclude_categories=[], exclude_characters="\0\n"), min_size=1, max_size=12)


def written(word: str) -> str:
    """A word so that it is read as that word: each character in quotes, or escaped."""
    return "".join({'"': "'\"'", "\\": "\\\\"}.get(character, f'"{character}"') for character in word)


@given(WORDS)
def test_a_quoted_word_is_read_back(word: str) -> None:
    parsed = parse(f"description {written(word)}\n", "job.conf")
    assert parsed.config is not None
    assert parsed.config.description == word


@given(st.lists(WORDS, min_size=1, max_size=5), st.sampled_from([" ", "\t", " \\\n", "\\\n "]))
def test_words_stay_apart_however_they_are_separated(words: list[str], separator: str) -> None:
    parsed = parse("emits" + separator + separator.join(map(written, words)) + "\n", "job.conf")
    assert parsed.config is not None
    assert parsed.config.emits == tuple(words)


@given(st.lists(st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters="#"), min_size=1), max_size=6),
       st.sampled_from(["", "  ", "\t", " \t"]))
def test_a_script_is_read_back_without_its_indentation(lines: list[str], indentation: str) -> None:
    # The first line has no white space of its own, so the indentation is all that the lines share.
    lines = ["begin", *lines]
    text = "".join(f"{indentation}{line}\n" for line in lines)
    parsed = parse(f"script\n{text}end script\n", "job.conf")
    assert parsed.config is not None
    assert parsed.config.processes[ProcessName.MAIN].text == "".join(f"{line}\n" for line in lines)


EVENTS = st.builds(
    lambda name, words, pairs: EventPattern(name, (*words, *(f"{key}={value}" for key, value in pairs))),
    WORDS, st.lists(WORDS.filter(lambda word: "=" not in word), max_size=2),
    st.lists(st.tuples(WORDS, st.just("") | WORDS), max_size=2))


@st.composite
def written_conditions(draw: st.DrawFn, depth: int = 4) -> tuple[str, Condition]:
    """A condition as text, and what it means."""
    def gap() -> str:
        return draw(st.sampled_from([" ", "  ", "\n", " # remark )\n", "\n\n\t"]))

    def operand() -> tuple[str, Condition]:
        if depth and draw(st.booleans()):
            text, condition = draw(written_conditions(depth - 1))
            return f"({gap()}{text}{gap()})", condition
        event = draw(EVENTS)
        return gap().join(written(word) for word in (event.name, *event.args)), (event,)

    text, condition = operand()
    for operator in draw(st.lists(st.sampled_from(Operator), max_size=3)):
        more, right = operand()
        text += f"{gap()}{operator.name.lower()}{gap()}{more}"
        condition = (*condition, *right, operator)
    return text, condition


@given(written_conditions())
def test_a_condition_is_read_back(case: tuple[str, Condition]) -> None:
    text, condition = case
    parsed = parse(f"start on ({text})\ntask\n", "job.conf")
    assert parsed.config is not None, parsed.diagnostics
    assert parsed.config.start_on == condition
    assert parsed.config.task
