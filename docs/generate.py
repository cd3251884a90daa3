"""Write what the documentation takes from the tree itself, so that there is one source of each.

reference/stanzas.md and reference/states.md are the daemon's own tables; the map in ARCHITECTURE.md is what the
modules say of themselves. Run it (`make docs`) when one of these has changed; a test tells when that was forgotten.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

from upstartd.conf.stanzas import STANZAS, Repeated, Scope
from upstartd.engine.states import TRANSITIONS, WITHOUT_MAIN, Goal, State

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path(__file__).parents[1]
# The parts of the map, in the order in which a reader meets them.
PARTS = {
    "The daemon": "upstartd",
    "Job files: from the disk to definitions": "upstartd/conf",
    "The engine: what follows from what happens, pure": "upstartd/engine",
    "Processes": "upstartd/proc",
    "D-Bus": "upstartd/bus",
    "The daemon's state as text": "upstartd/state",
    "The clients": "clients/upstartd_clients",
}

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


def module_map() -> str:
    """Every module, with the first paragraph of its docstring."""
    found = ""
    for title, folder in PARTS.items():
        found += f"### {title}\n\n" + table(("module", "is responsible for"), (
            (code(path.relative_to(ROOT).as_posix()), _responsibility(path))
            for path in sorted((ROOT / folder).glob("*.py")) if path.name != "__init__.py")) + "\n"
    return found


def _responsibility(module: Path) -> str:
    """What a module's docstring says first, on one line."""
    documented = ast.get_docstring(ast.parse(module.read_text()))
    if not documented:
        raise SystemExit(f"{module} has no docstring")
    return " ".join(documented.partition("\n\n")[0].split())


def architecture() -> str:
    """ARCHITECTURE.md with its map as it is now."""
    begin, end = "<!-- made by `make docs` -->\n", "<!-- end -->"
    return re.sub(f"(?<={re.escape(begin)}).*(?={end})", lambda _: module_map(),
                  (ROOT / "ARCHITECTURE.md").read_text(), flags=re.DOTALL)


PAGES = {
    "docs/reference/stanzas.md": stanzas,
    "docs/reference/states.md": states,
    "ARCHITECTURE.md": architecture,
}

if __name__ == "__main__":
    for name, page in PAGES.items():
        (ROOT / name).write_text(page())
