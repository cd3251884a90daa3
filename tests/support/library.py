"""The library's two clients as one, so that a test of what they do is played with both."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any

import upstartd_clients
from upstartd_clients import aio, upstart

if TYPE_CHECKING:
    from collections.abc import Callable

_HAVE_METHODS = (upstart.Upstart, upstart.Job, upstart.Instance, upstart.Follower)


class InThread:
    """A blocking client, or what it gave, whose methods are called in a thread, and so can be awaited."""

    def __init__(self, blocking: Any) -> None:
        self._blocking = blocking

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._blocking, name)
        return self._method(found) if inspect.ismethod(found) else found

    def _method(self, method: Callable[..., Any]) -> Callable[..., Any]:
        if method.__name__ == "follow":  # the one that asks nobody
            return lambda: InThread(method())

        async def awaited(*arguments: Any, **options: Any) -> Any:
            plain = [one._blocking if isinstance(one, InThread) else
                     [each._blocking for each in one] if isinstance(one, list) and one and isinstance(one[0], InThread)
                     else one for one in arguments]
            return _wrapped(await asyncio.to_thread(method, *plain, **options))

        return awaited

    async def __aenter__(self) -> InThread:
        await asyncio.to_thread(self._blocking.__enter__)
        return self

    async def __aexit__(self, *why: object) -> None:
        await asyncio.to_thread(self._blocking.__exit__, *why)

    def __aiter__(self) -> InThread:
        return self

    async def __anext__(self) -> Any:
        return await asyncio.to_thread(self._blocking.__next__)


def _wrapped(value: Any) -> Any:
    if isinstance(value, list):
        return [_wrapped(each) for each in value]
    return InThread(value) if isinstance(value, _HAVE_METHODS) else value


async def connect_blocking(to: str, environ: dict[str, str]) -> Any:
    """The blocking client, awaited."""
    return InThread(await asyncio.to_thread(upstartd_clients.Upstart.connect, to, environ=environ))


async def connect_aio(to: str, environ: dict[str, str]) -> Any:
    """The asyncio client."""
    return await aio.Upstart.connect(to, environ=environ)
