"""Print the page at a URL, as soon as there is a server that answers: what `curl --retry-connrefused` does.

Usage: fetch.py URL
"""

from __future__ import annotations

import sys
import time
import urllib.error
import urllib.request

PATIENCE = 20.0  # seconds; a server that has just been started needs a moment until it listens


def fetch(url: str) -> str:
    """The page at `url`, fetched without any proxy; URLError when nobody has answered for long."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            with opener.open(url) as page:
                return str(page.read().decode())
        except urllib.error.URLError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


if __name__ == "__main__":
    print(fetch(sys.argv[1]), end="")
