"""The base set of system jobs (packaging/init) and the recipe of a container, as texts; tests/e2e boots them."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from upstartd.conf.model import EventPattern, JobConfig
from upstartd.conf.parser import parse
from upstartd_clients.check_config import OWN_EVENTS

ROOT = Path(__file__).parents[2]
PATHS = sorted((ROOT / "packaging" / "init").glob("*.conf"))
NAMES = {path.stem for path in PATHS}
# What process 1 tells by an event of its own on the way down (engine/ending.py).
FROM_THE_END = {"shutdown"}


def config(name: str) -> JobConfig:
    parsed = parse((ROOT / "packaging" / "init" / f"{name}.conf").read_text(), f"{name}.conf")
    assert parsed.config is not None, parsed.diagnostics
    assert parsed.diagnostics == ()
    return parsed.config


def patterns(one: JobConfig) -> list[EventPattern]:
    return [item for condition in (one.start_on, one.stop_on) for item in condition if isinstance(item, EventPattern)]


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_base_job_is_right_and_says_what_it_is_for(name: str) -> None:
    one = config(name)
    assert one.description
    assert one.author == "The upstartd authors"
    for command in one.processes.values():
        checked = subprocess.run(["/bin/sh", "-n"], input=command.text, capture_output=True, text=True, check=False)
        assert (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_base_job_waits_for_nothing_that_nobody_makes(name: str) -> None:
    made = OWN_EVENTS | FROM_THE_END | {event for other in NAMES for event in config(other).emits}
    for pattern in patterns(config(name)):
        assert pattern.name in made
        if pattern.name in ("starting", "started", "stopping", "stopped"):
            assert pattern.args[0] in NAMES


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_base_job_declares_the_events_that_it_emits(name: str) -> None:
    one = config(name)
    text = "\n".join(command.text for command in one.processes.values())
    emitted = set(re.findall(r"initctl emit (?:--no-wait )?([a-z][\w-]+)", text))
    assert emitted | set(re.findall(r"(?<![\w-])tell (mount\w+)", text)) == {*one.emits} - FROM_THE_END


def test_the_events_that_jobs_in_the_field_wait_for_are_all_made() -> None:
    made = {event for name in NAMES for event in config(name).emits}
    assert made >= {"virtual-filesystems", "local-filesystems", "remote-filesystems", "all-swaps", "filesystem",
                    "mounted", "net-device-up", "static-network-up", "runlevel", "shutdown", "container",
                    "not-container"}


def test_the_recipe_of_a_container_copies_what_is_there_and_runs_what_is_installed() -> None:
    recipe = (ROOT / "packaging" / "container" / "Containerfile").read_text()
    sources = [source for source, _ in re.findall(r"^COPY (?!--from)(\S+) (\S+)$", recipe, flags=re.MULTILINE)]
    assert sources == [".", "packaging/init/"]
    assert all((ROOT / source).is_dir() for source in sources)
    scripts = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"])
    linked = re.search(r"for program in ([\w\s-]+);", recipe.replace("\\\n", ""))
    assert linked is not None
    assert {*linked[1].split()} <= scripts
    assert re.findall(r'^ENTRYPOINT \["(.+)"\]$', recipe, flags=re.MULTILINE) == ["/opt/upstartd/bin/upstartd"]
