"""The text of `status`, `list` and `show-config`, byte for byte as configuration managers parse it.

Pure: values in, lines out. Source: clients specification, sections 2 and 6; configuration specification,
sections 4 and 10.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from upstartd_clients.conditions import event_of, is_operator, operators

if TYPE_CHECKING:
    from collections.abc import Iterator

    from upstartd_clients.upstart import Condition, Conditions, Status

# The processes that are the job's own business; any other is named on the first line of a status.
_UNNAMED_PROCESSES = frozenset({"main", "pre-start", "post-stop"})


def stopped(job: str) -> str:
    """The status of a job that has no instance."""
    return f"{job} stop/waiting"


def status_lines(status: Status) -> Iterator[str]:
    """The block for one instance: its state and first process, then a line for each further process."""
    instance = f" ({status.instance})" if status.instance else ""
    first = ""
    if status.processes:
        process, pid = status.processes[0]
        first = f", process {pid}" if process in _UNNAMED_PROCESSES else f", ({process}) process {pid}"
    yield f"{status.job}{instance} {status.goal}/{status.state}{first}"
    for process, pid in status.processes[1:]:
        yield f"\t{process} process {pid}"


def config_lines(job: Conditions, *, enumerate_events: bool) -> Iterator[str]:
    """The block for one job: its name, the events it emits, its conditions; with `enumerate_events` a line for
    each event of these."""
    yield job.name
    for emitted in job.emits:
        yield f"  emits {emitted}"
    for words, condition in (("start on", job.start_on), ("stop on", job.stop_on)):
        if enumerate_events:
            for event in map(event_of, (item for item in condition if not is_operator(item))):
                job_part = "" if event.job is None else f" {event.job}"
                yield f"  {words} {event.name} (job:{job_part}, env:{''.join(f' {other}' for other in event.others)})"
        elif condition:
            yield f"  {words} {bracketed(condition)}"


def bracketed(condition: Condition) -> str:
    """A condition as text, with brackets around every operator.

    Postfix order is almost the order of the text: an opening bracket goes before the first event below its
    operator, the operator's word before the first event on its right side, the closing bracket where it stands itself.
    """
    before = [""] * len(condition)
    for word, left, right, _ in operators(condition):
        # Outer operators come later, and what they need goes further to the left.
        before[left] = "(" + before[left]
        before[right] = f" {word} " + before[right]
    return "".join(prefix + (")" if is_operator(item) else " ".join(item))
                   for prefix, item in zip(before, condition, strict=True))
