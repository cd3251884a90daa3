"""Real job files, as their authors wrote them, read by the real daemon and shown by the real client.

They lie beside the project where they lie at all: UPSTARTD_CORPUS names their directory, else it is ../shared/corpus.
They are only read: nothing in them is ever started.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from support.daemon import Daemon

CORPUS = Path(os.environ.get("UPSTARTD_CORPUS", Path(__file__).parents[3] / "shared" / "corpus"))

pytestmark = pytest.mark.skipif(not (CORPUS / "verdicts.jsonl").exists(), reason=f"no real job files in {CORPUS}")


def verdicts() -> list[dict[str, Any]]:
    return [json.loads(line) for line in (CORPUS / "verdicts.jsonl").read_text(encoding="utf-8").splitlines()]


def test_real_job_files_are_shown_and_refused_as_by_the_reference(tmp_path: Path) -> None:
    accepted = {one["file"].removesuffix(".conf"): one["show_config"] for one in verdicts() if one["ok"]}
    refused = [one for one in verdicts() if not one["ok"]]
    assert len(accepted) > 300
    assert refused
    with Daemon(tmp_path, "--user", "--no-startup-event", "--append-confdir", str(CORPUS)) as daemon:
        shown = daemon.run("initctl", "show-config", "-e")
        assert shown == "".join(accepted[name] for name in sorted(accepted, key=str.encode))
        for one in refused:
            assert f"init:{CORPUS / one['file']}:{one['line']}: {one['message']}\n" in daemon.log()
            checked = daemon.try_run("init-checkconf", "--noscript", str(CORPUS / one["file"]))
            assert checked.returncode == 1
            assert f"\ninit:{one['file']}:{one['line']}: {one['message']}\n" in checked.stderr
