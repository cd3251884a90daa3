"""The daemon's command line: arguments and environment variables -> frozen Options, and nothing else.

Not responsible for the directories and files that follow from them (places.py), nor for anything
that the daemon does. Source: runtime specification, 1.1 to 1.3; design, 31, 36 and 37.
"""

from __future__ import annotations

import enum
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from upstartd import COMPATIBLE_VERSION, __version__
from upstartd.conf.model import Console
from upstartd.log import Priority

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

STATE_WAIT_SECS = 3
_LONGEST_WAIT = 2**31 // 1000  # seconds that poll(2) can wait
_LAST_DESCRIPTOR = 2**31 - 1  # what the type of descriptors has room for


class Mode(enum.Enum):
    """Whose jobs the daemon runs, and who calls it."""

    SYSTEM = "system"  # the system bus and a private socket
    SESSION = "session"  # a system instance on the session bus, for testing
    USER = "user"  # a user's session: a private socket, and a bus once it is told of one


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the daemon was asked to be. A directory is as it was given: it may be relative."""

    mode: Mode = Mode.SYSTEM
    confdirs: tuple[str, ...] = ()  # in place of the default ones where there is any
    prepend_confdirs: tuple[str, ...] = ()
    append_confdirs: tuple[str, ...] = ()
    system_user_confdir: bool = True  # a user session also reads the jobs that the system has for all users
    logdir: str | None = None
    log_jobs: bool = True  # False: `console log` counts as `console none`
    cachedir: str | None = None
    cache: bool = True  # False: what job files mean is not kept for the next start
    default_console: Console = Console.LOG
    startup_event: str = "startup"
    emits_startup_event: bool = True
    use_bus: bool = True
    inherit_env: bool = False  # jobs get all of the daemon's environment, and its umask
    chroot_sessions: bool = False
    cgroups: bool = True
    write_state_file: bool = False
    restart: bool = False  # internal to re-execution, as the next two
    state_fd: int | None = None
    state_wait: int = STATE_WAIT_SECS  # seconds to wait for the state; negative: for ever
    priority: Priority = Priority.MESSAGE


class EarlyEnd(Exception):
    """The command line asks for a text and the end: `--help`, `--version`, or something wrong in it."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.text = text
        self.status = status


def _usage_error(problem: str) -> EarlyEnd:
    return EarlyEnd(f"init: {problem}\nTry `init --help' for more information.", 1)


def _console(value: str) -> Console:
    try:
        return Console(value)
    except ValueError:
        raise EarlyEnd(f"init: invalid console type specified: {value}", 1) from None


def _descriptor(value: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) <= 10 and int(value) <= _LAST_DESCRIPTOR):
        raise _usage_error(f"illegal argument: {value}")
    return int(value)


@dataclass(frozen=True, slots=True)
class _Option:
    """One option. Without `value` it stands for `fixed`; with it, `convert` reads what was given for it."""

    names: tuple[str, ...]
    field: str  # of Options
    help: str = ""  # an empty one keeps the option out of --help
    fixed: object = True
    value: str = ""
    convert: Callable[[str], object] = str
    repeatable: bool = False


_OPTIONS = (
    _Option(("--confdir",), "confdirs", "read jobs from DIR instead of the default; may be repeated, the first "
            "one with a job counts", value="DIR", repeatable=True),
    _Option(("--prepend-confdir",), "prepend_confdirs", "read jobs from DIR before all others; may be repeated",
            value="DIR", repeatable=True),
    _Option(("--append-confdir",), "append_confdirs", "read jobs from DIR after all others; may be repeated",
            value="DIR", repeatable=True),
    _Option(("--logdir",), "logdir", "write the output of jobs to DIR", value="DIR"),
    _Option(("--no-log",), "log_jobs", "do not keep the output of jobs", fixed=False),
    _Option(("--cachedir",), "cachedir", "keep in DIR what job files mean, for the next start", value="DIR"),
    _Option(("--no-cache",), "cache", "do not keep what job files mean", fixed=False),
    _Option(("--default-console",), "default_console", "console of jobs that do not name one: none, log, output or "
            "owner", value="VALUE", convert=_console),
    _Option(("--startup-event",), "startup_event", "emit NAME at the start, in place of `startup'", value="NAME"),
    _Option(("--no-startup-event",), "emits_startup_event", "emit no event at the start", fixed=False),
    _Option(("--no-dbus",), "use_bus", "stay away from every bus", fixed=False),
    _Option(("--session",), "mode", "use the session bus, to test a system instance", fixed=Mode.SESSION),
    _Option(("--user",), "mode", "run the jobs of a user's session", fixed=Mode.USER),
    _Option(("--no-inherit-env",), "inherit_env", "with --user: keep the daemon's environment and umask from jobs",
            fixed=False),
    _Option(("--chroot-sessions",), "chroot_sessions", "give callers in another root directory jobs of their own"),
    _Option(("--no-cgroups",), "cgroups", "leave the control groups alone", fixed=False),
    _Option(("--write-state-file",), "write_state_file", "keep a copy of the state at each re-execution"),
    _Option(("--restart",), "restart"),
    _Option(("--state-fd",), "state_fd", value="FD", convert=_descriptor),
    _Option(("-q", "--quiet"), "priority", "say nothing but errors", fixed=Priority.ERROR),
    _Option(("-v", "--verbose"), "priority", "say what happens to jobs as well", fixed=Priority.INFO),
    _Option(("--debug",), "priority", fixed=Priority.DEBUG),
)
_BY_NAME = {name: option for option in _OPTIONS for name in option.names}


def _version() -> str:
    return (f"{COMPATIBLE_VERSION}\nupstartd {__version__}, an init system compatible with that\n\n"
            "MIT licence: free to use, change and pass on, without any warranty.")


def _help() -> str:
    rows = [(", ".join(option.names) + (f" {option.value}" if option.value else ""), option.help)
            for option in _OPTIONS if option.help]
    rows += [("--help", "print this and end"), ("--version", "print the version and end")]
    width = max(len(left) for left, _ in rows)
    return "\n".join(["Usage: init [OPTION]...", "Run jobs when events happen, and answer to D-Bus.", "", "Options:",
                      *(f"  {left:{width}}  {right}" for left, right in rows)])


def _trial() -> str:
    """The same as for --version, from a program that has found all that the daemon is made of (reexecution.py)."""
    import upstartd.daemon  # noqa: F401

    return _version()


_TEXTS = {"--help": _help, "--version": _version, "--trial": _trial}


def parse(arguments: Sequence[str], environ: Mapping[str, str], *, uid: int, pid: int) -> Options:
    """Read the command line (without the program's name) and the variables that stand for options.

    `uid` and `pid` are the daemon's: only root runs a system instance, and process 1 passes over what it
    does not know, since the kernel hands it all kinds of words. Arguments that are no options are passed over
    by all. Raises EarlyEnd for --help, --version, a missing or unusable value, and an unknown option.
    """
    found = _read(arguments, tolerant=pid == 1)
    mode = found.setdefault("mode", Mode.SESSION if "UPSTART_USE_SESSION_BUS" in environ else Mode.SYSTEM)
    if mode is Mode.SYSTEM and uid != 0:
        raise EarlyEnd("init: Need to be root", 1)
    if mode is Mode.USER:
        found.setdefault("inherit_env", True)
        found["system_user_confdir"] = "UPSTART_NO_SYSTEM_USERCONFDIR" not in environ
    else:
        found["inherit_env"] = False
        if environ.get("UPSTART_CONFDIR"):
            found.setdefault("confdirs", (environ["UPSTART_CONFDIR"],))
        if environ.get("UPSTART_LOGDIR"):
            found.setdefault("logdir", environ["UPSTART_LOGDIR"])
    if "UPSTART_NO_SESSIONS" in environ:
        found["chroot_sessions"] = False
    if "UPSTART_WRITE_STATEFILE" in environ:
        found["write_state_file"] = True
    found["state_wait"] = _state_wait(environ)
    return Options(**found)


def _read(arguments: Sequence[str], *, tolerant: bool) -> dict[str, Any]:
    """The fields of Options that the arguments set. `tolerant` passes over unknown options."""
    found: dict[str, Any] = {}
    rest = iter(arguments)
    for argument in rest:
        if argument == "--":
            break
        bundle = argument[:1] == "-" and argument[1:2] not in ("", "-")
        for word in [f"-{letter}" for letter in argument[1:]] if bundle else [argument]:
            if word in _TEXTS:
                raise EarlyEnd(_TEXTS[word](), 0)
            name, equals, value = word.partition("=")
            option = _BY_NAME.get(name)
            if option is None:
                if word.startswith("-") and word != "-" and not tolerant:
                    raise _usage_error(f"invalid option: {word}")
            elif not option.value:
                if equals:
                    raise _usage_error(f"unexpected argument: {word}")
                found[option.field] = option.fixed
            else:
                value = value if equals else next(rest, "")
                if not value:
                    raise _usage_error(f"missing argument: {name}")
                read = option.convert(value)
                found[option.field] = (*found.get(option.field, ()), read) if option.repeatable else read
    return found


def _state_wait(environ: Mapping[str, str]) -> int:
    try:
        return max(-1, min(int(environ["UPSTART_STATE_WAIT_SECS"]), _LONGEST_WAIT))
    except (KeyError, ValueError):
        # It only counts in a re-execution, where ending over a bad number would cost every job.
        return STATE_WAIT_SECS


def main() -> int:
    """Run the daemon as the command line says; gives its exit status."""
    try:
        options = parse(sys.argv[1:], os.environ, uid=os.geteuid(), pid=os.getpid())
    except EarlyEnd as end:
        print(end.text, file=sys.stderr if end.status else sys.stdout)
        return end.status
    # asyncio does without it, and no socket of ours needs it: that saves 1.3 MiB, and a twentieth of the start.
    sys.modules["ssl"] = None  # type: ignore[assignment]  # this is how Python writes "cannot be imported"
    from upstartd.daemon import run  # here, so that --help and wrong options are answered at once

    return run(options)
