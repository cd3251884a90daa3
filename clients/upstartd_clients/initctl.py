"""initctl, and the links start, stop, restart, reload and status: from the command line to the exit code.

Source: clients specification, sections 1 and 2.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, NamedTuple

from upstartd_clients.actions import Request
from upstartd_clients.commands import COMMANDS, GLOBAL_OPTIONS, Command
from upstartd_clients.errors import ConnectionFailed, DaemonError, UsageError
from upstartd_clients.options import Arguments, Given
from upstartd_clients.output import run_program

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from upstartd_clients.options import Option
    from upstartd_clients.output import Output


class CommandLine(NamedTuple):
    """What a command line says. `command` is None where it asks for the help or the version of initctl itself."""

    command: Command | None
    options: Given
    arguments: list[str]


def parse(program: str, arguments: Iterable[str]) -> CommandLine:
    """Read a command line; `program` is the name that it was called by, and may be a command's.

    UsageError if the line is wrong. What comes after --help or --version is not looked at.
    """
    given = Given()
    line = Arguments(arguments)
    command = COMMANDS.get(program)
    if command is None:
        if _takes_all(line, GLOBAL_OPTIONS, given, up_to_operand=True):
            return CommandLine(None, given, [])
        if not line.operands:
            raise UsageError("missing command")
        name = line.operands.pop()
        if name not in COMMANDS:
            raise UsageError(f"invalid command: {name}")
        command = COMMANDS[name]
    _takes_all(line, (*GLOBAL_OPTIONS, *command.options), given)
    return CommandLine(command, given, line.operands)


def _takes_all(line: Arguments, known: Iterable[Option], given: Given, *, up_to_operand: bool = False) -> bool:
    """Note the options of a line, up to one that only asks for text; whether there was such a one."""
    for option, value in line.options(known, up_to_operand=up_to_operand):
        given.add(option, value)
        if option.long in ("help", "version"):
            return True
    return False


def run(program: str, arguments: Iterable[str], environ: Mapping[str, str], output: Output) -> int:
    """Carry out a command line; gives the exit code. A ClientError says why it could not be done."""
    command, options, operands = parse(program, arguments)
    output.heed(options)
    if (asked := options.last("help", "version")) or command is None or command.action is None:
        _print_help(program, command, asked, output)
        return 0
    with Request(options, operands, environ, output) as request:
        try:
            return command.action(request) or 0
        except (ConnectionFailed, DaemonError) as error:
            if not output.for_people:
                raise
            output.complain(error)
            from upstartd_clients.explain import explain  # reads files, asks more: only where somebody sits and reads

            for line in explain(error, request):
                output.error_line(line)
            return error.exit_code


def _print_help(program: str, command: Command | None, asked: str | None, output: Output) -> None:
    from upstartd_clients import help as texts  # wraps text: not for every command

    if asked == "version":
        lines = texts.version(program)
    elif command is None:
        lines = texts.initctl_help(program)
    elif asked == "help":
        lines = texts.command_help(program, command)
    else:
        lines = texts.command_list()
    output.quiet = False
    for line in lines:
        output.line(line)


def main() -> int:
    """The program: reads sys.argv and the environment, gives the exit code."""
    return run_program(sys.argv, lambda arguments, output: run(output.program, arguments, os.environ, output))
