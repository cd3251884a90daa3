"""What `list --long` shows: beside where each instance stands, since when, and what its job is for.

Since when is told by the processes, which the daemon names: they are looked up on this machine. Not responsible for
the usual list (render.py, as_json.py). All of it is our own.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from upstartd_clients import as_json, processes, render
from upstartd_clients.output import Colour

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from upstartd_clients.interface import Status

_HEAD = ("JOB", "STATE", "PROCESS", "PID", "SINCE", "DESCRIPTION")


class Listing:
    """Instances with their jobs' names, None for a job without any, and the descriptions of jobs by their names."""

    def __init__(self, found: Sequence[tuple[str, Status | None]], descriptions: Mapping[str, str],
                 proc: str = "/proc") -> None:
        self._found = found
        self._descriptions = descriptions
        self._proc = proc

    def data(self) -> list[dict[str, Any]]:
        """As plain data: what `list --json` has, with the description, and since when each process exists."""
        listed = []
        for job, status in self._found:
            one = as_json.status(job, status)
            for process in one["processes"]:
                began = self._began(process["pid"])
                process["since"] = began and began.isoformat(timespec="seconds")
            listed.append(one | {"description": self._descriptions.get(job, "")})
        return listed

    def lines(self, tint: render.Tint = render.plain) -> Iterator[str]:
        """As a table: a line for each instance, with its first process, and one for each further process."""
        rows = [tuple((title, Colour.BOLD) for title in _HEAD)]
        for job, status in self._found:
            description = self._descriptions.get(job, "").replace("\n", " ")
            if status is None:
                rows.append(_row(job, "stop", "waiting", ("", "", ""), description))
                continue
            first, *others = [self._process(*process) for process in status.processes] or [("", "", "")]
            rows.append(_row(render.full_name(job, status.instance), status.goal, status.state, first, description))
            rows += [tuple((text, "") for text in ("", "", *other, "")) for other in others]
        return render.table(rows, tint)

    def _process(self, name: str, pid: int) -> tuple[str, str, str]:
        began = self._began(pid)
        return name, str(pid), f"{began:%Y-%m-%d %H:%M:%S}" if began else ""

    def _began(self, pid: int) -> datetime | None:
        """When a process began, by this machine's clock and time zone; None if it cannot be seen."""
        began = processes.began(pid, self._proc)
        return None if began is None else datetime.fromtimestamp(began).astimezone()


def _row(name: str, goal: str, state: str, process: tuple[str, str, str], description: str
         ) -> tuple[tuple[str, str], ...]:
    return ((name, ""), (f"{goal}/{state}", render.colour(goal, state)), *((text, "") for text in process),
            (description, ""))
