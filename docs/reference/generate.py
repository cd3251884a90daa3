"""Write the pages of the reference that are the daemon's own tables: stanzas.md and states.md.

Run it (`make docs`) when one of those tables has changed; a test says so when it has not been.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from upstartd.conf.stanzas import STANZAS, Repeated, Scope
from upstartd.engine.states import TRANSITIONS, WITHOUT_MAIN, Goal, State

if TYPE_CHECKING:
    from collections.abc import Iterable

HERE = Path(__file__).parent

STANZAS_INTRODUCTION = """\
# Stanzas

Each line of a [job file](job-files.md) is one of these. Where a stanza is given twice the later one counts, unless the
table says that it *adds*.
"""
STATES_INTRODUCTION = """\
# Goals and states

`web start/running` in the answer of `status` is a goal and a state: what is wanted of an instance, and how far it has
come. An instance goes from state to state by itself until it has to wait for something: the end of a process, or of
an event. Each time it leaves a state, the goal decides where to.
"""
WAITS = {
    State.STARTING: "the event `starting` is finished",
    State.SECURITY: "the security process has ended",
    State.PRE_START: "pre-start has ended",
    State.SPAWNED: "main is ready, in the way that `expect` says",
    State.POST_START: "post-start has ended",
    State.RUNNING: "main has ended, or the goal becomes stop",
    State.PRE_STOP: "pre-stop has ended",
    State.STOPPING: "the event `stopping` is finished",
    State.KILLED: "main has ended",
    State.POST_STOP: "post-stop has ended",
}


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table in Markdown."""
    def line(cells: Iterable[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"

    head = list(head)
    return line(head) + line("---" for _ in head) + "".join(map(line, rows))


def code(text: str) -> str:
    """Text as it is typed."""
    return f"`{text}`" if text else ""


def stanzas() -> str:
    """The page about stanzas."""
    page = STANZAS_INTRODUCTION
    for title, scope in (("The job", Scope.JOB), ("How its processes are set up", Scope.PROCESS)):
        page += f"\n## {title}\n\n" + table(
            ("stanza", "default", "what it says"),
            ((code(stanza.usage), stanza.default,
              stanza.help + (" *Adds.*" if stanza.repeated is Repeated.ADDS else ""))
             for stanza in STANZAS if stanza.scope is scope))
    return page


def states() -> str:
    """The page about goals and states."""
    goals = {Goal.STOP: "to, goal stop", Goal.START: "to, goal start", Goal.RESPAWN: "to, goal respawn",
             Goal.RESTART: "to, restart held up by pre-stop"}
    page = STATES_INTRODUCTION + "\n" + table(
        ("state", "is left when", *goals.values()),
        ((state.word, WAITS.get(state, "at once"), *(TRANSITIONS[state, goal].word for goal in goals))
         for state in State))
    page += "\nWhere there is no main process, or it has ended:\n\n"
    for (state, goal), target in WITHOUT_MAIN.items():
        page += f"- `{state.word}` is left for `{target.word}` with goal {goal.word}\n"
    page += "\n```mermaid\nstateDiagram-v2\n"
    for state in State:
        stop, start = TRANSITIONS[state, Goal.STOP], TRANSITIONS[state, Goal.START]
        arrows = [(stop, "")] if stop is start else [(stop, " : stop"), (start, " : start")]
        page += "".join(f"    {_node(state)} --> {_node(target)}{label}\n"
                        for target, label in arrows if target is not state)
    return page + "```\n"


def _node(state: State) -> str:
    """A state's name as Mermaid takes it."""
    return state.word.replace("-", "_")


PAGES = {"stanzas.md": stanzas, "states.md": states}

if __name__ == "__main__":
    for name, text in PAGES.items():
        (HERE / name).write_text(text())
