"""docs/how-to/job-does-not-start.md, played from top to bottom: every job fails, or waits, exactly as the page says."""

from __future__ import annotations

import re
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from support.daemon import Daemon
from support.pages import blocks, steps
from support.tutorial import ROOT, masked
from support.waiting import LIMIT, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BLOCKS = blocks((ROOT / "docs" / "how-to" / "job-does-not-start.md").read_text())
PROMPT = "$ "
INTERRUPTED = "^C\n"


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with Daemon(tmp_path, "--user", "--no-startup-event") as running:
        yield running


def write_file(daemon: Daemon, block: str) -> None:
    """Write the job or override file that a block shows: its first line is a comment with the name."""
    name, _, text = block.removeprefix("# ").partition("\n")
    (daemon.init / name).write_text(text)


def interrupt(daemon: Daemon, command: str) -> None:
    """Run `start NAME`, and press Ctrl-C when the job is on its way."""
    name = command.split()[-1]
    with subprocess.Popen(command.split(), env=daemon.environ, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT) as waits:
        try:
            wait_until(lambda: "start/spawned" in daemon.run("status", name), f"{name} to be on its way")
            assert waits.poll() is None
            waits.send_signal(signal.SIGINT)
            said, _ = waits.communicate(timeout=LIMIT)
        finally:
            waits.kill()
    assert (waits.returncode, said) == (-signal.SIGINT, b"")


def run_commands(daemon: Daemon, block: str) -> None:
    """Run what a block has after each prompt; what comes back is what it shows below."""
    for command, expected in steps(block):
        if expected == INTERRUPTED:
            interrupt(daemon, command)
            continue
        done = daemon.try_run("sh", "-c", command.replace("/var/log/upstart", f"{daemon.scratch}/log"))
        assert masked(done.stdout + done.stderr) == masked(expected), command


def wait_for_lines(daemon: Daemon, block: str, since: int) -> None:
    """Wait until the daemon has said each line of a block, in this order, among whatever else it said."""
    pattern = ".*".join(f"^{re.escape(line)}$" for line in masked(block).splitlines())
    wait_until(lambda: re.search(pattern, masked(daemon.log()[since:]), re.MULTILINE | re.DOTALL), block)


def watch(daemon: Daemon, event: str) -> None:
    """Start the job that an event is about once more, and wait until upstart-monitor shows that event."""
    shown = daemon.scratch / "shown"
    name, job = re.findall(r"^(\w+) JOB='(\w+)'", event)[0]
    with shown.open("w") as output, subprocess.Popen(["upstart-monitor", "--event", name], env=daemon.environ,
                                                     stdout=output) as monitor:
        try:
            wait_until(lambda: "# Columns" in shown.read_text(), "the monitor to listen")
            daemon.try_run("start", job)
            wait_until(lambda: f"\t{event}" in shown.read_text(), event)
        finally:
            monitor.kill()


def test_every_example_does_what_the_page_says(daemon: Daemon) -> None:
    said_before = 0
    for block in BLOCKS:
        if block.startswith("# "):
            write_file(daemon, block)
        elif block.startswith(PROMPT):
            said_before = len(daemon.log())
            run_commands(daemon, block)
        elif " JOB='" in block:
            watch(daemon, block)
        else:
            wait_for_lines(daemon, block, said_before)
    assert {path.name for path in daemon.init.iterdir()} == {
        f"{name}.conf" for name in ("prepare", "missing", "stranger", "crashes", "forks", "waits", "off")}
