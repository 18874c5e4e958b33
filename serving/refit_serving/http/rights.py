"""The right that each route requires, checked on the route that the router has matched.

A check that read the path by itself could read it differently than the router, and let a key through that has another
right. So the middleware only refuses paths in an unusual spelling, and notes which rights the key has.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

from fastapi import HTTPException
from fastapi.routing import APIRoute
from starlette.types import Receive, Scope, Send

from refit_serving.http.api_keys import RIGHTS

METHODS = frozenset({"GET", "HEAD", "POST"})
"""The methods of all routes; any other is refused before the router."""
GRANTED = "refit.rights"
"""The key of an ASGI scope whose value is the rights of the request; a request without it has none."""

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])

_PATH = re.compile(r"/|(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9._~-]+)+")
_ATTRIBUTE = "__refit_right__"


def require_right(*rights: str) -> Callable[[Endpoint], Endpoint]:
    """Makes a decorator that notes which right an endpoint requires.

    Args:
        rights: One of `RIGHTS`; none for what anybody may ask.

    Returns:
        The decorator; it stands below the one of the route.
    """

    def decorate(endpoint: Endpoint) -> Endpoint:
        setattr(endpoint, _ATTRIBUTE, frozenset(rights))
        return endpoint

    return decorate


class AuthorizedRoute(APIRoute):
    """A route that answers only requests with the right of its endpoint; without a decorator a route requires all."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request that this route has matched.

        Args:
            scope: The ASGI scope of the request.
            receive: Gives the body.
            send: Takes the response.

        Raises:
            HTTPException: With 403 if the request lacks the right.
        """
        required: frozenset[str] = getattr(self.endpoint, _ATTRIBUTE, frozenset(RIGHTS))
        missing = min(required - scope.get(GRANTED, frozenset()), default=None)
        if missing is not None:
            fix = f"grant it with `refit serve-key NAME --may {missing}`"
            raise HTTPException(403, f"this API key lacks the right {missing!r}: {fix}")
        await super().handle(scope, receive, send)


def is_plain_path(scope: Scope) -> bool:
    r"""Tells whether a path is spelled in the only way that names a route.

    Control characters, percent-encoding, empty segments, `.` and `..` are refused: two readers of such a path may
    disagree about the route that it names.

    Args:
        scope: The ASGI scope of a request.

    Returns:
        Whether it is.

    Example:
        >>> [is_plain_path({"path": path}) for path in ("/v1/models/shop/labels", "/v1//labels", "/labels\n", "/../x")]
        [True, False, False, False]
    """
    path: str = scope["path"]
    sent: bytes = scope.get("raw_path") or path.encode()
    return not scope.get("root_path") and sent == path.encode() and _PATH.fullmatch(path) is not None
