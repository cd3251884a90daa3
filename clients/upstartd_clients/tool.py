"""A program of its own beside initctl: how its command line is read, and what its help says.

Not responsible for what it does. Source: clients specification, section 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from upstartd_clients.options import COMMON_OPTIONS, Arguments, Given, Option

if TYPE_CHECKING:
    from collections.abc import Iterable

    from upstartd_clients.output import Output


class Tool(NamedTuple):
    """One program: what may follow its name, in one or several ways, what it does in a line and in some more."""

    usage: tuple[str, ...]
    synopsis: str
    description: str
    options: tuple[Option, ...] = ()

    @property
    def all_options(self) -> tuple[Option, ...]:
        """Its own options, and those that every program has."""
        return (*self.options, *COMMON_OPTIONS)

    def read(self, arguments: Iterable[str], output: Output) -> tuple[Given, list[str]] | None:
        """The options and the other words of a command line; None if it asks for the help or the version, which are
        printed then. UsageError if it is wrong. How much is printed from then on is set."""
        line, given = Arguments(arguments), Given()
        for option, value in line.options(self.all_options):
            given.add(option, value)
            if option.long in ("help", "version"):
                self._print(option.long, output)
                return None
        output.heed(given)
        return given, line.operands

    def _print(self, asked: str, output: Output) -> None:
        from upstartd_clients import help as texts  # wraps text: not for every call

        for line in texts.version(output.program) if asked == "version" else texts.tool_help(output.program, self):
            output.line(line)
