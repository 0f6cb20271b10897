"""The search page: one static file, with a policy that lets it load and run nothing else."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from importlib.resources import files

from fastapi import APIRouter, Response

router = APIRouter()


@router.get("/", include_in_schema=False)
async def page() -> Response:
    """Return the search page."""
    body, policy = _page()
    return Response(body, media_type="text/html", headers={"content-security-policy": policy})


@cache
def _page() -> tuple[bytes, str]:
    body = files("lsr_service.page").joinpath("page.html").read_bytes()
    policy = (
        "default-src 'none'; connect-src 'self'; img-src data:; base-uri 'none'; "
        f"form-action 'none'; frame-ancestors 'none'; script-src {_hashes(body, b'script')}; "
        f"style-src {_hashes(body, b'style')}"
    )
    return body, policy


def _hashes(body: bytes, element: bytes) -> str:
    """Return the sources that allow the inline elements of this very file."""
    contents = re.findall(rb"<%b>(.*?)</%b>" % (element, element), body, re.DOTALL)
    digests = (base64.b64encode(hashlib.sha256(content).digest()) for content in contents)
    return " ".join(f"'sha256-{digest.decode()}'" for digest in digests)
