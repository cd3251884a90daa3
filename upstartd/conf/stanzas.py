"""Every stanza of the job language, as one table: how it is written, read, repeated, and what it is for.

The table is all that the parser knows of stanzas, and what documentation of them is made from. Not responsible for
words (lexer.py), for errors' places (parser.py), nor for what a setting does to a running job. Source: configuration
specification, section 3.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from upstartd.conf.conditions import read_condition
from upstartd.conf.diagnostics import UNKNOWN_STANZA, Fault
from upstartd.conf.model import (
    Command,
    Console,
    ControlGroup,
    Expect,
    JobConfig,
    ProcessName,
    ResourceLimit,
    RespawnLimit,
)
from upstartd.signals import NUMBERS, signal_number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from upstartd.conf.lexer import Lexer

RESOURCES = ("as", "core", "cpu", "data", "fsize", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss", "rtprio",
             "sigpending", "stack")

_INTEGER = re.compile(r"[+-]?[0-9]+")
_OCTAL = re.compile(r"[+-]?[0-7]+")
# What the C library's int and the kernel's resource limits hold; nothing sensible is larger.
_INT_MAX = 2**31 - 1
_LIMIT_MAX = 2**63 - 1
_NEVER = -1000


class Scope(enum.Enum):
    """Whose settings a stanza changes: the job's (JobConfig) or those of its processes (ProcessSettings)."""

    JOB = "job"
    PROCESS = "process"


class Repeated(enum.Enum):
    """What a repetition of a stanza does."""

    REPLACES = "the last one counts"
    ADDS = "all of them count, in order"
    STAYS = "once is enough"


@dataclass(frozen=True, slots=True)
class Stanza:
    """One way to write a stanza. `name` is its one or two keywords; `arguments` is how those behind them are written.

    `read` takes the arguments from the lexer and puts what they mean into the draft. `shares_line` is set where
    another stanza may follow on the same line.
    """

    name: str
    arguments: str
    read: Callable[[Lexer, Draft, Stanza], None]
    field: str
    default: str
    repeated: Repeated
    help: str
    scope: Scope = Scope.JOB
    shares_line: bool = False

    @property
    def usage(self) -> str:
        """How the whole stanza is written."""
        return f"{self.name} {self.arguments}".rstrip()


class Draft:
    """A job's definition while its files are read: what the stanzas so far have changed about `base`."""

    __slots__ = ("_base", "_collected", "_job", "_process")

    def __init__(self, base: JobConfig) -> None:
        self._base = base
        self._job: dict[str, Any] = {}
        self._process: dict[str, Any] = {}
        self._collected: dict[str, list[Any]] = {}

    def put(self, stanza: Stanza, value: object) -> None:
        """The stanza's value, in place of what was there."""
        (self._job if stanza.scope is Scope.JOB else self._process)[stanza.field] = value

    def add(self, field: str, values: Iterable[object]) -> None:
        """More values of a field that collects them. They stay a list until the end: a file may have thousands."""
        if field not in self._collected:
            owner = self._base.settings if field in _OF_PROCESSES else self._base
            self._collected[field] = list(getattr(owner, field))
        self._collected[field] += values

    def run(self, process: ProcessName, command: Command) -> None:
        """What a process of the job runs, in place of what was there."""
        if "processes" not in self._job:
            self._job["processes"] = dict(self._base.processes)
        self._job["processes"][process] = command

    def config(self) -> JobConfig:
        """The definition as it stands."""
        job, process = self._job, self._process
        for field, values in self._collected.items():
            (process if field in _OF_PROCESSES else job)[field] = _COLLECTIONS[field](values)
        if process:
            job["settings"] = replace(self._base.settings, **process)
        return replace(self._base, **job) if job else self._base


def _last_of_each(limits: Iterable[ResourceLimit]) -> tuple[ResourceLimit, ...]:
    return tuple({limit.name: limit for limit in limits}.values())


_COLLECTIONS: dict[str, Callable[[Iterable[Any]], object]] = {
    "env": tuple,
    "export": tuple,
    "emits": tuple,
    "normal_exit_statuses": frozenset,
    "normal_exit_signals": frozenset,
    "limits": _last_of_each,
    "cgroups": tuple,
}
_OF_PROCESSES = frozenset({"limits", "cgroups"})


# -- what a word stands for --------------------------------------------------------------------------------


def _text(word: str) -> str:
    return word


def _number(word: str, lowest: int, highest: int, message: str, *, pattern: re.Pattern[str] = _INTEGER,
            base: int = 10) -> int:
    """The number that is the whole word. Fault with `message` where it is none, or out of range."""
    # The length is looked at first: the interpreter refuses to convert numbers of thousands of digits.
    if len(word) <= 30 and pattern.fullmatch(word) and lowest <= (number := int(word, base)) <= highest:
        return number
    raise Fault(message)


def _integer(lowest: int, highest: int, message: str, **how: Any) -> Callable[[str], int]:
    return lambda word: _number(word, lowest, highest, message, **how)


_interval = _integer(0, _INT_MAX, "Illegal interval, expected number of seconds")
_count = _integer(0, _INT_MAX, "Illegal limit, expected 'unlimited' or integer")
_exit_status = _integer(0, _INT_MAX, "Illegal exit status, expected integer")
_signal_status = _integer(0, _INT_MAX, "Illegal signal status, expected integer")
_mask = _integer(0, 0o777, "Illegal file creation mask, expected octal integer", pattern=_OCTAL, base=8)
_priority = _integer(-20, 19, "Illegal nice value, expected -20 to 19")
_adjustment = _integer(-17, 15, "Illegal oom adjustment, expected -16 to 15 or 'never'")
_score = _integer(-1000, 1000, "Illegal oom score adjustment, expected -999 to 1000 or 'never'")
_resource = _integer(-1, _LIMIT_MAX, "Illegal limit, expected 'unlimited' or integer")


def _signal(word: str) -> int:
    number = signal_number(word)
    if number is not None:
        return number
    try:
        return _signal_status(word)
    except Fault as fault:
        fault.expected, fault.candidates = "a signal's name or number", _signal_names(word)
        raise


def _signal_names(word: str) -> Iterable[str]:
    prefix = "SIG" if word.upper().startswith("SIG") else ""
    return [prefix + name for name in NUMBERS]


def _oom_score(word: str) -> int:
    return _NEVER if word == "never" else _score(word)


def _score_of_adjustment(word: str) -> int:
    """The score of a word of the old scale, in which -17 means never and 15 is the most."""
    if word == "never":
        return _NEVER
    number = _adjustment(word)
    return number * 1000 // 15 if number >= 0 else -(-number * 1000 // 17)


def _resource_value(word: str) -> int | None:
    """A resource limit's number; None is unlimited, which may be written as -1 too."""
    number = None if word == "unlimited" else _resource(word)
    return None if number == -1 else number


def _one_of(values: Iterable[str]) -> Callable[[str], str]:
    """The word itself, which must be one of a fixed set."""
    known = {value: value for value in values}

    def convert(word: str) -> str:
        try:
            return known[word]
        except KeyError:
            raise Fault(UNKNOWN_STANZA, candidates=known, expected=" or ".join(known)) from None

    return convert


_resource_name = _one_of(RESOURCES)


# -- how arguments are read --------------------------------------------------------------------------------


def _flag(lexer: Lexer, draft: Draft, stanza: Stanza) -> None:
    draft.put(stanza, True)


def _one(convert: Callable[[str], object]) -> Callable[[Lexer, Draft, Stanza], None]:
    """One word, which is converted and replaces what was there."""

    def read(lexer: Lexer, draft: Draft, stanza: Stanza) -> None:
        draft.put(stanza, convert(lexer.word()))

    return read


def _add_one(lexer: Lexer, draft: Draft, stanza: Stanza) -> None:
    draft.add(stanza.field, (lexer.word(),))


def _add_words(lexer: Lexer, draft: Draft, stanza: Stanza) -> None:
    _add_one(lexer, draft, stanza)
    while lexer.has_word():
        _add_one(lexer, draft, stanza)


def _condition(lexer: Lexer, draft: Draft, stanza: Stanza) -> None:
    draft.put(stanza, read_condition(lexer))


def _manual(lexer: Lexer, draft: Draft, stanza: Stanza) -> None:
    draft.put(stanza, ())


def _exec(process: ProcessName) -> Callable[[Lexer, Draft, Stanza], None]:
    def read(lexer: Lexer, draft: Draft, stanza: Stanza) -> None:
        draft.run(process, Command(lexer.command()))

    return read


def _script(process: ProcessName) -> Callable[[Lexer, Draft, Stanza], None]:
    def read(lexer: Lexer, draft: Draft, stanza: Stanza) -> None:
        lexer.end()
        draft.run(process, Command(lexer.block(), script=True))

    return read


def _respawn_limit(lexer: Lexer, draft: Draft, stanza: Stanza) -> None:
    word = lexer.word()
    draft.put(stanza, RespawnLimit(0, 0) if word == "unlimited" else
              RespawnLimit(_count(word), _interval(lexer.word())))


def _normal_exit(lexer: Lexer, draft: Draft, stanza: Stanza) -> None:
    while True:
        word = lexer.word()
        number = signal_number(word)
        if number is not None:
            draft.add("normal_exit_signals", (number,))
        else:
            try:
                draft.add("normal_exit_statuses", (_exit_status(word),))
            except Fault as fault:
                fault.expected, fault.candidates = "an exit status or a signal's name", _signal_names(word)
                raise
        if not lexer.has_word():
            return


def _resource_limit(lexer: Lexer, draft: Draft, stanza: Stanza) -> None:
    name = _resource_name(lexer.word())
    soft = _resource_value(lexer.word())
    hard = _resource_value(lexer.word())
    draft.add(stanza.field, (ResourceLimit(name, soft, hard),))


def _control_group(lexer: Lexer, draft: Draft, stanza: Stanza) -> None:
    words = [lexer.word()]
    while len(words) < 4 and lexer.has_word():
        words.append(lexer.word())
    controller, *rest = words
    # Two words behind the controller are a key and its value; the name stands before those.
    name = rest.pop(0) if len(rest) % 2 else None
    draft.add(stanza.field, (ControlGroup(controller, name, *rest),))


# -- the table ---------------------------------------------------------------------------------------------


def _process_stanzas(prefix: str, process: ProcessName, when: str) -> tuple[Stanza, Stanza]:
    """The two ways to say what a process runs."""
    space = f"{prefix} " if prefix else ""
    return (
        Stanza(f"{space}exec", "COMMAND", _exec(process), "processes", "nothing is run", Repeated.REPLACES,
               f"The command that {when}. A shell runs it where it has characters that mean something to a shell."),
        Stanza(f"{space}script", "LINES end script", _script(process), "processes", "nothing is run", Repeated.REPLACES,
               f"A shell script that {when}: the lines up to `end script`. It ends at the first command that fails."),
    )


_LAST, _ADDS, _STAYS, _PROCESS = Repeated.REPLACES, Repeated.ADDS, Repeated.STAYS, Scope.PROCESS

STANZAS: tuple[Stanza, ...] = (
    Stanza("description", "TEXT", _one(_text), "description", "empty", _LAST, "What the job is."),
    Stanza("author", "TEXT", _one(_text), "author", "empty", _LAST, "Who wrote the job file."),
    Stanza("version", "TEXT", _one(_text), "version", "empty", _LAST, "The version of the job file."),
    Stanza("usage", "TEXT", _one(_text), "usage", "empty", _LAST, "How the job is to be started: its parameters."),
    Stanza("instance", "NAME", _one(_text), "instance", "a single instance", _LAST,
           "The name of an instance, with $VARIABLES. The job may run once for each name."),
    Stanza("env", "KEY=VALUE or KEY", _add_one, "env", "none", _ADDS,
           "A variable for the job's processes; without a value, the one of the daemon's own environment."),
    Stanza("export", "KEY...", _add_words, "export", "none", _ADDS,
           "Variables that the job's own events carry along."),
    Stanza("emits", "EVENT...", _add_words, "emits", "none", _ADDS,
           "Events that the job's processes emit. It is documentation, and keeps check-config quiet."),
    Stanza("start on", "CONDITION", _condition, "start_on", "never", _LAST, "The events that start the job."),
    Stanza("stop on", "CONDITION", _condition, "stop_on", "never", _LAST, "The events that stop the job."),
    Stanza("manual", "", _manual, "start_on", "", _LAST,
           "Forget the start condition read so far: the job is started by hand only.", shares_line=True),
    *_process_stanzas("", ProcessName.MAIN, "is the job"),
    *_process_stanzas("pre-start", ProcessName.PRE_START, "prepares the main process"),
    *_process_stanzas("post-start", ProcessName.POST_START, "completes the start, before the job counts as running"),
    *_process_stanzas("pre-stop", ProcessName.PRE_STOP, "runs before the main process is stopped"),
    *_process_stanzas("post-stop", ProcessName.POST_STOP, "cleans up after the main process"),
    Stanza("expect", "stop or daemon or fork or none", _one(_one_of(Expect)), "expect", "none", _LAST,
           "How the main process shows that it is ready: it raises SIGSTOP, forks twice, forks once, or just exists."),
    Stanza("task", "", _flag, "task", "a service", _STAYS,
           "The job runs to its end, and whoever starts it waits for that."),
    Stanza("respawn", "", _flag, "respawn", "no", _STAYS, "Start the main process again whenever it ends by itself."),
    Stanza("respawn limit", "COUNT SECONDS or unlimited", _respawn_limit, "respawn_limit", "10 5", _LAST,
           "How many respawns in how many seconds are too many."),
    Stanza("normal exit", "STATUS or SIGNAL...", _normal_exit, "normal_exit_statuses", "none", _ADDS,
           "Exit statuses and signals of the main process that are no failure."),
    Stanza("kill timeout", "SECONDS", _one(_interval), "kill_timeout", "5", _LAST,
           "How long a process may take to end after the kill signal, before it gets KILL."),
    Stanza("kill signal", "SIGNAL", _one(_signal), "kill_signal", "TERM", _LAST, "The signal that ends a process."),
    Stanza("reload signal", "SIGNAL", _one(_signal), "reload_signal", "HUP", _LAST,
           "The signal that makes the main process read its configuration again."),
    Stanza("console", "none or log or output or owner", _one(_one_of(Console)), "console", "log", _LAST,
           "Where the standard descriptors of the processes go.", _PROCESS),
    Stanza("umask", "MASK", _one(_mask), "umask", "022", _LAST, "The file creation mask, octal.", _PROCESS),
    Stanza("nice", "N", _one(_priority), "nice", "the daemon's", _LAST,
           "The scheduling priority, from -20 (first) to 19.", _PROCESS),
    Stanza("oom score", "N or never", _one(_oom_score), "oom_score", "0", _LAST,
           "How readily the kernel kills the processes when memory runs out, from -1000 (never) to 1000.", _PROCESS),
    Stanza("oom", "N or never", _one(_score_of_adjustment), "oom_score", "0", _LAST,
           "The same on the old scale, from -17 (never) to 15.", _PROCESS),
    Stanza("limit", "NAME SOFT HARD", _resource_limit, "limits", "the daemon's", _LAST,
           f"A resource limit: two numbers or `unlimited`. NAME is one of {', '.join(RESOURCES)}.", _PROCESS),
    Stanza("chroot", "DIRECTORY", _one(_text), "chroot", "none", _LAST, "The processes' root directory.", _PROCESS),
    Stanza("chdir", "DIRECTORY", _one(_text), "chdir", "/", _LAST, "The processes' working directory.", _PROCESS),
    Stanza("setuid", "USER", _one(_text), "setuid", "the daemon's", _LAST, "The user of the processes.", _PROCESS),
    Stanza("setgid", "GROUP", _one(_text), "setgid", "the daemon's", _LAST, "The group of the processes.", _PROCESS),
    Stanza("apparmor load", "FILE", _one(_text), "apparmor_load", "none", _LAST,
           "An AppArmor profile that is loaded before the job starts."),
    Stanza("apparmor switch", "PROFILE", _one(_text), "apparmor_switch", "none", _LAST,
           "The AppArmor profile of the processes.", _PROCESS),
    Stanza("cgroup", "CONTROLLER [NAME] [KEY VALUE]", _control_group, "cgroups", "none", _ADDS,
           "A control group for the processes, and a setting of it.", _PROCESS),
    Stanza("debug", "", _flag, "debug", "no", _STAYS,
           "Stop each process before its program is executed. Counts only in a daemon run with --debug.", _PROCESS,
           shares_line=True),
)


def _by_keywords() -> dict[str, Stanza | dict[str, Stanza]]:
    """The table by first keyword; where there is a second one in any stanza, by that as well ("" is without one)."""
    table: dict[str, Stanza | dict[str, Stanza]] = {}
    pairs = {stanza.name.partition(" ")[0] for stanza in STANZAS if " " in stanza.name}
    for stanza in STANZAS:
        first, _, second = stanza.name.partition(" ")
        if first in pairs:
            family = table.setdefault(first, {})
            assert isinstance(family, dict)
            family[second] = stanza
        else:
            table[first] = stanza
    return table


_TABLE = _by_keywords()
# Words that mean something elsewhere, and why they do not here, at the beginning of a line.
_MISPLACED = {
    "end": "no script is open here",
    **dict.fromkeys(("and", "or"), "conditions go on over lines only in parentheses"),
}
# A line that begins with a stanza's name.
STANZA_LINE = re.compile(r"^[ \t\r]*(?:" + "|".join(map(re.escape, _TABLE)) + r")(?=[ \t\r\n#]|\Z)", re.MULTILINE)


def read_stanza(lexer: Lexer, draft: Draft) -> None:
    """Read the stanza that is next in the text into the draft. Fault where it is wrong; the draft is then of no use."""
    name = lexer.raw_word()
    stanza = _TABLE.get(name)
    if stanza is None:
        if name in _MISPLACED:
            raise Fault(UNKNOWN_STANZA, expected=f"the name of a stanza, as {_MISPLACED[name]}")
        raise Fault(UNKNOWN_STANZA, candidates=_TABLE, expected="the name of a stanza")
    if isinstance(stanza, dict):
        stanza = _second(lexer, stanza)
    try:
        stanza.read(lexer, draft, stanza)
        if not stanza.shares_line:
            lexer.end()
    except Fault as fault:
        fault.expected = fault.expected or f"'{stanza.usage}'"
        raise


def _second(lexer: Lexer, family: dict[str, Stanza]) -> Stanza:
    """The stanza that the second keyword, or its absence, picks out."""
    bare = family.get("")
    if bare is not None and not lexer.has_word():
        return bare
    begin = lexer.position
    try:
        # Where the second word may as well be an argument, it is read as one, and may be quoted.
        word = lexer.word() if bare is not None and bare.arguments else lexer.raw_word()
        if word not in family:
            raise Fault(UNKNOWN_STANZA, candidates=family)
    except Fault as fault:
        if bare is not None and bare.arguments:
            lexer.position = begin
            return bare
        fault.expected = fault.expected or " or ".join(filter(None, family)) + (", or nothing" if bare else "")
        raise
    return family[word]
