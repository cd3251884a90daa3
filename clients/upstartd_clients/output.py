"""What a client prints, and how its process ends: the same for all of them.

Text goes out as UTF-8 whatever the locale says, since configuration managers compare it. Not responsible for
what the text says. Source: clients specification, section 1, Output.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from upstartd_clients.errors import ClientError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any, TextIO

    from upstartd_clients.options import Given


class Colour:
    """What terminals are told for a colour (ECMA-48, SGR)."""

    BOLD = "1"
    RED = "31"
    GREEN = "32"
    YELLOW = "33"
    CYAN = "36"


class Output:
    """The two streams of one program, called `program` in its errors. `coloured`: results go to where colours show.

    Without `attended` nobody sits at a terminal that they may be.
    """

    def __init__(
        self, program: str, out: TextIO, err: TextIO, *, coloured: bool = False, attended: bool = True
    ) -> None:
        self.program = program
        self.quiet = False
        self.verbose = False
        self._out = out
        self._err = err
        self._coloured = coloured
        self._attended = attended

    def named(self, program: str) -> Output:
        """The same streams for a program of another name."""
        return Output(program, self._out, self._err, coloured=self._coloured, attended=self._attended)

    @property
    def to_people(self) -> bool:
        """Whether results go to a terminal."""
        return self._attended and self._out.isatty()

    @property
    def for_people(self) -> bool:
        """Whether errors go to a terminal: only there more is said than scripts may rely on."""
        return self._attended and self._err.isatty()

    def heed(self, options: Given) -> None:
        """Print as much from now on as the options of a command line say: of --quiet and --verbose the last counts."""
        verbosity = options.last("quiet", "verbose")
        self.quiet, self.verbose = verbosity == "quiet", verbosity == "verbose"

    def tint(self, text: str, colour: str) -> str:
        """The text in one of the colours of Colour, where colours show; empty is none."""
        return f"\x1b[{colour}m{text}\x1b[0m" if colour and self._coloured else text

    def line(self, text: str = "") -> None:
        """Print a result, unless the caller wants quiet."""
        if not self.quiet:
            self._out.write(text + "\n")

    def lines(self, texts: Iterable[str]) -> None:
        """Print results, unless the caller wants quiet: all in one piece, however many there are."""
        if not self.quiet:
            self._out.write("".join([text + "\n" for text in texts]))

    def json(self, value: Any) -> None:
        """Print plain data as JSON: on one line, or for people on many. What is beyond ASCII is escaped."""
        import json  # rarely needed, and it takes time to import

        self.line(json.dumps(value, indent=2 if self.to_people else None))

    def info(self, text: str) -> None:
        """Print what only a verbose caller wants to know."""
        if self.verbose and not self.quiet:
            self._out.write(text + "\n")

    def error_line(self, text: str) -> None:
        """Print one line as it stands where errors go. Results printed before come out before it."""
        self._out.flush()
        self._err.write(text + "\n")
        self._err.flush()

    def complain(self, error: ClientError) -> None:
        """Print an error as `PROGRAM: MESSAGE`, and where the command line was at fault a pointer to the help."""
        first_word = error.message.partition(" ")[0]
        space = "" if ":" in first_word else " "
        self.error_line(f"{self.program}:{space}{error.message}")
        if isinstance(error, UsageError):
            self.error_line(f"Try `{self.program} --help' for more information.")

    def flush(self) -> None:
        """Write out what was printed."""
        self._out.flush()


def guarded(work: Callable[[Output], int], output: Output) -> int:
    """Do some work; gives its exit code, or that of the ClientError it ended with, which is printed."""
    try:
        return work(output)
    except ClientError as error:
        output.complain(error)
        return error.exit_code


def run_program(argv: list[str], work: Callable[[list[str], Output], int]) -> int:
    """Call `work(arguments, output)` as the whole of a process; gives the exit code.

    A reader that hangs up (`initctl list | head -1`) ends it without a word, an interrupt by its signal, and a
    full disk with an error. Errors that are nobody's fault but ours are not caught.
    """
    out, err = _as_utf8(sys.stdout), _as_utf8(sys.stderr)
    attended = _is_attended(os.environ)
    coloured = attended and _shows_colours(out, os.environ)
    output = Output(os.path.basename(argv[0]), out, err, coloured=coloured, attended=attended)
    try:
        code = guarded(lambda output: work(argv[1:], output), output)
        output.flush()
    except KeyboardInterrupt:
        return _die_of_interrupt()
    except OSError as error:
        # Whatever else can fail is turned into a ClientError where it happens, so this is one of the streams.
        # What is still buffered must not be tried again when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        if not isinstance(error, BrokenPipeError):
            output.complain(ClientError(f"cannot write output: {error.strerror}"))
        return 1
    return code


def _as_utf8(stream: TextIO | None) -> TextIO:
    """A standard stream, set to UTF-8; what was closed by the caller becomes one that swallows everything."""
    if stream is None:
        return open(os.devnull, "w")
    stream.reconfigure(encoding="utf-8", errors="surrogateescape")  # type: ignore[attr-defined]  # a TextIOWrapper
    return stream


def _is_attended(environ: Mapping[str, str]) -> bool:
    """Whether somebody may be looking: the terminal of a job's process is its log, and its input is /dev/null."""
    return "UPSTART_JOB" not in environ or (sys.stdin is not None and sys.stdin.isatty())


def _shows_colours(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether it is a terminal that has colours, and nobody has asked for none (https://no-color.org)."""
    return stream.isatty() and not environ.get("NO_COLOR") and environ.get("TERM", "dumb") != "dumb"


def _die_of_interrupt() -> int:
    """End by SIGINT, so that a shell that runs us in a loop sees that it was interrupted too."""
    import signal  # only needed here

    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGINT)
    return 128 + signal.SIGINT  # only where the signal is blocked
