"""Variable references in operands and instance names: events specification, section 8."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upstartd.engine.expansion import ExpansionError, expand

VARIABLES = {"A": "1", "B": "3", "B_c": "2", "X": "$A", "EMPTY": "", "P": "A", "A_B": "joined", "A.B": "dotted"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("plain", "plain"),
        ("$A", "1"),
        ("$A-$B_c.${B}x", "1-2.3x"),
        ("$A$B", "13"),
        ("${A}", "1"),
        ("${A.B}", "dotted"),
        ("$A.B", "1.B"),
        ("$X", "$A"),  # what is put in is not expanded again
        ("${$P}", "1"),
        ("${${P}_B}", "joined"),
        ("${$P:-x}", "1"),
        ("${}", "$"),
        ("${}A", "$A"),
        ("$", "$"),
        ("a$", "a$"),
        ("$-$1$", "$-$1$"),
        ("$$A", "$1"),
        ("$ A", "$ A"),
        ("}", "}"),
        ("a:-b", "a:-b"),
        ("${A:-no}", "1"),
        ("${EMPTY:-yes}", "yes"),
        ("${NONE:-yes}", "yes"),
        ("${A-no}", "1"),
        ("${EMPTY-no}", ""),
        ("${NONE-yes}", "yes"),
        ("${A:+yes}", "yes"),
        ("${EMPTY:+no}", ""),
        ("${NONE:+no}", ""),
        ("${A+yes}", "yes"),
        ("${EMPTY+yes}", "yes"),
        ("${NONE+no}", ""),
        ("${NONE:-}", ""),
        ("${NONE:-any text: -+${}$}", "any text: -+$$"),
        ("${NONE:-${EMPTY:-${B}}}", "3"),
        ("${NONE:-a-b:c+d}", "a-b:c+d"),
        ("${NONE-$A}", "1"),
        ("é$A\udcff", "é1\udcff"),
        ("$é", "$é"),
        ("${é:-x}", "x"),
    ],
)
def test_a_text_is_expanded(text: str, expected: str) -> None:
    assert expand(text, VARIABLES) == expected


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("$NONE", "Unknown parameter: NONE"),
        ("a$NONE.b", "Unknown parameter: NONE"),
        ("${NONE}", "Unknown parameter: NONE"),
        ("${${P}x}", "Unknown parameter: Ax"),
        ("${$NONE:-x}", "Unknown parameter: NONE"),
        ("${A:-$NONE}", "Unknown parameter: NONE"),  # the text is expanded whether it is used or not
        ("${A:+$NONE}", "Unknown parameter: NONE"),
        ("${NONE+$NONE}", "Unknown parameter: NONE"),
        ("${A:x}", "Expected operator"),
        ("${A:}", "Expected operator"),
        ("${A:", "Expected operator"),
        ("${A", "Mismatched braces"),
        ("${", "Mismatched braces"),
        ("${A:-x", "Mismatched braces"),
        ("${A:-${B}", "Mismatched braces"),
        ("${${A}", "Mismatched braces"),
    ],
)
def test_a_text_that_cannot_be_expanded_says_why(text: str, error: str) -> None:
    with pytest.raises(ExpansionError) as caught:
        expand(text, VARIABLES)
    assert str(caught.value) == error


NAMES = st.sampled_from(["A", "B_c", "NONE", "EMPTY"])
PIECES = st.one_of(NAMES, st.sampled_from(["$", "${", "}", ":", "-", "+", ":-", ":+", "$A", "x", "{", "é", "1"]))


@given(st.lists(PIECES, max_size=12).map("".join))
def test_no_text_brings_any_other_error(text: str) -> None:
    with contextlib.suppress(ExpansionError):
        expand(text, VARIABLES)


@given(st.text().filter(lambda text: "$" not in text))
def test_a_text_without_a_dollar_stays_as_it_is(text: str) -> None:
    assert expand(text, VARIABLES) == text


@given(value=st.text(), before=st.text("ab-:+ }"), after=st.text("ab-:+ }"))
def test_a_value_is_put_in_as_it_is(value: str, before: str, after: str) -> None:
    assert expand(f"{before}${{V}}{after}", {"V": value}) == before + value + after


def test_references_nest_to_any_depth() -> None:
    depth = 50_000
    assert expand("${NONE:-" * depth + "x" + "}" * depth, VARIABLES) == "x"
    with pytest.raises(ExpansionError, match="Mismatched braces"):
        expand("${NONE:-" * depth, VARIABLES)
