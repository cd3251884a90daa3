"""The text of `initctl help`, and of `--help` and `--version` for all programs.

Source: clients specification, section 1, Output and Help; the wording is our own.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from upstartd import COMPATIBLE_VERSION
from upstartd_clients.commands import GLOBAL_OPTIONS, GROUPS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from upstartd_clients.commands import Command
    from upstartd_clients.options import Option
    from upstartd_clients.tool import Tool

_COLUMN = 30
_WIDTH = 80


def version(program: str) -> Iterator[str]:
    """What --version prints; the number says what we are compatible with, as in the daemon's answer."""
    yield f"{program} {COMPATIBLE_VERSION.partition(' ')[2]}"
    yield "Copyright the authors of upstartd. Free software under the MIT license: no warranty."


def command_list() -> Iterator[str]:
    """What `initctl help` prints."""
    for group, commands in GROUPS.items():
        yield f"{group} commands:"
        for command in commands:
            yield _row(command.name, command.synopsis)
        yield ""
    yield "For more about a command, use `initctl COMMAND --help'."


def initctl_help(program: str) -> Iterator[str]:
    """What `initctl --help` prints."""
    yield f"Usage: {program} [OPTION]... COMMAND [OPTION]... [ARGUMENT]..."
    yield "Control upstartd: its jobs, its events and the daemon itself."
    yield ""
    yield from option_list(GLOBAL_OPTIONS)
    yield ""
    yield from paragraph(
        "As root this talks to the system's daemon over its own socket, else over the system bus; where "
        "UPSTART_SESSION is set, to the user's own daemon.")
    yield ""
    yield "For a list of commands, use `initctl help'."


def command_help(program: str, command: Command) -> Iterator[str]:
    """What `initctl COMMAND --help` prints, or `COMMAND --help` where it is called by a link of that name."""
    called = program if program == command.name else f"{program} {command.name}"
    yield f"Usage: {called} [OPTION]... {command.arguments}".rstrip()
    yield f"{command.synopsis[0].upper()}{command.synopsis[1:]}."
    yield ""
    yield from option_list((*command.options, *GLOBAL_OPTIONS))
    yield ""
    yield from paragraph(command.description)


def tool_help(program: str, tool: Tool) -> Iterator[str]:
    """What --help prints, of a program that is none of the commands."""
    for number, usage in enumerate(tool.usage):
        yield f"{'       ' if number else 'Usage: '}{program} {usage}".rstrip()
    yield tool.synopsis
    yield ""
    yield from option_list(tool.all_options)
    yield ""
    yield from paragraph(tool.description)


def option_list(options: Iterable[Option]) -> Iterator[str]:
    """The options that are shown, a line for each."""
    yield "Options:"
    for option in options:
        if option.help:
            yield _row(option.spelling, option.help)


def paragraph(text: str) -> list[str]:
    """Running text as lines that fit a terminal."""
    return textwrap.wrap(text, _WIDTH)


def _row(name: str, text: str) -> str:
    """A name, and in the second column, or at least after a space, what it is."""
    return f"  {name} ".ljust(_COLUMN) + text
