"""init-checkconf: whether a job file is right, told by the daemon's own parser, without any daemon.

Scripts go through the shell's own check as well. Source: clients specification, section 4; configuration
specification, section 12; design, 22.
"""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from upstartd.conf.disk import Disk
from upstartd.conf.model import ProcessName
from upstartd.conf.parser import EMPTY, parse
from upstartd_clients import help as texts
from upstartd_clients.errors import ClientError, LocalError, UsageError
from upstartd_clients.options import Arguments, Given, Option
from upstartd_clients.output import run_program

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from upstartd.conf.model import JobConfig
    from upstartd_clients.output import Output

SHELL = "/bin/sh"  # what runs the scripts of jobs

_CONF = ".conf"
_OVERRIDE = ".override"
_OPTIONS = (
    Option("file", "f", value="FILE", help="the file to check, instead of the first argument"),
    Option("json", help="print what is wrong as JSON"),
    Option("noscript", "s", help="do not check the shell syntax of scripts"),
    Option("debug", "d", help="say what is done"),
    Option("initctl-path", "i", value="PATH", help="ignored, as no daemon is needed"),
    Option("upstart-path", "x", value="PATH", help="ignored, as no daemon is needed"),
    Option("help", "h", help="show this help and exit"),
)
# The processes whose scripts are checked, in this order, and what a file calls their sections.
_SECTIONS = {
    ProcessName.PRE_START: "pre-start",
    ProcessName.POST_START: "post-start",
    ProcessName.MAIN: "script",
    ProcessName.PRE_STOP: "pre-stop",
    ProcessName.POST_STOP: "post-stop",
}


def run(arguments: Iterable[str], output: Output) -> int:
    """Carry out a command line of init-checkconf; gives the exit code."""
    try:
        options, file = _parse(arguments)
        if "help" in options:
            for line in _help(output.program):
                output.line(line)
            return 0
        as_json = "json" in options
        output.verbose = "debug" in options and not as_json
        problems = list(find_problems(file, output, scripts="noscript" not in options))
    except ClientError as error:
        output.error_line(f"ERROR: {error.message}")
        if isinstance(error, UsageError):
            output.error_line(f"Try `{output.program} --help' for more information.")
        return 1
    if as_json:
        output.json({"file": file, "ok": not problems, "problems": [problem._asdict() for problem in problems]})
    elif problems:
        for line in _text_of_problems(file, problems):
            output.error_line(line)
    else:
        output.line(f"File {file}: syntax ok")
    return 1 if problems else 0


class Problem(NamedTuple):
    """Something that is wrong with a job file: the job language, or of the script in `section` what the shell says.

    `line` and `column` count from 1 and are those of the file; None where it is the shell that complains.
    """

    section: str | None
    line: int | None
    column: int | None
    message: str
    detail: str


def _text_of_problems(file: str, problems: Iterable[Problem]) -> Iterator[str]:
    """The lines that tell people what is wrong."""
    for section, found in groupby(problems, lambda problem: problem.section):
        if section is None:
            yield f"ERROR: File {file}: syntax invalid:"
            for problem in found:
                yield f"init:{os.path.basename(file)}:{problem.line}: {problem.message}"
                yield f"  column {problem.column}" + (f", {problem.detail}" if problem.detail else "")
        else:
            yield f"ERROR: File {file}: shell syntax invalid in {section} section:"
            yield from (problem.message for problem in found)


def _parse(arguments: Iterable[str]) -> tuple[Given, str]:
    """The options, and the file to check; UsageError if an option is wrong, LocalError if there is no file."""
    line, given = Arguments(arguments), Given()
    for option, value in line.options(_OPTIONS):
        given.add(option, value)
        if option.long == "help":
            return given, ""
    file = given.value("file") or next(iter(line.operands), "")
    if not file:
        raise LocalError("Must specify configuration file")
    return given, file


def _help(program: str) -> Iterator[str]:
    yield "Description: Check the syntax of a job file."
    yield f"Usage: {program} [options] -f <conf_file>"
    yield f"       {program} [options] <conf_file>"
    yield ""
    yield from texts.option_list(_OPTIONS)
    yield ""
    yield from texts.paragraph(
        "The file is read as the daemon would read it, and everything that is wrong with it is told. If nothing is, "
        "its scripts are given to the shell to check. A file called NAME.override is read on top of the NAME.conf "
        "beside it, if there is one that is right. The exit code is 0 for a file that is right, else 1.")


def find_problems(file: str, output: Output, *, scripts: bool) -> Iterator[Problem]:
    """What is wrong with a job file or override: nothing if it is right.

    `scripts`: the shell checks the scripts. LocalError where the file cannot be read, or has another name.
    """
    text = _text_of(file)
    if not os.path.basename(file).endswith((_CONF, _OVERRIDE)):
        raise LocalError("File must end in .conf")
    overridden = _overridden(file, output)
    parsed = parse(text, file, overridden)
    if parsed.config is None:
        for wrong in parsed.diagnostics:
            yield Problem(None, wrong.line, wrong.column, wrong.message, wrong.detail)
    elif scripts:
        for process, section in _SECTIONS.items():
            command = parsed.config.processes.get(process)
            if command is not None and command.script and command is not overridden.processes.get(process):
                for complaint in _complaints_of_shell(section, command.text, output):
                    yield Problem(section, None, None, complaint, "")


def _overridden(file: str, output: Output) -> JobConfig:
    """What the job file beside an override says, for that is what it changes; nothing for a job file."""
    path = file.removesuffix(_OVERRIDE) + _CONF
    if not file.endswith(_OVERRIDE) or not os.path.exists(path):
        return EMPTY
    config = parse(_text_of(path), path).config
    output.info(f"DEBUG: {file} overrides {path}" + ("" if config else ", which is wrong and does not count"))
    return config or EMPTY


def _text_of(file: str) -> str:
    try:
        return Disk().read(file).data.decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        raise LocalError(f"File {file} does not exist") from None
    except OSError as error:
        raise LocalError(f"cannot read {file}: {error.strerror}") from error


def _complaints_of_shell(section: str, script: str, output: Output) -> list[str]:
    """What the shell has against a script; nothing if it can read it."""
    output.info(f"DEBUG: checking the {section} section with {SHELL} -n")
    try:
        checked = subprocess.run([SHELL, "-n"], input=script.encode("utf-8", "surrogateescape"), check=False,
                                 stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    except OSError as error:
        raise LocalError(f"cannot run {SHELL}: {error.strerror}") from error
    said = checked.stderr.decode("utf-8", "surrogateescape").splitlines()
    return (said or [f"{SHELL} ended with {checked.returncode}"]) if checked.returncode else []


def main() -> int:
    """The program: reads sys.argv, gives the exit code."""
    return run_program(sys.argv, run)
