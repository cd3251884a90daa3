"""What the reference made of job files, against what the parser makes of them.

The verdicts beside the recordings are ours to keep. The real files lie beside the project where they lie at all:
UPSTARTD_CORPUS names their directory, else it is ../shared/corpus.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from upstartd.conf.model import Condition, Operator
from upstartd.conf.parser import Parsed, parse

ROOT = Path(__file__).parents[2]
VERDICTS = ROOT / "tests" / "conformance" / "parser-verdicts.jsonl"
CORPUS = Path(os.environ.get("UPSTARTD_CORPUS", ROOT.parent / "shared" / "corpus"))


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def on_the_bus(condition: Condition) -> list[list[str]]:
    """A condition as its property has it."""
    return [[str(item)] if isinstance(item, Operator) else [item.name, *item.args] for item in condition]


def assert_agrees(parsed: Parsed, verdict: dict[str, Any]) -> None:
    """Accepted as by the reference or, if not, with its line (where it tells one) and message."""
    assert (parsed.config is not None) == verdict["ok"], parsed.diagnostics
    assert bool(parsed.diagnostics) != verdict["ok"]
    if not verdict["ok"]:
        first = parsed.diagnostics[0]
        assert first.message == verdict["message"]
        assert verdict["line"] in (first.line, None)


@pytest.mark.parametrize("verdict", read(VERDICTS), ids=lambda verdict: str(verdict["name"]))
def test_a_text_gets_the_verdict_of_the_reference(verdict: dict[str, Any]) -> None:
    parsed = parse(verdict["text"], "job.conf")
    assert_agrees(parsed, verdict)
    if parsed.config is not None:
        config = parsed.config
        assert {
            "description": config.description, "author": config.author, "version": config.version,
            "usage": config.usage, "emits": list(config.emits), "start_on": on_the_bus(config.start_on),
            "stop_on": on_the_bus(config.stop_on),
        } == {key: value for key, value in verdict["properties"].items() if key != "name"}


@pytest.mark.skipif(not (CORPUS / "verdicts.jsonl").exists(), reason=f"no real job files in {CORPUS}")
def test_real_job_files_get_the_verdicts_of_the_reference() -> None:
    verdicts = read(CORPUS / "verdicts.jsonl")
    assert len(verdicts) > 300
    for verdict in verdicts:
        text = (CORPUS / verdict["file"]).read_bytes().decode("utf-8", "surrogateescape")
        assert_agrees(parse(text, verdict["file"]), verdict)
