"""What a child does between fork and exec, in which order, and what it says when that fails."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

import pytest

from support.scripted_kernel import METHODS, Executed, Exited, InTurn, ScriptedKernel, refusal, spawn_effect
from upstartd.conf.model import Console, Expect, ProcessName, ResourceLimit
from upstartd.proc.command import environment, invocation
from upstartd.proc.setup import Defaults, Setup, carry_out, needs_no_fork, steps
from upstartd.proc.user_database import User

if TYPE_CHECKING:
    from upstartd.engine.effects import Spawn

DEFAULTS = Defaults(Console.LOG, 0o022, "/", debug=False)
NULL, SCRIPT, REPORT, ANSWER, ASKING = 50, 51, 52, 53, 54
EVERYTHING: dict[str, Any] = {
    "limits": (ResourceLimit("nofile", 64, None), ResourceLimit("core", 0, 0)), "umask": 0o077, "nice": 7,
    "oom_score": 250, "chroot": "/jail", "chdir": "/inside", "setuid": "web", "setgid": "www", "debug": True,
}  # fmt: skip
LONG: dict[str, Any] = {"text": "one\ntwo", "script": True}


def setup(kernel: ScriptedKernel, effect: Spawn, defaults: Defaults = DEFAULTS) -> Setup:
    how = invocation(effect.command, effect.files)
    return Setup(
        kernel, effect, defaults, how, environment(effect.env), NULL, SCRIPT if how.script else None, REPORT,
        (ANSWER, ASKING) if effect.expect in (Expect.FORK, Expect.DAEMON) else None,
    )  # fmt: skip


def child(kernel: ScriptedKernel, effect: Spawn, defaults: Defaults = DEFAULTS) -> str | None:
    """Be the child; gives the reason that it reported, None if it executed its program."""
    todo = steps(setup(kernel, effect, defaults))
    kernel.calls.clear()  # the parent's questions
    with pytest.raises((Executed, Exited)):
        carry_out(kernel, todo, REPORT)
    assert kernel.calls[-1] == ("exit", 255), "the child went on into the daemon"
    return kernel.written.get(REPORT, b"").decode() or None


def done(effect: Spawn, defaults: Defaults = DEFAULTS, **answers: Any) -> list[tuple[Any, ...]]:
    """The system calls of a child that gets through."""
    kernel = ScriptedKernel(**answers)
    assert child(kernel, effect, defaults) is None
    return kernel.calls[:-1]


def test_a_plain_process_is_set_up_in_the_documented_order() -> None:
    assert done(spawn_effect(), handled_signals=[13]) == [
        ("setsid",),
        ("dup2", NULL, 0), ("dup2", NULL, 1), ("dup2", NULL, 2),
        ("umask", 0o022),
        ("chdir", b"/"),
        ("reset_signals", [13]),
        ("execve", b"/one/program", (b"program", b"--flag"), {b"PATH": b"/one:/two"}),
    ]  # fmt: skip


def test_a_process_with_every_setting_is_set_up_in_the_documented_order() -> None:
    effect = spawn_effect(**LONG, expect=Expect.DAEMON, files=(20,), **EVERYTHING)
    assert done(effect, Defaults(Console.LOG, 0o022, "/", debug=True), read=b"\0") == [
        ("close", ASKING), ("read", ANSWER, 1),
        ("dup2", SCRIPT, 9), ("keep_on_exec", 20),
        ("setsid",),
        ("dup2", NULL, 0), ("dup2", NULL, 1), ("dup2", NULL, 2),
        ("set_limit", "nofile", 64, None), ("set_limit", "core", 0, 0),
        ("umask", 0o077), ("set_nice", 7), ("set_oom_score", 250),
        ("chroot", b"/jail"), ("chdir", b"/inside"),
        ("user", b"web"), ("group", b"www"),
        ("chown", 9, 33, 35), ("initgroups", b"web", 35), ("setgid", 35), ("setuid", 33),
        ("reset_signals", []),
        ("close", REPORT), ("stop_self",),
        ("execve", b"/bin/sh", (b"/bin/sh", b"-e", b"/proc/self/fd/9"), {b"PATH": b"/one:/two"}),
    ]  # fmt: skip


def test_the_security_process_is_set_up_without_the_settings() -> None:
    calls = done(spawn_effect(process=ProcessName.SECURITY, **EVERYTHING))
    assert [call[0] for call in calls] == ["setsid", "dup2", "dup2", "dup2", "reset_signals", "execve"]


def test_in_a_user_session_directory_and_mask_are_the_daemon_s_own() -> None:
    calls = done(spawn_effect(), Defaults(Console.LOG, None, None, debug=False))
    assert not {"umask", "chdir"} & {call[0] for call in calls}


def test_a_chroot_session_s_process_enters_the_root_of_its_session_before_that_of_its_job() -> None:
    calls = done(spawn_effect(root="/srv/box", chroot="jail"))
    assert [call for call in calls if call[0] in ("chroot", "chdir")] == [
        ("chroot", b"/srv/box"), ("chdir", b"/"), ("chroot", b"jail"), ("chdir", b"/")
    ]  # fmt: skip


def test_a_chroot_session_s_process_is_inside_of_its_root_where_no_directory_is_set() -> None:
    calls = done(spawn_effect(root="/srv/box"), Defaults(Console.LOG, None, None, debug=False))
    assert [call for call in calls if call[0] in ("chroot", "chdir")] == [("chroot", b"/srv/box"), ("chdir", b"/")]


def test_a_root_of_a_session_that_has_gone_fails_the_process() -> None:
    kernel = ScriptedKernel(chroot=refusal(errno.ENOENT))
    reason = child(kernel, spawn_effect(root="/srv/box"))
    assert reason == "unable to change root directory: No such file or directory"


def test_a_chroot_session_s_process_needs_a_fork() -> None:
    assert needs_no_fork(setup(ScriptedKernel(), spawn_effect()))
    assert not needs_no_fork(setup(ScriptedKernel(), spawn_effect(root="/srv/box")))


def test_an_oom_score_of_0_is_not_written() -> None:
    assert "set_oom_score" not in {call[0] for call in done(spawn_effect(oom_score=0))}


def test_a_nice_value_of_0_is_set() -> None:
    assert ("set_nice", 0) in done(spawn_effect(nice=0))


# -- the console ------------------------------------------------------------------------------------------


def standard_descriptors(calls: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return [call for call in calls if call[0] in ("setsid", "open", "take_terminal", "dup2")]


@pytest.mark.parametrize("console", [Console.NONE, Console.LOG])
def test_console_none_and_log_are_dev_null(console: Console) -> None:
    assert standard_descriptors(done(spawn_effect(console=console))) == [
        ("setsid",), ("dup2", NULL, 0), ("dup2", NULL, 1), ("dup2", NULL, 2)
    ]  # fmt: skip


def test_console_output_is_the_console_without_its_control() -> None:
    assert standard_descriptors(done(spawn_effect(console=Console.OUTPUT), open=60)) == [
        ("setsid",), ("open", "/dev/console", os.O_RDWR | os.O_NOCTTY),
        ("dup2", 60, 0), ("dup2", 60, 1), ("dup2", 60, 2),
    ]  # fmt: skip


def test_console_output_is_dev_null_where_there_is_no_console() -> None:
    calls = standard_descriptors(done(spawn_effect(console=Console.OUTPUT), open=refusal(errno.EIO)))
    assert calls[2:] == [("dup2", NULL, 0), ("dup2", NULL, 1), ("dup2", NULL, 2)]


def test_console_owner_controls_the_console_as_the_leader_of_its_session() -> None:
    assert standard_descriptors(done(spawn_effect(console=Console.OWNER), open=60)) == [
        ("setsid",), ("open", "/dev/console", os.O_RDWR | os.O_NOCTTY), ("take_terminal", 60),
        ("dup2", 60, 0), ("dup2", 60, 1), ("dup2", 60, 2),
    ]  # fmt: skip


@pytest.mark.parametrize("fails", ["open", "take_terminal"])
def test_console_owner_without_a_console_fails(fails: str) -> None:
    kernel = ScriptedKernel(**{fails: refusal(errno.EIO)})
    assert child(kernel, spawn_effect(console=Console.OWNER)) == "unable to open console: Input/output error"


def test_the_daemon_s_default_console_is_for_jobs_that_name_none() -> None:
    calls = done(spawn_effect(), Defaults(Console.OUTPUT, 0o022, "/", debug=False), open=60)
    assert ("dup2", 60, 1) in calls


# -- users and groups -------------------------------------------------------------------------------------


def ids(calls: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return [call for call in calls if call[0] in ("user", "group", "chown", "initgroups", "setgid", "setuid")]


def test_setuid_alone_takes_the_user_s_own_group_and_groups() -> None:
    calls = ids(done(spawn_effect(setuid="web")))
    assert calls == [("user", b"web"), ("initgroups", b"web", 34), ("setgid", 34), ("setuid", 33)]


def test_setgid_alone_keeps_the_user() -> None:
    calls = ids(done(spawn_effect(setgid="www"), user=User(b"root", 0, 0)))
    assert calls == [("group", b"www"), ("user", 0), ("initgroups", b"root", 35), ("setgid", 35)]


def test_setgid_alone_leaves_the_script_to_the_user() -> None:
    assert ("chown", 9, -1, 35) in done(spawn_effect(**LONG, setgid="www"))


def test_supplementary_groups_are_root_s_to_set() -> None:
    calls = ids(done(spawn_effect(**LONG, setuid="web", setgid="www"), is_root=False))
    assert calls == [("user", b"web"), ("group", b"www"), ("setgid", 35), ("setuid", 33)]


# -- failures ---------------------------------------------------------------------------------------------

FAILURES = [
    ("dup2", "unable to move script fd: %s", LONG),
    ("keep_on_exec", "unable to move script fd: %s", {"files": (20,)}),
    ("dup2", "unable to open console: %s", {}),
    ("set_limit", 'unable to set "nofile" resource limit: %s', EVERYTHING),
    ("set_nice", "unable to set priority: %s", EVERYTHING),
    ("set_oom_score", "unable to set oom adjustment: %s", EVERYTHING),
    ("chroot", "unable to change root directory: %s", EVERYTHING),
    ("chdir", "unable to change working directory: %s", {}),
    ("user", "unable to getpwnam: %s", EVERYTHING),
    ("user", "unable to getpwuid: %s", {"setgid": "www"}),
    ("group", "unable to getgrnam: %s", EVERYTHING),
    ("chown", "unable to chown: %s", {**LONG, "setuid": "web"}),
    ("initgroups", "unable to initgroups: %s", EVERYTHING),
    ("setgid", "unable to setgid: %s", EVERYTHING),
    ("setuid", "unable to setuid: %s", EVERYTHING),
    ("execve", "unable to execute: %s", {}),
]


@pytest.mark.parametrize(("fails", "reason", "options"), FAILURES)
def test_each_stage_that_fails_is_told_by_its_name_and_ends_the_child(fails: str, reason: str, options: Any) -> None:
    kernel = ScriptedKernel(**{fails: refusal(errno.EACCES)})
    assert child(kernel, spawn_effect(**options)) == reason % "Permission denied"
    last = max(place for place, call in enumerate(kernel.calls) if call[0] == fails)
    assert [call[0] for call in kernel.calls[last + 1 :]] == ["write", "exit"]


def test_every_stage_of_the_child_that_can_fail_has_its_test() -> None:
    effect = spawn_effect(**LONG, files=(20,), **EVERYTHING)
    cannot_fail = {"close", "own_uid", "umask", "setsid", "reset_signals", "exit"}
    used = {call[0] for call in [*done(effect), *done(spawn_effect(setgid="www"))]}
    assert used - cannot_fail == {fails for fails, _, _ in FAILURES}
    assert used <= METHODS


def test_an_unknown_user_is_told() -> None:
    assert child(ScriptedKernel(user=None), spawn_effect(setuid="nobody-here")) == "unable to find setuid user"


def test_an_unknown_group_is_told() -> None:
    assert child(ScriptedKernel(group=None), spawn_effect(setgid="none-here")) == "unable to find setgid group"


def test_a_daemon_whose_own_user_has_no_entry_cannot_tell_its_groups() -> None:
    reason = child(ScriptedKernel(user=None), spawn_effect(setgid="www"))
    assert reason == "unable to getpwuid: No such file or directory"


def test_the_group_is_looked_up_before_the_daemon_s_own_user() -> None:
    assert child(ScriptedKernel(group=None, user=None), spawn_effect(setgid="www")) == "unable to find setgid group"


@pytest.mark.parametrize(("method", "options"), [
    ("chroot", {"chroot": "/\xf6\udcff"}), ("chdir", {"chdir": "/\xf6\udcff"}), ("user", {"setuid": "/\xf6\udcff"}),
    ("group", {"setgid": "/\xf6\udcff"}),
])
def test_names_are_the_bytes_of_the_job_file_whatever_the_locale(method: str, options: Any) -> None:
    assert (method, b"/\xc3\xb6\xff") in done(spawn_effect(**options))


def test_the_root_of_a_session_is_what_the_system_has_told() -> None:
    assert ("chroot", os.fsencode("/srv/\xf6\udcff")) in done(spawn_effect(root="/srv/\xf6\udcff"))


def test_the_first_of_two_failures_is_the_one_told() -> None:
    kernel = ScriptedKernel(chroot=refusal(errno.ENOENT), chdir=refusal(errno.EACCES))
    assert child(kernel, spawn_effect(**EVERYTHING)) == "unable to change root directory: No such file or directory"


def test_a_refusal_to_trace_is_told_at_its_place_in_the_order() -> None:
    effect = spawn_effect(expect=Expect.FORK, chdir="/gone")
    kernel = ScriptedKernel(read=bytes([errno.EPERM]), chdir=refusal(errno.ENOENT))
    assert child(kernel, effect) == "unable to change working directory: No such file or directory"
    kernel = ScriptedKernel(read=bytes([errno.EPERM]))
    assert child(kernel, effect) == "unable to set trace: Operation not permitted"


def test_a_process_does_not_run_untraced_when_the_daemon_has_ended() -> None:
    assert child(ScriptedKernel(read=b""), spawn_effect(expect=Expect.FORK)) == "unable to set trace: No such process"


def test_running_out_of_memory_is_told() -> None:
    reason = child(ScriptedKernel(initgroups=MemoryError()), spawn_effect(setuid="web"))
    assert reason == "unable to initgroups: Cannot allocate memory"


def test_a_value_that_the_system_cannot_be_given_is_told() -> None:
    reason = child(ScriptedKernel(chdir=ValueError("embedded null byte")), spawn_effect(chdir="/a\0b"))
    assert reason == "unable to change working directory: Invalid argument"


def test_a_child_that_cannot_tell_why_it_fails_ends_all_the_same() -> None:
    kernel = ScriptedKernel(chdir=refusal(errno.ENOENT), write=refusal(errno.EPIPE))
    with pytest.raises(Exited):
        carry_out(kernel, steps(setup(kernel, spawn_effect())), REPORT)


# -- exec -------------------------------------------------------------------------------------------------


def executed(*answers: Any) -> tuple[list[tuple[Any, ...]], str | None]:
    """The programs tried with these answers, as (path, argv), and the reason reported."""
    kernel = ScriptedKernel(execve=InTurn(answers))
    reason = child(kernel, spawn_effect())
    return [call[1:3] for call in kernel.named("execve")], reason


ARGV = (b"program", b"--flag")


@pytest.mark.parametrize(
    "number", [errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.ESTALE, errno.ENODEV, errno.ETIMEDOUT]
)
def test_the_next_directory_of_path_is_searched(number: int) -> None:
    assert executed(refusal(number), Executed()) == ([(b"/one/program", ARGV), (b"/two/program", ARGV)], None)


def test_a_program_that_may_not_be_executed_is_told_though_it_is_nowhere_else() -> None:
    tried, reason = executed(refusal(errno.EACCES), refusal(errno.ENOENT))
    assert (len(tried), reason) == (2, "unable to execute: Permission denied")


def test_a_program_that_is_nowhere_is_told() -> None:
    assert executed(refusal(errno.ENOENT))[1] == "unable to execute: No such file or directory"


def test_another_error_ends_the_search() -> None:
    assert executed(refusal(errno.E2BIG)) == ([(b"/one/program", ARGV)], "unable to execute: Argument list too long")


def test_a_file_of_no_known_format_is_given_to_the_shell() -> None:
    assert executed(refusal(errno.ENOEXEC), Executed()) == (
        [(b"/one/program", ARGV), (b"/bin/sh", (b"/bin/sh", b"/one/program", b"--flag"))], None
    )  # fmt: skip


def test_a_command_without_a_word_is_told() -> None:
    kernel = ScriptedKernel(execve=refusal(errno.ENOENT))
    assert child(kernel, spawn_effect(text=" ")) == "unable to execute: No such file or directory"


# -- without a fork ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"limits": (ResourceLimit("core", 0, 0),)}, {"nice": 0}, {"oom_score": 1}, {"chroot": "/"}, {"chdir": "/"},
        {"setuid": "web"}, {"setgid": "www"}, {"console": Console.OUTPUT}, {"console": Console.OWNER},
        {"debug": True}, {"expect": Expect.FORK}, {"expect": Expect.DAEMON},
    ],
)  # fmt: skip
def test_what_only_a_forked_child_can_do_takes_a_fork(options: Any) -> None:
    defaults = Defaults(Console.LOG, 0o022, "/", debug=True)
    assert not needs_no_fork(setup(ScriptedKernel(), spawn_effect(**options), defaults))


@pytest.mark.parametrize(
    "options",
    [{}, {"umask": 0o077}, LONG, {"files": (20,)}, {"expect": Expect.STOP}, {"console": Console.NONE}, {"debug": True},
     {"oom_score": 0}, {"process": ProcessName.SECURITY, **EVERYTHING}],
)  # fmt: skip
def test_everything_else_needs_none(options: Any) -> None:
    assert needs_no_fork(setup(ScriptedKernel(), spawn_effect(**options)))
