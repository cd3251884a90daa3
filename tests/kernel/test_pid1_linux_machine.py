"""The real machine (upstartd/machine.py), as far as it can be tried where one is not process 1."""

from __future__ import annotations

import contextlib
import errno
import os
import pty
import signal
import subprocess
import sys
import termios
import time
from typing import TYPE_CHECKING

import pytest

from support.waiting import LIMIT
from upstartd.machine import LinuxMachine

if TYPE_CHECKING:
    from pathlib import Path

machine = LinuxMachine()


def in_python(code: str, *arguments: str) -> str:
    """What a Python program prints that has `machine`."""
    begin = "import os, signal, sys, time\nfrom upstartd.machine import LinuxMachine\nmachine = LinuxMachine()\n"
    return subprocess.run([sys.executable, "-c", begin + code, *arguments], stdin=subprocess.DEVNULL, check=True,
                          capture_output=True, text=True, timeout=LIMIT).stdout


def test_a_process_that_is_renamed_shows_its_new_name_and_none_of_its_arguments() -> None:
    said = in_python(
        "before = open('/proc/self/environ', 'rb').read()\n"
        "machine.rename('init', '/sbin/init')\n"
        "print(open('/proc/self/comm').read().strip(), open('/proc/self/cmdline', 'rb').read())\n"
        "print(sys.argv[1:], sys.orig_argv[-1], open('/proc/self/environ', 'rb').read() == before)",
        "--debug", "secret",
    )  # fmt: skip
    assert said.splitlines() == ["init b'/sbin/init\\x00'", "['--debug', 'secret'] secret True"]


def test_a_name_that_is_longer_than_the_command_line_was_is_cut_off() -> None:
    said = in_python("machine.rename('init', '/' * 100_000)\n"
                     "line = open('/proc/self/cmdline', 'rb').read()\nprint(set(line), len(line) < 2000)")
    assert said == "{0, 47} True\n"


def test_a_session_is_led_by_whoever_asks_for_that_and_asking_again_is_no_error() -> None:
    assert in_python("if os.fork() == 0:\n"
                     "    machine.new_session()\n    machine.new_session()\n    print(os.getsid(0) == os.getpid())\n"
                     "else:\n    os.wait()") == "True\n"


def test_a_console_becomes_sane_and_keeps_its_speed() -> None:
    screen, console = pty.openpty()
    try:
        settings = termios.tcgetattr(console)
        settings[0] = settings[1] = settings[3] = 0
        settings[4] = settings[5] = termios.B115200
        settings[6][termios.VINTR] = b"\0"
        termios.tcsetattr(console, termios.TCSANOW, settings)
        machine.make_sane(console)
        now = termios.tcgetattr(console)
        assert (now[4], now[5], now[6][termios.VINTR]) == (termios.B115200, termios.B115200, b"\x03")
        assert now[3] & (termios.ICANON | termios.ECHO | termios.ISIG) == termios.ICANON | termios.ECHO | termios.ISIG
        os.write(console, b"line\n")
        assert os.read(screen, 100) == b"line\r\n"
    finally:
        os.close(screen)
        os.close(console)


def test_a_console_that_refuses_is_an_error_like_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise termios.error(errno.EIO, os.strerror(errno.EIO))

    screen, console = pty.openpty()
    monkeypatch.setattr(termios, "tcsetattr", refuse)
    with pytest.raises(OSError, match="Input/output error") as caught:
        machine.make_sane(console)
    assert caught.value.errno == errno.EIO
    os.close(screen)
    os.close(console)


def test_what_is_no_terminal_stays_as_it_is(tmp_path: Path) -> None:
    descriptor = machine.open(os.devnull, os.O_RDWR)
    machine.make_sane(descriptor)
    machine.close(descriptor)
    assert not machine.is_open(descriptor)


def test_a_file_is_opened_under_a_number_that_no_job_can_mean_and_closed_on_exec() -> None:
    descriptor = machine.open(os.devnull, os.O_RDWR)
    assert descriptor >= 10
    assert not os.get_inheritable(descriptor)
    reader, writer = os.pipe()
    machine.become(descriptor, writer)
    assert os.get_inheritable(writer)
    for one in (descriptor, reader, writer):
        os.close(one)


def test_mount_points_are_found() -> None:
    assert {"/", "/proc"} <= set(machine.mount_points())
    assert (machine.is_mount_point("/proc"), machine.is_mount_point("/proc/self")) == (True, False)


def test_what_a_child_does_is_done_and_its_error_is_told(tmp_path: Path) -> None:
    machine.in_child(lambda: (tmp_path / "done").touch(), LIMIT)
    assert (tmp_path / "done").exists()
    with pytest.raises(IsADirectoryError):
        machine.in_child(tmp_path.read_text, LIMIT)
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        machine.in_child(lambda: os.environ["NOBODY_SETS_THIS"], LIMIT)


def test_a_child_that_does_not_come_back_is_left_behind() -> None:
    reader, writer = os.pipe()

    def hang() -> None:
        os.write(writer, b"%d" % os.getpid())
        time.sleep(LIMIT)

    with pytest.raises(TimeoutError):
        machine.in_child(hang, 0.2)
    pid = int(os.read(reader, 20))
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(reader)
    os.close(writer)


def test_children_are_collected_until_there_are_none_or_the_time_is_over() -> None:
    said = in_python(
        "print(machine.collect_all(0))\n"
        "children = [os.fork() or os._exit(0) for _ in range(3)]\n"
        "print(machine.collect_all(20))\n"
        "stays = os.fork() or time.sleep(20)\n"
        "print(machine.collect_all(0.1))\n"
        "os.kill(stays, signal.SIGKILL)\n"
        "print(machine.collect_all(20))"
    )
    assert said.split() == ["True", "True", "False", "True"]


def test_a_crash_is_reported_where_that_was_asked_for(tmp_path: Path) -> None:
    report = tmp_path / "report"
    with contextlib.suppress(subprocess.CalledProcessError):
        in_python("machine.report_crashes(os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT))\n"
                  "os.kill(os.getpid(), signal.SIGABRT)", str(report))
    assert report.read_text().startswith("Fatal Python error: Aborted\n")


def test_a_refusal_is_an_error_with_its_number() -> None:
    with pytest.raises(OSError, match=r"No such file or directory|Operation not permitted") as caught:
        machine.unmount("/nonexistent/place")
    assert caught.value.errno in (errno.ENOENT, errno.EPERM)
