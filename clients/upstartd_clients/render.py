"""The text of `status`, `list` and `show-config`, byte for byte as configuration managers parse it.

Pure: values in, lines out. Not responsible for JSON (as_json.py). Source: clients specification, sections 2 and 6;
configuration specification, sections 4 and 10. Colours and the table of `list --long` are our own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from upstartd_clients.output import Colour

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from upstartd_clients.interface import Condition, Conditions, Status

    Tint = Callable[[str, str], str]  # gives a text a colour, or leaves it as it is

# The processes that are the job's own business; any other is named on the first line of a status.
_UNNAMED_PROCESSES = frozenset({"main", "pre-start", "post-stop"})


def stopped(job: str) -> str:
    """The status of a job that has no instance."""
    return f"{job} stop/waiting"


def plain(text: str, _: str) -> str:
    """A text without its colour."""
    return text


def full_name(job: str, instance: str) -> str:
    """An instance's name as messages have it: that of its job, and its own if it has one."""
    return f"{job} ({instance})" if instance else job


def colour(goal: str, state: str) -> str:
    """The colour of a goal and a state: what runs is green, what is at rest has none, what is under way is yellow."""
    return {("start", "running"): Colour.GREEN, ("stop", "waiting"): ""}.get((goal, state), Colour.YELLOW)


def status_lines(status: Status, tint: Tint = plain) -> Iterator[str]:
    """The block for one instance: its state and first process, then a line for each further process."""
    first = ""
    if status.processes:
        process, pid = status.processes[0]
        first = f", process {pid}" if process in _UNNAMED_PROCESSES else f", ({process}) process {pid}"
    where = tint(f"{status.goal}/{status.state}", colour(status.goal, status.state))
    yield f"{full_name(status.job, status.instance)} {where}{first}"
    for process, pid in status.processes[1:]:
        yield f"\t{process} process {pid}"


def config_lines(job: Conditions, *, enumerate_events: bool) -> Iterator[str]:
    """The block for one job: its name, the events it emits, its conditions; with `enumerate_events` a line for
    each event of these."""
    from upstartd_clients.conditions import events  # not for every command

    yield job.name
    for emitted in job.emits:
        yield f"  emits {emitted}"
    for words, condition in (("start on", job.start_on), ("stop on", job.stop_on)):
        if enumerate_events:
            for event in events(condition).values():
                job_part = "" if event.job is None else f" {event.job}"
                yield f"  {words} {event.name} (job:{job_part}, env:{''.join(f' {other}' for other in event.others)})"
        elif condition:
            yield f"  {words} {bracketed(condition)}"


def bracketed(condition: Condition) -> str:
    """A condition as text, with brackets around every operator.

    Postfix order is almost the order of the text: an opening bracket goes before the first event below its
    operator, the operator's word before the first event on its right side, the closing bracket where it stands itself.
    """
    from upstartd_clients.conditions import operators  # not for every command

    before = [""] * len(condition)
    texts = [" ".join(item) for item in condition]
    for word, left, right, at in operators(condition):
        # Outer operators come later, and what they need goes further to the left.
        before[left] = "(" + before[left]
        before[right] = f" {word} " + before[right]
        texts[at] = ")"
    return "".join(prefix + text for prefix, text in zip(before, texts, strict=True))


def table(rows: Sequence[Sequence[tuple[str, str]]], tint: Tint = plain) -> Iterator[str]:
    """Rows of cells as lines, with the columns aligned. A cell is its text and its colour."""
    widths = [max(len(text) for text, _ in column) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(tint(text, colour) + " " * (width - len(text))
                        for (text, colour), width in zip(row, widths, strict=True)).rstrip()
