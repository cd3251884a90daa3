"""The reference's own grammar of options: bundles, attached values, values that stand further on.

Knows nothing of commands and does nothing: what the options mean is for others. Source: clients
specification, section 1, Option parsing. (argparse and getopt have another grammar, and argparse
takes longer to import than `initctl status` may take in all. NamedTuple and not a dataclass for the
same reason, here and in the other modules: `dataclasses` costs a quarter of that budget.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from upstartd_clients.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class Option(NamedTuple):
    """One option: a long name, a short one, or both. `value` names its argument in the help, and is empty where it
    takes none."""

    long: str = ""
    short: str = ""
    help: str = ""  # empty: not shown
    value: str = ""

    @property
    def name(self) -> str:
        """What the option is known by: its long name, or the short one if it has no other."""
        return self.long or self.short

    @property
    def spelling(self) -> str:
        """The option as the help shows it."""
        if not self.long:
            return f"-{self.short} {self.value}".rstrip()
        long = f"--{self.long}={self.value}" if self.value else f"--{self.long}"
        return f"-{self.short}, {long}" if self.short else f"    {long}"


COMMON_OPTIONS = (
    Option("quiet", "q", help="print only warnings and errors"),
    Option("verbose", "v", help="also print what is merely of interest"),
    Option("debug"),
    Option("help", help="show this help and exit"),
    Option("version", help="show the version and exit"),
)


class Given:
    """The options of one command line by their names, in their order."""

    def __init__(self) -> None:
        self._given: list[tuple[str, str]] = []

    def add(self, option: Option, value: str) -> None:
        """Note that `option` was given, with `value` (empty where it takes none)."""
        self._given.append((option.name, value))

    def __contains__(self, name: str) -> bool:
        return any(given == name for given, _ in self._given)

    def last(self, *names: str) -> str | None:
        """Which of these options was given last; None if none was."""
        return next((given for given, _ in reversed(self._given) if given in names), None)

    def values(self, name: str) -> list[str]:
        """Every value given to the option of that name, in order."""
        return [value for given, value in self._given if given == name]

    def value(self, name: str) -> str | None:
        """The value given last to the option of that name; None if it was not given."""
        values = self.values(name)
        return values[-1] if values else None


class Arguments:
    """A command line that is read from left to right; what is read as no option collects in `operands`."""

    def __init__(self, arguments: Iterable[str]) -> None:
        self._rest = list(arguments)
        self._options_ended = False
        self.operands: list[str] = []

    @property
    def rest(self) -> list[str]:
        """What has not been read."""
        return list(self._rest)

    def options(self, known: Iterable[Option], *, up_to_operand: bool = False) -> Iterator[tuple[Option, str]]:
        """Each option with its value, to the end of the line or up to the first operand, which is read too.

        UsageError at the first one that is not `known`, has a value too many, or lacks one.
        """
        known = list(known)
        by_short = {"-" + option.short: option for option in known if option.short}
        by_long = {"--" + option.long: option for option in known if option.long}
        while self._rest and not (up_to_operand and self.operands):
            argument = self._rest.pop(0)
            if self._options_ended or not _is_option(argument):
                self.operands.append(argument)
            elif argument == "--":
                self._options_ended = True
            elif argument.startswith("--"):
                name, equals, value = argument.partition("=")
                if name not in by_long:
                    raise UsageError(f"invalid option: {argument}")
                option = by_long[name]
                if equals and not option.value:
                    raise UsageError(f"unexpected argument: {argument}")
                yield option, self._value_further_on(name) if option.value and not equals else value
            else:
                yield from self._bundle(argument, by_short)

    def _bundle(self, argument: str, known: dict[str, Option]) -> Iterator[tuple[Option, str]]:
        for position, letter in enumerate(argument[1:]):
            name = "-" + letter
            if name not in known:
                raise UsageError(f"invalid option: {name}")
            option = known[name]
            if option.value and position == 0 and argument[2:]:
                yield option, argument[2:]
                return
            yield option, self._value_further_on(name) if option.value else ""

    def _value_further_on(self, name: str) -> str:
        """Take the next argument that is no option, past any options that stand in between."""
        options_ended = self._options_ended
        for position, argument in enumerate(self._rest):
            if options_ended or not _is_option(argument):
                return self._rest.pop(position)
            options_ended = argument == "--"
        raise UsageError(f"missing argument: {name}")


def _is_option(argument: str) -> bool:
    """Whether an argument is an option (or the `--` that ends them); a lone `-` is not."""
    return argument.startswith("-") and argument != "-"
