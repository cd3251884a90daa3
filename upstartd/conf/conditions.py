"""What a `start on` or `stop on` condition means: from its tokens to operands and operators in postfix order.

The grammar is pyparsing's, but it never sees a job's words. It parses the *shape* of a condition, a string with one
character for each token, so that what it made of one shape serves every condition of that shape:

    w  a word        k  a word with a = in it        &  |  and, or        (  )  parentheses
    .  the end       $  the end of the file inside parentheses            !  a broken word

Each pair of parentheses is parsed on its own, with a `g` in place of every pair inside it: no depth of nesting needs
recursion. Not responsible for tokens (lexer.py) nor for matching events (engine/condition.py). Source: configuration
specification, sections 2 and 4.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, TypeAlias

from upstartd.conf.diagnostics import (
    EXPECTED_EVENT,
    EXPECTED_OPERATOR,
    EXPECTED_TOKEN,
    EXPECTED_VARIABLE,
    MISMATCHED_PARENTHESES,
    Fault,
    quoted,
)
from upstartd.conf.model import EventPattern, Operator

if TYPE_CHECKING:
    import pyparsing

    from upstartd.conf.lexer import ConditionText, Lexer
    from upstartd.conf.model import Condition

# An operand is the tokens from the first number to before the second (none for a pair of parentheses: what is in it
# has come before); the operator is what joins it with what has come before it.
_Operand: TypeAlias = tuple[int, int, Operator | None]

_JOINS = {"&": Operator.AND, "|": Operator.OR}
_ENDS = ").$!"
_EXPECTED = {
    EXPECTED_EVENT: "an event or '('",
    EXPECTED_OPERATOR: "'and', 'or' or the end",
    EXPECTED_VARIABLE: "KEY=VALUE, as in the arguments before",
    MISMATCHED_PARENTHESES: "a '(' before",
}
# Longer shapes come from no hand and are not worth remembering.
_REMEMBERED = 200


class _ShapeError(Exception):
    """The shape makes no sense from token number `index` on."""

    def __init__(self, message: str, index: int) -> None:
        super().__init__(message)
        self.message = message
        self.index = index


def read_condition(lexer: Lexer) -> Condition:
    """Read the condition that is next in the text. Fault where it is missing or makes no sense."""
    tokens = lexer.condition()
    shape = tokens.shape
    if shape == ".":
        raise Fault(EXPECTED_TOKEN, tokens.offsets[0])
    try:
        program = (_program if len(shape) <= _REMEMBERED else _program.__wrapped__)(shape)
    except _ShapeError as error:
        raise _fault(lexer, tokens, error) from None
    words = tokens.words
    condition: list[EventPattern | Operator] = []
    for begin, end, operator in program:
        if begin < end:
            condition.append(EventPattern(words[begin], tuple(words[begin + 1:end])))
        if operator is not None:
            condition.append(operator)
    return tuple(condition)


def _fault(lexer: Lexer, tokens: ConditionText, error: _ShapeError) -> Fault:
    """The error with its place, which is not always that of the token that shows it (specification, section 2)."""
    index, last = error.index, len(tokens.shape) - 1
    if index == last and tokens.fault is not None:
        return tokens.fault
    found = tokens.offsets[index]
    offset = found
    if error.message == EXPECTED_VARIABLE:
        # The line is that of the next word; the column is the word's own, if it is on that line.
        following = tokens.offsets[index + 1]
        offset = found if lexer.place(following)[0] == lexer.place(found)[0] else following
    elif (error.message == EXPECTED_EVENT and index == last) or (
            error.message == EXPECTED_OPERATOR and tokens.shape[index - 1] == ")"):
        offset = tokens.offsets[last - 1]
    shown = lexer.found(found) if index == last else quoted(tokens.words[index])
    return Fault(error.message, offset, found=shown, expected=_EXPECTED[error.message],
                 resume=None if tokens.fault is None else tokens.fault.resume)


@functools.lru_cache(maxsize=1024)
def _program(shape: str) -> tuple[_Operand, ...]:
    """The operands of a shape in the order in which they end, which is postfix order. The first _ShapeError, if any."""
    program: list[_Operand] = []
    errors: list[_ShapeError] = []
    levels = [_Level()]
    for index, kind in enumerate(shape):
        if kind == "(":
            levels[-1].add("g", index)
            levels.append(_Level())
        elif kind not in _ENDS:
            levels[-1].add(kind, index)
        else:
            # The file's end and a broken word end every level, the others just one.
            for level in [levels.pop() for _ in range(1 if kind in ")." else len(levels))]:
                level.add(kind, index)
                try:
                    program += level.operands()
                except _ShapeError as error:
                    errors.append(error)
            if levels:
                levels[-1].close(index)
            elif kind != ".":
                errors.append(_ShapeError(MISMATCHED_PARENTHESES, index))
                break
    if errors:
        raise min(errors, key=lambda error: error.index)
    return tuple(sorted(program, key=lambda operand: operand[1]))


class _Level:
    """What is inside one pair of parentheses, or outside of all: kinds of tokens and where those are in the shape."""

    __slots__ = ("_begins", "_ends", "_kinds")

    def __init__(self) -> None:
        self._kinds: list[str] = []
        self._begins: list[int] = []
        self._ends: list[int] = []

    def add(self, kind: str, index: int) -> None:
        """Another token."""
        self._kinds.append(kind)
        self._begins.append(index)
        self._ends.append(index + 1)

    def close(self, index: int) -> None:
        """The parentheses that were added last end with the token there."""
        self._ends[-1] = index + 1

    def operands(self) -> list[_Operand]:
        """The operands of this level, numbered as in the whole shape. _ShapeError where they make none."""
        shape = "".join(self._kinds)
        try:
            operands = (_flat if len(shape) <= _REMEMBERED else _flat.__wrapped__)(shape)
        except _ShapeError as error:
            raise _ShapeError(error.message, self._begins[error.index]) from None
        found: list[_Operand] = []
        for begin, end, operator in operands:
            stop = self._ends[end - 1]
            if shape[begin] != "g":
                found.append((self._begins[begin], stop, operator))
            elif operator is not None:
                found.append((stop, stop, operator))
        return found


@functools.lru_cache(maxsize=1024)
def _flat(shape: str) -> tuple[_Operand, ...]:
    """The operands of a shape without parentheses, up to its end. _ShapeError where it makes no sense."""
    import pyparsing

    try:
        pieces = _grammar().parse_string(shape)
    except pyparsing.ParseBaseException as error:
        raise _ShapeError(error.msg, error.loc) from None
    operands: list[_Operand] = []
    end = 0
    operator = None
    for piece in pieces:
        begin, end = end, end + len(piece)
        if piece in _JOINS:
            operator = _JOINS[piece]
        elif piece not in _ENDS:
            operands.append((begin, end, operator))
    return tuple(operands)


@functools.lru_cache(maxsize=1)
def _grammar() -> pyparsing.ParserElement:
    """The grammar of a flat shape; its errors have the reference's messages.

    It is made, and pyparsing imported, when the first condition is read: what reads none need not pay for it.
    """
    import pyparsing as pp

    event = pp.Regex("[wk]w*k*") - (~pp.Char("w")).set_name(EXPECTED_VARIABLE.removeprefix("Expected "))
    operand = (event | "g").set_name(EXPECTED_EVENT.removeprefix("Expected "))
    end = pp.Char(_ENDS).set_name(EXPECTED_OPERATOR.removeprefix("Expected "))
    flat: pp.ParserElement = operand + (pp.Char("&|") - operand)[...] - end
    return flat
