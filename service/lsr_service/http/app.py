"""`create_app`: the ASGI application of one server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from fastapi import FastAPI

from lsr import __version__
from lsr_service.engine.admission import WorkPool
from lsr_service.engine.changes import Changes
from lsr_service.engine.engine import Engine
from lsr_service.engine.follower import Follower
from lsr_service.http import change_routes, errors, health, limits, routes
from lsr_service.http.context import HeadAsGet, RequestContext
from lsr_service.http.metrics import Metrics
from lsr_service.page import page
from lsr_service.settings import ServerSettings


def create_app(settings: ServerSettings, engine: Engine | None = None) -> FastAPI:
    """Make an application.

    The indexes of `engine`, or else those of `settings`, which are opened when the application
    starts, are closed when it stops.
    """
    app = FastAPI(
        title="lsr",
        summary="Learned sparse retrieval",
        version=__version__,
        lifespan=_lifespan,
        docs_url=None,  # its page would load scripts from elsewhere
        redoc_url=None,
    )
    app.state.settings = settings
    app.state.engine = engine
    app.state.draining = False
    app.add_middleware(HeadAsGet)
    app.add_middleware(RequestContext, settings=settings)
    errors.install(app)
    app.include_router(health.router)
    app.include_router(routes.router)
    app.include_router(change_routes.router)
    app.include_router(page.router)
    _describe_limits(app, settings)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings: ServerSettings = app.state.settings
    if app.state.engine is None:
        app.state.engine = await asyncio.to_thread(partial(Engine.of, settings))
    engine: Engine = app.state.engine
    app.state.pool = WorkPool(settings.threads, settings.queue_length)
    app.state.metrics = Metrics(engine, app.state.pool)
    app.state.changes = Changes(
        engine,
        writable=settings.writable,
        waiting=settings.limits.changes_waiting,
        max_terms=settings.limits.doc_terms,
        free_bytes=settings.free_bytes,
    )
    follower: Follower | None = None
    try:
        await asyncio.to_thread(app.state.changes.take_locks)
        await asyncio.to_thread(engine.warm_up)
        if settings.follow_s:
            follower = Follower(engine, settings.follow_s)
        yield
    finally:
        app.state.draining = True
        if follower is not None:
            await asyncio.to_thread(follower.close)
        await asyncio.to_thread(app.state.changes.close)
        await asyncio.to_thread(app.state.pool.close)
        engine.close()


def _describe_limits(app: FastAPI, settings: ServerSettings) -> None:
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            limits.write_into(generate(), settings.limits)
        return app.openapi_schema or {}

    app.openapi = openapi  # type: ignore[method-assign]
