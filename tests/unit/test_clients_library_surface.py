"""What the library shows: names that are there, imports that cost nothing, two clients that are alike."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import upstartd_clients
from upstartd import errors as daemon_errors
from upstartd_clients import aio, upstart
from upstartd_clients.errors import DaemonError, UnknownJob, daemon_error

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "library.md"
# Answers that a program has no other way to act upon than to tell somebody: plain DaemonErrors.
WITHOUT_A_KIND = {"OperationFailed", "InternalError", "FileNotFound", "BadAddress", "LimitsExceeded"}


def leaves(kind: type[daemon_errors.UpstartdError]) -> list[type[daemon_errors.UpstartdError]]:
    below = kind.__subclasses__()
    return [leaf for each in below for leaf in leaves(each)] if below else [kind]


def test_every_public_name_is_there_and_described() -> None:
    page = PAGE.read_text()
    for name in upstartd_clients.__all__:
        assert inspect.getdoc(getattr(upstartd_clients, name)), name
        assert f"`{name}" in page, name
    assert set(upstartd_clients.__all__) <= set(dir(upstartd_clients))
    with pytest.raises(AttributeError, match="has no attribute 'frob'"):
        upstartd_clients.frob  # noqa: B018  # what is tested is the asking


def test_to_import_the_package_imports_no_module_of_it() -> None:
    program = "import sys; before = set(sys.modules); import upstartd_clients; print(*(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True)
    assert [name for name in done.stdout.split() if name.startswith("upstartd")] == ["upstartd_clients"]


@pytest.mark.parametrize("name", ["Upstart", "Job", "Instance", "Follower"])
def test_both_clients_have_the_same_methods_with_the_same_arguments(name: str) -> None:
    def methods(kind: type) -> dict[str, inspect.Signature]:
        found = {}
        for member, value in vars(kind).items():
            if not member.startswith("_") and not isinstance(value, property) and callable(getattr(kind, member)):
                found[member] = inspect.signature(getattr(kind, member)).replace(return_annotation=None)
        return found

    blocking, asynchronous = methods(getattr(upstart, name)), methods(getattr(aio, name))
    # A deadline is asyncio's own business in an event loop, and count() and index() are of every tuple.
    blocking.pop("next_by", None)
    assert blocking == asynchronous
    for member in asynchronous:
        if member != "follow":
            assert inspect.iscoroutinefunction(getattr(getattr(aio, name), member)), member


def test_an_error_is_of_the_kind_of_its_name() -> None:
    error = daemon_error("com.ubuntu.Upstart0_6.Error.UnknownJob", "Unknown job: web")
    assert (type(error), error.message) == (UnknownJob, "Unknown job: web")
    assert type(daemon_error("com.example.Error", "x")) is DaemonError


def test_what_the_daemon_can_answer_has_a_kind_or_needs_none() -> None:
    for leaf in leaves(daemon_errors.UpstartdError):
        if leaf.dbus_name and leaf.__name__ not in WITHOUT_A_KIND:
            assert type(daemon_error(leaf.dbus_name, "")) is not DaemonError, leaf
