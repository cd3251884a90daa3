"""Files that come with events, in real processes: events specification, section 11; design, 15."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.bus_host import MANAGER, ROOT, Client
from support.daemon import Daemon

if TYPE_CHECKING:
    from pathlib import Path


def emit(daemon: Daemon, event: str, *files: Path) -> None:
    """Emit the event once with each file, all of them at the same time, and wait until all are through."""
    name = daemon.environ["UPSTART_SESSION"].removeprefix("unix:abstract=")
    with Client.on_socket(name, enable_fds=True) as client:
        calls = []
        for number, path in enumerate(files):
            with path.open() as file:
                env = [f"N={number}"]
                calls.append(client.send(ROOT, MANAGER, "EmitEventWithFile", "sasbh", event, env, True, file))
        for call in calls:
            client.answer_to(call)


def test_files_of_many_events_reach_long_scripts_each_its_own(tmp_path: Path) -> None:
    notes = [tmp_path / f"note{number}" for number in range(12)]
    for number, note in enumerate(notes):
        note.write_text(f"text {number}\n")
    padding = "  # a line that says nothing\n" * 100  # A long script is read from a descriptor of its own.
    with Daemon(tmp_path, "--user", "--no-startup-event") as daemon:
        daemon.write_job("reader", f"start on take\ntask\ninstance $N\nscript\n{padding}"
                                   f"  cat /proc/self/fd/$UPSTART_FDS >{tmp_path}/out$N\nend script\n")
        emit(daemon, "take", *notes)
    assert [(tmp_path / f"out{number}").read_text() for number in range(12)] == [note.read_text() for note in notes]
