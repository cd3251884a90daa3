"""The example of docs/how-to/test-against-a-mock.md, run as it stands."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from support.daemon import PROGRAMS
from support.mock_upstart import PYTHON, why_no_mock
from support.waiting import LIMIT

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "how-to" / "test-against-a-mock.md").read_text()


@pytest.mark.skipif(bool(why_no_mock()), reason=why_no_mock())
def test_the_example_s_own_tests_pass(tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    environ = {"PATH": f"{PROGRAMS}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT / "clients"), "HOME": str(tmp_path)}
    done = subprocess.run([PYTHON, "-c", example], cwd=tmp_path, env=environ, capture_output=True, text=True,
                          timeout=LIMIT, check=False)
    assert done.returncode == 0, done.stderr
    assert "Ran 2 tests" in done.stderr


def test_the_page_has_every_method_of_the_mock() -> None:
    template = (ROOT / "packaging" / "dbusmock" / "upstart.py").read_text()
    for method in re.findall(r"^@dbus\.service\.method\(.*\ndef (\w+)", template, flags=re.MULTILINE):
        assert f"`{method}(" in PAGE, method
