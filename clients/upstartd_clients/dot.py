"""Jobs and events as a picture: from what `show-config -e` prints to a graph in Graphviz's language.

Pure: lines in, lines out. Not responsible for where the lines come from, nor for drawing (initctl2dot.py). Source:
clients specification, section 4; The DOT Language, graphviz.org.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from upstartd.engine.matching import glob_matches
from upstartd_clients.errors import LocalError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

# What has a colour of its own, and which one if nobody says otherwise.
COLOURS = {
    "emits": "green", "start-on": "blue", "stop-on": "red", "event": "thistle", "job": "#DCDCDC", "text": "black",
    "bg": "white", "event-text": "black", "job-text": "black",
}

_CONDITION = re.compile(r"  (start|stop) on (.+?) \(job:(?: (.*?))?, env:(.*)\)")
_EMITS = re.compile(r"  emits (.+)")
_STARTING = "starting"
# What characters that node names cannot have are called there.
_WORDS = {
    " ": "space", "!": "not", '"': "quote", "#": "hash", "$": "dollar", "%": "percent", "&": "and", "'": "apostrophe",
    "(": "open", ")": "close", "*": "star", "+": "plus", ",": "comma", "-": "_", ".": "dot", "/": "slash", ":": "colon",
    ";": "semicolon", "<": "less", "=": "equals", ">": "greater", "?": "question", "@": "at", "[": "from",
    "\\": "backslash", "]": "to", "^": "caret", "`": "backquote", "{": "begin", "|": "or", "}": "end", "~": "tilde",
}


class Cause(NamedTuple):
    """An event in a condition: which condition it is (`start` or `stop`), the job that it is about if it is one of the
    job events, and its other arguments as text."""

    condition: str
    event: str
    job: str | None
    env: str


class Job(NamedTuple):
    """A job: what it emits, and what starts and stops it."""

    name: str
    emits: list[str]
    causes: list[Cause]


def read(lines: Iterable[str]) -> list[Job]:
    """The jobs that such lines tell of; LocalError at a line that is none of them."""
    jobs: list[Job] = []
    for line in lines:
        if not line.strip():
            continue
        if not line.startswith((" ", "\t")):
            jobs.append(Job(line, [], []))
        elif jobs and (match := _CONDITION.fullmatch(line)):
            condition, event, job, env = match.groups()
            jobs[-1].causes.append(Cause(condition, event, job or None, env.strip()))
        elif jobs and (match := _EMITS.fullmatch(line)):
            jobs[-1].emits.append(match[1])
        else:
            raise LocalError(f"invalid line: {line}")
    return jobs


def graph(jobs: Iterable[Job], label: str, colours: Mapping[str, str], only: Collection[str] = ()) -> Iterator[str]:
    """The lines of a graph of these jobs, in which things have these colours (all of COLOURS).

    With `only` it is of the jobs of these names, of what starts and stops them, and of who emits that. LocalError if
    there is no such job.
    """
    by_name = {job.name: job for job in jobs}
    for name in only:
        if name not in by_name:
            raise LocalError(f"unknown job {name}")
    drawing = _Drawing(by_name, only, colours)
    drawing.draw()
    yield "digraph upstart {"
    yield (f"  graph [bgcolor={_quoted(colours['bg'])}, fontcolor={_quoted(colours['text'])}, labelloc=b, "
           f"label={_quoted(_plain(label))}];")
    yield f"  edge [fontcolor={_quoted(colours['text'])}];"
    yield from drawing.lines()
    yield "}"


def legend(colours: Mapping[str, str]) -> str:
    """What the shapes and colours mean."""
    return (f"Boxes are jobs, diamonds are events, dotted ones stand for several. {colours['emits']}: emits, "
            f"{colours['start-on']}: start on, {colours['stop-on']}: stop on")


class _Drawing:
    """A graph that comes to be. Nodes and edges are kept once each, in the order in which they were asked for."""

    def __init__(self, jobs: Mapping[str, Job], only: Collection[str], colours: Mapping[str, str]) -> None:
        self._jobs = jobs
        self._only = only
        self._colours = colours
        self._nodes: dict[tuple[str, str], str] = {}  # kind and name -> the node's name in the graph
        self._edges: dict[str, None] = {}

    def draw(self) -> None:
        """Draw everything."""
        wanted = [job for job in self._jobs.values() if not self._only or job.name in self._only]
        for job in wanted:
            self._job(job.name)
        # Which events are waited for, by whatever is drawn; those that are only emitted come as they are met.
        awaited = list(dict.fromkeys(cause.event for job in wanted for cause in job.causes if cause.job is None))
        for job in self._jobs.values():
            for emitted in job.emits:
                if not self._only:
                    self._edge(f"{self._job(job.name)}:job", self._event(emitted), "emits")
                for event in awaited:
                    if event == emitted or glob_matches(emitted, event):
                        self._edge(f"{self._job(job.name)}:job", self._event(event), "emits")
        for job in wanted:
            for cause in job.causes:
                self._cause(job, cause)

    def _cause(self, job: Job, cause: Cause) -> None:
        port, colour = f"{self._job(job.name)}:{cause.condition}", f"{cause.condition}-on"
        if cause.job is None:
            self._edge(self._event(cause.event), port, colour, cause.env)
            return
        other, text = f"{self._job(cause.job)}:job", f"{cause.event} {cause.env}".rstrip()
        # A job that waits for another one to begin is there before it.
        self._edge(*((port, other) if cause.event == _STARTING else (other, port)), colour, text)

    def _job(self, name: str) -> str:
        return self._node("job", name)

    def _event(self, name: str) -> str:
        return self._node("event", name)

    def _node(self, kind: str, name: str) -> str:
        """The name of a node in the graph, which is another one for every job and event."""
        if (kind, name) not in self._nodes:
            plain = found = f"{kind}_{node_name(name)}"
            number = 1
            while found in self._nodes.values():
                number += 1
                found = f"{plain}__{number}"
            self._nodes[kind, name] = found
        return self._nodes[kind, name]

    def _edge(self, begin: str, end: str, colour: str, text: str = "") -> None:
        label = f", label={_quoted(_plain(text))}" if text else ""
        self._edges[f"  {begin} -> {end} [color={_quoted(self._colours[colour])}{label}];"] = None

    def lines(self) -> Iterator[str]:
        """The graph, without what is round it."""
        for (kind, name), node in self._nodes.items():
            colours = (f"fillcolor={_quoted(self._colours[kind])}, "
                       f"fontcolor={_quoted(self._colours[f'{kind}-text'])}")
            if kind == "job":
                label = f"<job> {_in_record(name)}|{{<start> start on|<stop> stop on}}"
                yield f"  {node} [shape=record, style=filled, {colours}, label={_quoted(label)}];"
            else:
                style = '"filled,dotted"' if "*" in name else "filled"
                yield f"  {node} [shape=diamond, style={style}, {colours}, label={_quoted(_plain(name))}];"
        yield from self._edges


def node_name(name: str) -> str:
    """A name as a part of a node's name: letters, digits and underscores; all else becomes a word."""
    return "".join(character if character == "_" or (character.isascii() and character.isalnum())
                   else _WORDS.get(character, f"u{ord(character):x}") for character in name)


def _plain(text: str) -> str:
    """Text in which nothing has a meaning of its own, as a label reads it."""
    return text.replace("\\", "\\\\").replace("&", "&amp;")


def _in_record(text: str) -> str:
    """The same inside the label of a record, where more characters have one."""
    return re.sub(r"([{}|<> ])", r"\\\1", _plain(text))


def _quoted(text: str) -> str:
    """A string of the language."""
    return '"' + text.replace('"', '\\"').replace("\n", "\\n") + '"'
