"""The output of real jobs in real logs: all of it, whatever it is, whoever rotates the logs, and on full disks."""

from __future__ import annotations

import hashlib
import os
import re
import resource
import subprocess
from typing import TYPE_CHECKING

import pytest

from support.daemon import Daemon
from support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ECHO = "exec sh -c 'while :; do cat {pipe}; done'\n"


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with Daemon(tmp_path, "--user") as one:
        yield one


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    return tmp_path / "log"


def may_mount() -> bool:
    return not subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode


needs_mounts = pytest.mark.skipif(not may_mount(), reason="a mount namespace of one's own takes root")


class Speaker:
    """A running job that says what it is told to."""

    def __init__(self, daemon: Daemon, name: str = "speaker") -> None:
        self._pipe = daemon.scratch / f"{name}.pipe"
        os.mkfifo(self._pipe)
        daemon.write_job(name, ECHO.format(pipe=self._pipe))
        daemon.run("initctl", "start", name)

    def say(self, text: str) -> None:
        self._pipe.write_text(f"{text}\n")


def has(path: Path, content: bytes, daemon: Daemon) -> None:
    """Wait until a log has this content, and no other."""
    wait_until(lambda: daemon.read(path) == content, f"{path.name} to have {content!r}, not {daemon.read(path)!r}")


def test_output_is_there_while_the_job_runs(daemon: Daemon, logs: Path) -> None:
    speaker = Speaker(daemon)
    assert not (logs / "speaker.log").exists()
    for _ in range(2):
        speaker.say("hello")
    has(logs / "speaker.log", b"hello\nhello\n", daemon)


def test_a_log_has_every_byte_as_it_was_written_and_an_unfinished_line_goes_on(daemon: Daemon, logs: Path) -> None:
    (daemon.scratch / "bytes").write_bytes(bytes(range(256)) * 2)
    daemon.write_job("binary", f"task\nexec cat {daemon.scratch}/bytes\n")
    for times in (1, 2):
        daemon.run("initctl", "start", "binary")
        assert (logs / "binary.log").read_bytes() == bytes(range(256)) * 2 * times


def test_all_processes_of_a_job_write_to_its_log_in_their_order(daemon: Daemon, logs: Path) -> None:
    daemon.write_job("web", "\n".join(
        ["pre-start exec echo pre-start", "exec sh -c 'echo main; exec sleep 1000'", "post-start exec echo post-start",
         "pre-stop exec echo pre-stop >&2", "post-stop exec echo post-stop"]))  # fmt: skip
    daemon.run("initctl", "start", "web")
    wait_until(lambda: (logs / "web.log").read_bytes().count(b"\n") == 3, "main and post-start to have spoken")
    daemon.run("initctl", "stop", "web")
    lines = (logs / "web.log").read_text().split()
    assert (lines[0], sorted(lines[1:3]), lines[3:]) == ("pre-start", ["main", "post-start"], ["pre-stop", "post-stop"])


def test_much_output_of_a_task_is_all_in_its_log_when_the_task_is_done(daemon: Daemon, logs: Path) -> None:
    source = daemon.scratch / "source"
    source.write_bytes(os.urandom(1 << 20) * 20)
    daemon.write_job("flood", f"task\nexec cat {source}\n")
    daemon.run("initctl", "start", "flood")
    digests = {hashlib.sha256(path.read_bytes()).hexdigest() for path in (source, logs / "flood.log")}
    assert len(digests) == 1


def test_what_a_job_leaves_behind_is_logged_as_long_as_it_writes(daemon: Daemon, logs: Path) -> None:
    pipe = daemon.scratch / "go"
    os.mkfifo(pipe)
    daemon.write_job("leaky", f"task\nscript\n  echo main\n  (read line <{pipe}; echo $line) &\nend script\n")
    daemon.run("initctl", "start", "leaky")
    assert (logs / "leaky.log").read_bytes() == b"main\n"
    pipe.write_text("child\n")
    has(logs / "leaky.log", b"main\nchild\n", daemon)


def test_logs_can_be_rotated(daemon: Daemon, logs: Path) -> None:
    speaker = Speaker(daemon)
    log, rotated = logs / "speaker.log", logs / "speaker.log.1"
    speaker.say("one")
    has(log, b"one\n", daemon)
    log.rename(rotated)
    speaker.say("two")
    has(rotated, b"one\ntwo\n", daemon)
    assert not log.exists()
    rotated.unlink()
    speaker.say("three")
    has(log, b"three\n", daemon)
    log.write_bytes(b"")  # as `copytruncate` does it
    speaker.say("four")
    has(log, b"four\n", daemon)


def test_a_log_belongs_to_the_daemon_alone_but_for_its_group(daemon: Daemon, logs: Path) -> None:
    daemon.write_job("web", "task\numask 000\nexec echo x\n")
    daemon.run("initctl", "start", "web")
    found = (logs / "web.log").stat()
    assert (found.st_mode & 0o7777, found.st_uid) == (0o640, os.geteuid())


def test_an_instance_with_a_name_that_no_file_can_have_runs_and_is_logged(daemon: Daemon, logs: Path) -> None:
    daemon.write_job("web", "task\ninstance $N\nexec echo here\n")
    daemon.run("initctl", "start", "web", f"N={'n' * 300}")
    (log,) = logs.iterdir()
    assert log.read_bytes() == b"here\n"
    assert f"init: cannot give a log its own name, which is too long: it is {log}\n" in daemon.log()


def test_a_link_in_place_of_a_log_is_not_followed(daemon: Daemon, logs: Path) -> None:
    (logs / "web.log").symlink_to(daemon.scratch / "precious")
    daemon.write_job("web", "task\nexec echo x\n")
    daemon.run("initctl", "start", "web")
    assert not (daemon.scratch / "precious").exists()
    assert f"Output of web is dropped: cannot write {logs}/web.log: Too many levels of symbolic links" in daemon.log()


def test_a_user_s_own_log_directory_is_made(tmp_path: Path) -> None:
    with Daemon(tmp_path, "--user", logdir=False) as daemon:
        daemon.write_job("web", "task\nexec echo x\n")
        daemon.run("initctl", "start", "web")
        assert (tmp_path / "cache" / "upstart" / "web.log").read_bytes() == b"x\n"


def test_the_last_words_of_jobs_are_logged_when_the_daemon_ends(daemon: Daemon, logs: Path) -> None:
    daemon.write_job("web", "pre-stop exec echo pre-stop\nexec sleep 1000\npost-stop exec echo post-stop\n")
    daemon.run("initctl", "start", "web")
    assert daemon.end() == 0
    assert (logs / "web.log").read_bytes() == b"pre-stop\npost-stop\n"


# -- very many ----------------------------------------------------------------------------------------------


@pytest.fixture
def few_files() -> Iterator[int]:
    """What is started meanwhile may have few files open, unless it asks for more."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
    yield 256
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_five_hundred_jobs_are_logged_at_once(few_files: int, tmp_path: Path, logs: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    script = f"script\n  ulimit -n\n  read nothing <{gate} || true\n  seq 100\nend script\n"
    with Daemon(tmp_path, "--user") as daemon:
        for n in range(500):
            daemon.write_job(f"job{n}", f"start on go\n{script}")
        daemon.run("initctl", "emit", "go")
        gate.write_bytes(b"")
        assert "job7 " in daemon.run("initctl", "status", "job7")
        whole = b"%d\n" % few_files + b"".join(b"%d\n" % n for n in range(1, 101))
        for n in range(500):
            has(logs / f"job{n}.log", whole, daemon)
    assert "pty" not in daemon.log()


# -- disks that cannot be written ---------------------------------------------------------------------------


def test_notify_disk_writeable_fails_until_the_disk_is_and_then_writes_what_was_kept(daemon: Daemon,
                                                                                     logs: Path) -> None:
    logs.rmdir()
    logs.symlink_to("/sys")  # where nobody may make a file
    daemon.write_job("early", "task\nexec echo early\n")
    daemon.run("initctl", "start", "early")
    done = daemon.try_run("initctl", "notify-disk-writeable")
    assert done.returncode == 1
    assert done.stderr in ("initctl: Permission denied\n", "initctl: Operation not permitted\n")
    logs.unlink()
    logs.mkdir()
    daemon.run("initctl", "notify-disk-writeable")
    assert (logs / "early.log").read_bytes() == b"early\n"


@needs_mounts
def test_a_full_disk_costs_output_but_neither_the_job_nor_what_comes_later(tmp_path: Path, logs: Path) -> None:
    with Daemon(tmp_path, "--user", prepare=f"mount -t tmpfs -o size=64k none {logs}") as daemon:
        speaker = Speaker(daemon)
        speaker.say("first")
        has(logs / "speaker.log", b"first\n", daemon)
        daemon.write_job("flood", "task\nexec head -c 1000000 /dev/zero\n")
        daemon.run("initctl", "start", "flood")
        assert 0 < len(daemon.read(logs / "flood.log")) < 65536
        said = f"init: Output of flood is dropped: cannot write {logs}/flood.log: No space left on device\n"
        assert daemon.log() == f"init: Failed to write to log file {logs}/flood.log\n{said}"
        os.truncate(f"/proc/{daemon.process.pid}/root{logs}/flood.log", 0)
        speaker.say("second")
        has(logs / "speaker.log", b"first\nsecond\n", daemon)
        assert "speaker start/running" in daemon.run("initctl", "status", "speaker")


@needs_mounts
def test_without_terminals_jobs_run_and_the_log_says_that_their_output_is_not_kept(tmp_path: Path, logs: Path) -> None:
    with Daemon(tmp_path, "--user", prepare="mount -t tmpfs none /dev/pts") as daemon:
        daemon.write_job("web", "task\nexec echo lost\n")
        for _ in range(2):
            daemon.run("initctl", "start", "web")
        assert daemon.log() == "init: Failed to create pty - disabling logging for job\n"
    assert not list(logs.iterdir())


def test_what_a_client_says_in_a_job_s_log_is_what_it_says_into_a_pipe(tmp_path: Path) -> None:
    with Daemon(tmp_path, "--user", environ={"TERM": "xterm"}) as daemon:
        daemon.write_job("asks", "task\nscript\n  initctl list\n  start nothing || :\nend script\n")
        daemon.run("start", "asks")
        said = (tmp_path / "log" / "asks.log").read_text()
    assert re.fullmatch(r"asks start/running, process \d+\nstart: Unknown job: nothing\n", said)
