"""An HTTP request, as servers here receive it."""

from __future__ import annotations

from dataclasses import dataclass
from http.client import HTTPMessage


@dataclass(frozen=True)
class HttpRequest:
    """An HTTP request; ``target`` is the request line's, as sent."""

    method: str
    target: str
    headers: HTTPMessage
    body: bytes
    client: str
