"""Routes for operators; they never wait for the pool, so that load does not delay them."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Request, Response

from lsr_service.engine.engine import Engine
from lsr_service.http import models

router = APIRouter(tags=["operations"])


@router.get("/livez", response_model=models.Health)
async def livez() -> models.Health:
    """Tell that the process answers."""
    return models.Health(status="ok")


@router.get(
    "/readyz",
    response_model=models.Health,
    responses={503: {"model": models.Health, "description": "The server is shutting down."}},
)
async def readyz(request: Request, response: Response) -> models.Health:
    """Tell whether to send requests here, and which indexes can answer them."""
    engine: Engine = request.app.state.engine
    states = {served.name: served.problem or "ready" for served in engine}
    shown = {each.name: each.retriever for each in engine if each.retriever is not None}
    generations = {name: retriever.index.generation for name, retriever in shown.items()}
    status: Literal["draining", "degraded", "ready"] = "ready"
    if request.app.state.draining:
        response.status_code, status = 503, "draining"
    elif len(shown) < len(states):
        status = "degraded"
    return models.Health(status=status, indexes=states, generations=generations)


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}, "description": "Prometheus text format."}},
)
async def metrics(request: Request) -> Response:
    """Return the figures of this server."""
    return Response(
        request.app.state.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8"
    )
