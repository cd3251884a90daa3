"""What a child does between fork and exec: an ordered table of stages, and the sentence for each that fails.

The parent prepares the steps of a process from the table; the child only carries them out, as each page of
memory that it touches has to be copied first. Not responsible for forking (spawn.py) nor for how the daemon
learns of a failure. Source: runtime specification, 5.3 and 5.4; design, 27.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from upstartd.conf.model import Console, Expect, ProcessName
from upstartd.engine.environment import pairs
from upstartd.engine.expansion import ExpansionError, expand
from upstartd.proc import control_groups
from upstartd.proc.command import SHELL, SetupFailed, candidates, encoded
from upstartd.proc.control_group_keys import ControlGroupError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import NoReturn

    from upstartd.engine.effects import Spawn
    from upstartd.proc.command import Invocation
    from upstartd.proc.control_groups import Membership
    from upstartd.proc.kernel import Kernel

CONSOLE = "/dev/console"

# Errors of exec after which execvp(3) looks into the next directory of PATH.
_LOOK_FURTHER = frozenset(
    {errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.ESTALE, errno.ENODEV, errno.ETIMEDOUT}
)


@dataclass(frozen=True, slots=True)
class Defaults:
    """How processes are set up where their job does not say. None is what the daemon itself has."""

    console: Console
    umask: int | None
    directory: str | None
    debug: bool  # whether the `debug` stanza counts
    apparmor: bool = False  # whether profiles are switched to


@dataclass(slots=True)
class Setup:
    """All that the set-up of one process needs, gathered before the fork.

    The descriptors are the daemon's: `null` is /dev/null, `script` has the script and `terminal` takes the output,
    if there is such a thing. `membership` are the control groups; None where the job names none. Only a fork needs
    the others: `report` is the pipe's end in which a failure is told, `trace` a pipe in which a traced process finds
    the errno of the attempt to trace it.
    """

    kernel: Kernel
    effect: Spawn
    defaults: Defaults
    invocation: Invocation
    env: dict[bytes, bytes]
    null: int
    script: int | None = None
    report: int = -1
    trace: tuple[int, int] | None = None
    terminal: int | None = None
    membership: Membership | None = None
    # Found out on the way, in the child.
    trace_error: int = 0
    user: bytes | None = None
    uid: int | None = None
    gid: int | None = None

    @property
    def console(self) -> Console:
        """Where the standard descriptors go."""
        return console_of(self.effect, self.defaults)

    @property
    def output(self) -> int:
        """What takes the output where no console does."""
        return self.null if self.terminal is None else self.terminal


class Step(NamedTuple):
    """One thing to do, and the sentence for its failure, `%s` being the system's text."""

    reason: str
    do: Callable[..., Any]
    arguments: tuple[Any, ...] = ()


# -- the stages: each gives the steps that this process needs ---------------------------------------------


def _trace_result(s: Setup) -> Iterator[Step]:
    if s.trace is not None:
        yield Step("unable to set trace: %s", _read_trace_result, (s, *s.trace))


def _read_trace_result(s: Setup, reading: int, writing: int) -> None:
    # The daemon traces its child from the start, while both are the same user still; if that was refused,
    # it is told at its own place in the order.
    s.kernel.close(writing)  # so that the daemon's end is noticed
    answer = s.kernel.read(reading, 1)
    s.trace_error = answer[0] if answer else errno.ESRCH


def _descriptors(s: Setup) -> Iterator[Step]:
    reason = "unable to move script fd: %s"
    if s.script is not None:
        yield Step(reason, s.kernel.dup2, (s.script, s.invocation.script_fd))
    for file in s.effect.files:
        yield Step(reason, s.kernel.keep_on_exec, (file,))


def _session(s: Setup) -> Iterator[Step]:
    yield Step("unable to execute: %s", s.kernel.setsid)


def _console(s: Setup) -> Iterator[Step]:
    yield Step("unable to open console: %s", _CONSOLES[s.console], (s,))


def console_of(effect: Spawn, defaults: Defaults) -> Console:
    """Where the standard descriptors of the process go."""
    return effect.settings.console or defaults.console


def _no_console(s: Setup) -> None:
    _standard_descriptors(s.kernel, s.null, s.output)


def _console_for_output(s: Setup) -> None:
    try:
        fd = s.kernel.open(CONSOLE, os.O_RDWR | os.O_NOCTTY)
    except OSError:
        fd = s.null
    _standard_descriptors(s.kernel, fd, fd)


def _own_console(s: Setup) -> None:
    fd = s.kernel.open(CONSOLE, os.O_RDWR | os.O_NOCTTY)
    s.kernel.take_terminal(fd)
    _standard_descriptors(s.kernel, fd, fd)


def _standard_descriptors(kernel: Kernel, source: int, output: int) -> None:
    kernel.dup2(source, 0)
    kernel.dup2(output, 1)
    kernel.dup2(output, 2)


_CONSOLES = {
    Console.NONE: _no_console,
    Console.LOG: _no_console,
    Console.OUTPUT: _console_for_output,
    Console.OWNER: _own_console,
}


def _switches_profile(effect: Spawn, defaults: Defaults) -> bool:
    return effect.process is ProcessName.MAIN and effect.settings.apparmor_switch is not None and defaults.apparmor


def _profile(s: Setup) -> Iterator[Step]:
    if _switches_profile(s.effect, s.defaults):
        yield Step("unable to switch security profile: %s", _set_profile, (s,))


def _set_profile(s: Setup) -> None:
    assert s.effect.settings.apparmor_switch is not None
    s.kernel.set_profile(expand(s.effect.settings.apparmor_switch, pairs(s.effect.env)))


def _limits(s: Setup) -> Iterator[Step]:
    for limit in s.effect.settings.limits:
        yield Step(
            f'unable to set "{limit.name}" resource limit: %s', s.kernel.set_limit, (limit.name, limit.soft, limit.hard)
        )


def _umask(s: Setup) -> Iterator[Step]:
    mask = umask(s)
    if mask is not None:
        yield Step("unable to execute: %s", s.kernel.umask, (mask,))


def umask(s: Setup) -> int | None:
    """The file creation mask that the process is to have; None: the daemon's."""
    own = s.effect.settings.umask
    return s.defaults.umask if own is None else own


def _nice(s: Setup) -> Iterator[Step]:
    if s.effect.settings.nice is not None:
        yield Step("unable to set priority: %s", s.kernel.set_nice, (s.effect.settings.nice,))


def _oom_score(s: Setup) -> Iterator[Step]:
    if s.effect.settings.oom_score:
        yield Step("unable to set oom adjustment: %s", s.kernel.set_oom_score, (s.effect.settings.oom_score,))


def _root(s: Setup) -> Iterator[Step]:
    reason = "unable to change root directory: %s"
    if s.effect.root:
        yield Step(reason, s.kernel.chroot, (os.fsencode(s.effect.root),))
        # Otherwise the process would be outside of its root still, and what the job names relatively, too.
        yield Step(reason, s.kernel.chdir, (b"/",))
    if s.effect.settings.chroot is not None:
        yield Step(reason, s.kernel.chroot, (encoded(s.effect.settings.chroot),))


def _directory(s: Setup) -> Iterator[Step]:
    own = s.effect.settings.chdir
    path = s.defaults.directory if own is None else own
    if path is not None:
        yield Step("unable to change working directory: %s", s.kernel.chdir, (encoded(path),))


def _lookups(s: Setup) -> Iterator[Step]:
    settings = s.effect.settings
    if settings.setuid is not None:
        yield Step("unable to getpwnam: %s", _find_user, (s, encoded(settings.setuid)))
    if settings.setgid is not None:
        yield Step("unable to getgrnam: %s", _find_group, (s, encoded(settings.setgid)))
        if settings.setuid is None and s.kernel.is_root():
            yield Step("unable to getpwuid: %s", _find_own_user, (s,))


def _find_user(s: Setup, name: bytes) -> None:
    found = s.kernel.user(name)
    if found is None:
        raise SetupFailed("unable to find setuid user")
    s.user, s.uid, s.gid = found


def _find_own_user(s: Setup) -> None:
    # For the supplementary groups: with `setgid` alone the process stays the daemon's user.
    found = s.kernel.user(s.kernel.own_uid())
    if found is None:
        raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
    s.user = found.name


def _find_group(s: Setup, name: bytes) -> None:
    s.gid = s.kernel.group(name)
    if s.gid is None:
        raise SetupFailed("unable to find setgid group")


def _changes_ids(s: Setup) -> bool:
    return s.effect.settings.setuid is not None or s.effect.settings.setgid is not None


def _user_s_groups(s: Setup) -> Iterator[Step]:
    if _changes_ids(s) and s.kernel.is_root():
        if s.script is not None:
            yield Step("unable to chown: %s", _give_script, (s,))
        yield Step("unable to initgroups: %s", _set_groups, (s,))


def _control_groups(s: Setup) -> Iterator[Step]:
    if s.membership is not None:
        yield Step("unable to setup cgroup: %s", _make_control_groups, (s, s.membership))


def _make_control_groups(s: Setup, membership: Membership) -> None:
    uid, gid = (s.uid, s.gid) if s.kernel.is_root() else (None, None)
    control_groups.make(s.kernel, membership, uid, gid)


def _ids(s: Setup) -> Iterator[Step]:
    if _changes_ids(s):
        yield Step("unable to setgid: %s", _set_gid, (s,))
    if s.effect.settings.setuid is not None:
        yield Step("unable to setuid: %s", _set_uid, (s,))


# The shell opens its script by name, as whoever it is then.
def _give_script(s: Setup) -> None:
    assert s.gid is not None
    s.kernel.chown(s.invocation.script_fd, -1 if s.uid is None else s.uid, s.gid)


def _set_groups(s: Setup) -> None:
    assert s.user is not None
    assert s.gid is not None
    s.kernel.initgroups(s.user, s.gid)


def _set_gid(s: Setup) -> None:
    assert s.gid is not None
    s.kernel.setgid(s.gid)


def _set_uid(s: Setup) -> None:
    assert s.uid is not None
    s.kernel.setuid(s.uid)


def _signals(s: Setup) -> Iterator[Step]:
    yield Step("unable to execute: %s", s.kernel.reset_signals, (s.kernel.handled_signals(),))


def is_traced(effect: Spawn) -> bool:
    """Whether the process is to be traced, as `expect` could not be followed else."""
    return effect.process is ProcessName.MAIN and effect.expect in (Expect.FORK, Expect.DAEMON)


def stops_itself(effect: Spawn, defaults: Defaults) -> bool:
    """Whether the process stops itself before it executes its program, for a debugger to come."""
    return effect.settings.debug and defaults.debug


def _debug(s: Setup) -> Iterator[Step]:
    if stops_itself(s.effect, s.defaults):
        yield Step("unable to execute: %s", _stop_for_debugger, (s,))


def _stop_for_debugger(s: Setup) -> None:
    s.kernel.close(s.report)  # the set-up counts as done
    s.kernel.stop_self()


def _trace(s: Setup) -> Iterator[Step]:
    if s.trace is not None:
        yield Step("unable to set trace: %s", _tell_trace_result, (s,))


def _tell_trace_result(s: Setup) -> None:
    if s.trace_error:
        raise OSError(s.trace_error, os.strerror(s.trace_error))


def _entrance(s: Setup) -> Iterator[Step]:
    if s.membership is not None:
        yield Step("unable to enter cgroup: %s", control_groups.enter, (s.kernel, s.membership))


def _execution(s: Setup) -> Iterator[Step]:
    paths = candidates(s.invocation.argv[0] if s.invocation.argv else b"", s.env)
    yield Step("unable to execute: %s", _execute, (s.kernel, paths, s.invocation.argv, s.env))


def _execute(kernel: Kernel, paths: tuple[bytes, ...], argv: tuple[bytes, ...], env: dict[bytes, bytes]) -> NoReturn:
    """As execvp(3) does it: the first path that can be executed, a file of no known format by the shell."""
    refusal: OSError | None = None
    for path in paths:
        try:
            kernel.execve(path, argv, env)
        except OSError as error:
            if error.errno == errno.ENOEXEC:
                kernel.execve(SHELL.encode(), (SHELL.encode(), path, *argv[1:]), env)
            if error.errno not in _LOOK_FURTHER:
                raise
            # That a program is there and may not be executed says more than that it is nowhere else.
            if refusal is None or refusal.errno != errno.EACCES:
                refusal = error
    raise refusal or OSError(errno.ENOENT, os.strerror(errno.ENOENT))


def has_settings(effect: Spawn) -> bool:
    """Whether the settings of the job hold for this process."""
    return effect.process is not ProcessName.SECURITY


# -- the order ----------------------------------------------------------------------------------------------

# Whether a stage is a setting of the job: the security process is run without those.
STAGES: tuple[tuple[Callable[[Setup], Iterator[Step]], bool], ...] = (
    (_trace_result, False),
    (_descriptors, False),
    (_session, False),
    (_console, False),
    (_profile, False),
    (_limits, True),
    (_umask, True),
    (_nice, True),
    (_oom_score, True),
    (_root, True),
    (_directory, True),
    (_lookups, True),
    (_user_s_groups, True),
    (_control_groups, True),
    (_ids, True),
    (_signals, False),
    (_debug, False),
    (_trace, False),
    (_entrance, True),
    (_execution, False),
)


def steps(s: Setup) -> tuple[Step, ...]:
    """What the child has to do, in order; the last step does not return."""
    with_settings = has_settings(s.effect)
    return tuple(step for stage, is_setting in STAGES if with_settings or not is_setting for step in stage(s))


def needs_no_fork(s: Setup) -> bool:
    """Whether the process needs nothing but what start_quick() of the kernel does.

    Then no memory has to be copied for it, which makes it cheap however large the daemon is.
    """
    if is_traced(s.effect) or stops_itself(s.effect, s.defaults) or _switches_profile(s.effect, s.defaults):
        return False
    if s.console not in (Console.NONE, Console.LOG):
        return False
    if not has_settings(s.effect):
        return True
    if s.membership is not None or s.effect.root:
        return False
    settings = s.effect.settings
    changes = (settings.nice, settings.chroot, settings.chdir, settings.setuid, settings.setgid)
    return not (settings.limits or settings.oom_score or any(change is not None for change in changes))


def carry_out(kernel: Kernel, todo: tuple[Step, ...], report: int) -> NoReturn:
    """Be the child: do the steps, write the reason to `report` if one fails. Never returns."""
    try:
        reason = "unable to execute: %s"
        try:
            for reason, do, arguments in todo:  # noqa: B007 - the handlers below say which step it was
                do(*arguments)
        except SetupFailed as failure:
            text = str(failure)
        except (ControlGroupError, ExpansionError) as refusal:
            text = reason % refusal
        except MemoryError:
            text = reason % os.strerror(errno.ENOMEM)
        except OSError as error:
            text = reason % os.strerror(error.errno or errno.EINVAL)
        except Exception:
            # A value that the system cannot even be given, such as a path with a zero byte.
            text = reason % os.strerror(errno.EINVAL)
        kernel.write(report, text.encode("utf-8", "replace"))
    finally:
        kernel.exit(255)
