"""What Upstart 1.13.2 answered, recorded, against what upstartd answers (README.md beside this file).

Each scenario is a test of its own; those that were asked for are played in one go, several at once.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SCENARIOS = HERE / "scenarios"
PROGRAMS = Path(sys.executable).parent
CLIENTS = ["--daemon", str(PROGRAMS / "upstartd"), "--clients", str(PROGRAMS)]

AREAS = ("config", "events", "lifecycle", "clients", "runtime")
NAMES = [f"{area}/{path.stem}" for area in AREAS for path in sorted((SCENARIOS / area).glob("*.toml"))]


def _scenario(item: pytest.Item) -> str:
    """The scenario that a test is about; the empty text where it is about something else."""
    callspec = getattr(item, "callspec", None)
    return str(callspec.params.get("scenario", "")) if callspec else ""


@pytest.fixture(scope="session")
def differences(request: pytest.FixtureRequest) -> dict[str, str]:
    """What was found for each scenario that this run asks for: nothing where it agrees."""
    asked = {_scenario(item) for item in request.session.items}
    wanted = asked & set(NAMES)
    # Two daemons side by side need a network namespace each, which takes root, and a container may refuse it.
    at_once = 1 if subprocess.run(["unshare", "--net", "true"], capture_output=True, check=False).returncode else 2
    played = subprocess.run(
        [sys.executable, HERE / "play.py", "check", "-v", "-j", str(at_once), *CLIENTS,
         *(str(SCENARIOS / f"{name}.toml") for name in sorted(wanted))],
        capture_output=True, text=True, errors="replace", check=False)
    outcomes = re.split(r"^(ok  |FAIL) (\S+)\n", played.stdout, flags=re.MULTILINE)[1:]
    found = {name: "" if verdict == "ok  " else text.strip("\n")
             for verdict, name, text in zip(outcomes[::3], outcomes[1::3], outcomes[2::3], strict=True)}
    assert found.keys() == wanted, f"not everything was played:\n{played.stdout}\n{played.stderr}"
    return found


@pytest.mark.parametrize("scenario", NAMES)
def test_a_scenario_goes_as_it_did_with_upstart(scenario: str, request: pytest.FixtureRequest) -> None:
    found = request.getfixturevalue("differences")[scenario]
    if found:
        pytest.fail(f"{scenario} differs from the recording:\n{found}", pytrace=False)


def test_every_area_has_scenarios() -> None:
    assert {name.partition("/")[0] for name in NAMES} == set(AREAS)


def test_job_files_get_the_verdicts_that_upstart_gave_them() -> None:
    """Accepted or not, with which line and message; the properties on the bus; and what show-config prints."""
    held = subprocess.run(
        [sys.executable, HERE / "verdicts.py", *CLIENTS, "--log", "--checkconf",
         f"{PROGRAMS / 'init-checkconf'} --noscript", HERE / "parser-verdicts.jsonl"],
        capture_output=True, text=True, errors="replace", check=False)
    assert held.returncode == 0, f"{held.stdout}\n{held.stderr}"
    assert re.search(r"^(\d+) of \1 verdicts agree$", held.stdout, re.MULTILINE)
