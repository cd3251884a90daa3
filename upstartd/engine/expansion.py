"""Variable references in operands and instance names: `$NAME`, `${NAME:-text}` and their like.

Source: events specification, section 8. One pass with an explicit stack, so that references may nest
to any depth.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_FIRST = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_")
_REST = _FIRST | frozenset("0123456789")


class ExpansionError(ValueError):
    """A text that cannot be expanded; the message is what callers and the log are told."""


class _Reference:
    """A `${...}` that is still being read: its name, and then its operator and text."""

    __slots__ = ("name", "operator", "parts")

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.name = ""
        self.operator = ""

    def start_text(self, operator: str) -> None:
        self.name, self.operator, self.parts = "".join(self.parts), operator, []

    def value(self, variables: Mapping[str, str]) -> str:
        text = "".join(self.parts)
        match self.operator:
            case "":
                return _value_of(text, variables) if text else "$"
            case "-":
                return variables.get(self.name, text)
            case ":-":
                return variables.get(self.name) or text
            case "+":
                return text if self.name in variables else ""
            case _:
                return text if variables.get(self.name) else ""


def _value_of(name: str, variables: Mapping[str, str]) -> str:
    if name not in variables:
        raise ExpansionError(f"Unknown parameter: {name}")
    return variables[name]


def expand(text: str, variables: Mapping[str, str]) -> str:
    """`text` with its references replaced from `variables`; what is put in is not expanded again.

    Raises ExpansionError: `Unknown parameter: NAME`, `Expected operator` or `Mismatched braces`.
    """
    if "$" not in text:
        return text
    result: list[str] = []
    open_references: list[_Reference] = []
    parts = result  # where text goes at present: the result, or the innermost open reference
    at, end = 0, len(text)
    while at < end:
        char = text[at]
        at += 1
        if char == "$" and at < end and text[at] == "{":
            at += 1
            open_references.append(_Reference())
            parts = open_references[-1].parts
        elif char == "$" and at < end and text[at] in _FIRST:
            start = at
            while at < end and text[at] in _REST:
                at += 1
            parts.append(_value_of(text[start:at], variables))
        elif not open_references:
            parts.append(char)
        elif char == "}":
            value = open_references.pop().value(variables)
            parts = open_references[-1].parts if open_references else result
            parts.append(value)
        elif char in ":-+" and not open_references[-1].operator:
            operator = char
            if char == ":":
                operator += text[at : at + 1]
                at += 1
                if operator not in (":-", ":+"):
                    raise ExpansionError("Expected operator")
            open_references[-1].start_text(operator)
            parts = open_references[-1].parts
        else:
            parts.append(char)
    if open_references:
        raise ExpansionError("Mismatched braces")
    return "".join(result)
