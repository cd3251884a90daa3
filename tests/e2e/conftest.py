"""What tests of real processes share."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def out() -> Iterator[Path]:
    """A file for the processes to write to, whoever they are; what is around tmp_path is for one user alone."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "out")
        path.touch()
        path.parent.chmod(0o755)
        path.chmod(0o666)
        yield path
