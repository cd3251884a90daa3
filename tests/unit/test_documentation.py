"""The documentation agrees with the tree: what it names is there, and what is there is named."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from upstartd.cli import EarlyEnd, parse

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
DIFFERENCES = (ROOT / "docs" / "differences.md").read_text()


def anchors(page: Path) -> set[str]:
    """What links into a page can name: its titles, as they are spelled there."""
    titles = re.findall(r"^#+ (.*)", page.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```|`[^`]*`", "", page.read_text(), flags=re.DOTALL)
    for target, anchor in re.findall(r"\]\(([^)#]*)(?:#([^)]*))?\)", text):
        if not target.startswith("https://"):
            there = page.parent / target if target else page
            assert there.exists(), target
            assert not anchor or anchor in anchors(there), f"{target}#{anchor}"


def _generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", ["docs/reference/stanzas.md", "docs/reference/states.md", "ARCHITECTURE.md"])
def test_a_page_made_from_the_tree_is_what_the_tree_gives(page: str) -> None:
    assert (ROOT / page).read_text() == _generator().PAGES[page](), "run `make docs`"


def test_the_map_has_every_module() -> None:
    modules = {path.relative_to(ROOT).as_posix() for package in ("upstartd", "clients/upstartd_clients")
               for path in (ROOT / package).rglob("*.py") if path.name != "__init__.py"}
    named = re.findall(r"^\| `(\S+\.py)` \|", (ROOT / "ARCHITECTURE.md").read_text(), flags=re.MULTILINE)
    assert sorted(named) == sorted(modules)


def test_the_daemon_s_page_has_every_option_and_names_no_other() -> None:
    with pytest.raises(EarlyEnd) as caught:
        parse(["--help"], {}, uid=0, pid=200)
    page = (ROOT / "docs" / "reference" / "daemon.md").read_text()
    options = re.compile(r"--[a-z][a-z-]*")
    assert set(options.findall(page)) == {*options.findall(caught.value.text), "--debug"}


def test_the_differences_are_numbered_without_a_gap_and_each_has_a_test_that_exists() -> None:
    rows = dict(re.findall(r"^\| (\d+) \|(.*)$", DIFFERENCES, flags=re.MULTILINE))
    assert rows
    assert sorted(map(int, rows)) == list(range(1, len(rows) + 1))
    for number, row in rows.items():
        tests = re.findall(r"`(\S+\.py)::(\w+)`", row.rpartition(" | ")[2])
        assert tests, f"nothing shows the difference {number}"
        for path, test in tests:
            assert f"def {test}(" in (ROOT / "tests" / path).read_text(), test
