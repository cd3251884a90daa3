"""Starting a process: which descriptors are made, which way is taken, and that nothing stays open."""

from __future__ import annotations

import errno
from typing import Any

import pytest

from support.scripted_kernel import Executed, Exited, InTurn, ScriptedKernel, refusal, spawn_effect
from upstartd.conf.model import Console, Expect
from upstartd.proc.command import SetupFailed
from upstartd.proc.setup import Defaults
from upstartd.proc.spawn import Child, OutOfResources, Spawner

DEFAULTS = Defaults(Console.LOG, 0o022, "/", debug=False)
LONG: dict[str, Any] = {"text": "one\ntwo", "script": True}
OPENING = ("pipe", "make_script_file", "open_null")


def spawner(**answers: Any) -> tuple[ScriptedKernel, Spawner]:
    kernel = ScriptedKernel(**answers)
    return kernel, Spawner(kernel, DEFAULTS)


def closed(kernel: ScriptedKernel) -> set[int]:
    return {fd for _, fd in kernel.named("close")}


# Descriptors are numbered from 101 on: 101 is /dev/null, which stays open.
NULL = 101


def test_a_forked_child_has_a_pipe_to_report_in_of_which_the_daemon_keeps_one_end() -> None:
    kernel, starts = spawner()
    assert starts.start(spawn_effect()) == Child(2001, 102)
    assert kernel.named("set_blocking") == [("set_blocking", 102, False)]
    assert closed(kernel) == {103}


def test_the_daemon_keeps_neither_script_nor_trace_open() -> None:
    kernel, starts = spawner()
    assert starts.start(spawn_effect(**LONG, expect=Expect.FORK)) == Child(2001, 103)
    assert closed(kernel) == {102, 104, 105, 106}  # the script, where the child reports, both ends of the answer
    assert kernel.named("make_script_file") == [("make_script_file", b"exec 9<&-\none\ntwo\n")]


def test_dev_null_is_opened_once() -> None:
    kernel, starts = spawner()
    starts.start(spawn_effect())
    starts.start(spawn_effect())
    assert len(kernel.named("open_null")) == 1


def test_what_others_left_open_is_closed_on_exec_before_anything_is_started() -> None:
    for answers in ({}, {"find_quick": b"/one/program"}):
        kernel, starts = spawner(**answers)
        starts.start(spawn_effect())
        names = [call[0] for call in kernel.calls if call[0] in ("close_all_on_exec", "fork", "start_quick")]
        assert names == ["close_all_on_exec", "start_quick" if answers else "fork"]


@pytest.mark.parametrize(("answers", "told"), [({}, b"\0"), ({"seize": refusal(errno.EPERM)}, bytes([errno.EPERM]))])
def test_a_traced_child_is_told_whether_it_is_traced(answers: dict[str, Any], told: bytes) -> None:
    kernel, starts = spawner(**answers)
    starts.start(spawn_effect(expect=Expect.DAEMON))
    assert [call for call in kernel.calls if call[0] in ("fork", "seize", "write")] == [
        ("fork",), ("seize", 2001), ("write", 105, told)
    ]  # fmt: skip


def test_the_child_carries_out_its_steps_and_never_comes_back() -> None:
    kernel, starts = spawner(fork=0)
    with pytest.raises((Executed, Exited)):
        starts.start(spawn_effect())
    assert ("execve", b"/one/program", (b"program", b"--flag"), {b"PATH": b"/one:/two"}) in kernel.calls
    assert ("exit", 255) in kernel.calls


# -- without a fork ---------------------------------------------------------------------------------------


def test_a_process_without_settings_is_started_without_a_fork() -> None:
    kernel, starts = spawner(find_quick=b"/bin/sh")
    assert starts.start(spawn_effect(**LONG, files=(20,), umask=0o077)) == Child(2001)
    assert kernel.named("start_quick", "fork", "pipe") == [
        ("start_quick", b"/bin/sh", (b"/bin/sh", b"-e", b"/proc/self/fd/9"), {b"PATH": b"/one:/two"},
         [(NULL, 0), (NULL, 1), (NULL, 2), (102, 9), (20, 20)], 0o077, "/")
    ]  # fmt: skip
    assert closed(kernel) == {102}


def test_a_process_without_a_script_gets_the_standard_descriptors_alone() -> None:
    kernel, starts = spawner(find_quick=b"/one/program")
    starts.start(spawn_effect())
    assert kernel.named("start_quick")[0][4] == [(NULL, 0), (NULL, 1), (NULL, 2)]


def test_the_program_for_that_is_looked_for_in_the_job_s_path() -> None:
    kernel, starts = spawner()
    starts.start(spawn_effect())
    assert kernel.named("find_quick") == [("find_quick", (b"/one/program", b"/two/program"))]


def test_a_process_with_settings_is_not_even_looked_for() -> None:
    kernel, starts = spawner(find_quick=b"/one/program")
    starts.start(spawn_effect(nice=1))
    assert not kernel.named("find_quick", "start_quick")


def test_what_cannot_be_started_without_a_fork_is_started_with_one() -> None:
    _, starts = spawner(find_quick=b"/one/program", start_quick=refusal(errno.EACCES))
    assert starts.start(spawn_effect()) == Child(2001, 102)


def test_a_command_without_a_word_is_left_to_a_child_to_fail() -> None:
    _, starts = spawner()
    assert starts.start(spawn_effect(text=" ")).report == 102


# -- failures ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fails", OPENING)
def test_a_lack_of_descriptors_is_a_passing_thing(fails: str) -> None:
    _, starts = spawner(**{fails: refusal(errno.EMFILE)})
    with pytest.raises(OutOfResources, match=r"^unable to create pipe: Too many open files$"):
        starts.start(spawn_effect(**LONG))


def test_a_lack_of_processes_is_a_passing_thing() -> None:
    _, starts = spawner(fork=refusal(errno.EAGAIN))
    with pytest.raises(OutOfResources, match=r"^unable to fork: Resource temporarily unavailable$"):
        starts.start(spawn_effect())


@pytest.mark.parametrize("fails", ["fork", "set_blocking", "close_all_on_exec"])
def test_nothing_stays_open_after_a_failure(fails: str) -> None:
    kernel, starts = spawner(**{fails: refusal(errno.ENOMEM)})
    with pytest.raises(OutOfResources):
        starts.start(spawn_effect(**LONG, expect=Expect.FORK))
    opened = set(range(NULL + 1, kernel.fresh_fd()))
    assert closed(kernel) == opened


def test_the_second_pipe_of_a_traced_process_may_fail_as_well() -> None:
    kernel, starts = spawner(pipe=InTurn([(110, 111), refusal(errno.EMFILE)]))
    with pytest.raises(OutOfResources):
        starts.start(spawn_effect(expect=Expect.FORK))
    assert closed(kernel) == {110, 111}


@pytest.mark.parametrize("options", [{"text": "a\0b"}, {"env": ("A=\0",)}])
def test_a_zero_byte_can_never_be_run(options: dict[str, Any]) -> None:
    kernel, starts = spawner()
    with pytest.raises(SetupFailed, match=r"^unable to execute: Invalid argument$"):
        starts.start(spawn_effect(**options))
    assert not kernel.calls
