"""The pages as a web application: addresses, answers, refusals. Everything that can be asked only reads."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from framework.dashboard.address import Asked, RefusedError
from framework.dashboard.assets_served import asset
from framework.dashboard.desk import Desk, Page
from framework.dashboard.guard import Admission, App, Guard
from framework.dashboard.markup import error_html, page_html
from framework.errors import StoreError, UserError, one_line

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

PAGES = {
    "/": "overview_page",
    "/runs": "runs_page",
    "/run/{run_id}": "run_page",
    "/experiment": "experiment_page",
    "/compare": "compare_page",
    "/pareto": "pareto_page",
    "/live": "live_page",
    "/effects": "effects_page",
    "/cost": "cost_page",
    "/predictions": "predictions_page",
    "/what-if": "what_if_page",
    "/sql": "sql_page",
}
"""Address → module of `pages`, whose function `page(desk, asked, **path)` answers."""
FILES = {
    "/run/{run_id}/file": ("run_files", "kept_file"),
    "/sql/rows.{format}": ("sql_page", "rows_file"),
}
"""Address → module and function of `pages` that returns what is downloaded."""


def build_app(desk: Desk, admission: Admission) -> App:
    """Return the ASGI application."""
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.routing import Route

    routes = [Route(path, partial(_page, desk, module)) for path, module in PAGES.items()]
    routes += [Route(path, partial(_download, desk, *place)) for path, place in FILES.items()]
    routes.append(Route("/assets/{name}", _asset))
    handlers: dict[Any, Any] = {
        HTTPException: lambda request, error: (
            _refused(RefusedError(f"no page {request.url.path[:80]}", 404))
            if error.status_code == 404
            else _refused(RefusedError(str(error.detail), error.status_code))
        ),
        UserError: lambda request, error: _refused(error),
        Exception: lambda request, error: _refused(
            RefusedError(f"the page failed: {type(error).__name__}: {one_line(error)}", 500)
        ),
    }
    app = Starlette(routes=routes, exception_handlers=handlers)
    return Guard(app, admission, _refused)


def _asked(request: Request) -> Asked:
    return Asked(request.query_params.multi_items())


def _page(desk: Desk, module: str, request: Request) -> Response:
    from starlette.responses import HTMLResponse

    asked = _asked(request)
    page: Page = import_module(f"framework.dashboard.pages.{module}").page(desk, asked, **request.path_params)
    asked.finish()
    return HTMLResponse(page_html(page, desk.colours()))


def _download(desk: Desk, module: str, name: str, request: Request) -> Response:
    from starlette.responses import Response

    asked = _asked(request)
    make: Callable[..., tuple[str, bytes]] = getattr(
        import_module(f"framework.dashboard.pages.{module}"), name
    )
    file, content = make(desk, asked, **request.path_params)
    asked.finish()
    # never shown as a page of this site, whatever it holds
    return Response(
        content,
        media_type="application/octet-stream",
        headers={"Content-Disposition": f'attachment; filename="{file}"'},
    )


def _refused(error: UserError) -> Any:
    """Return the page that says in one line why there is no answer."""
    from starlette.responses import HTMLResponse

    missing = isinstance(error, StoreError) and "no runs yet" in str(error)
    status = error.status if isinstance(error, RefusedError) else 503 if missing else 400
    return HTMLResponse(error_html(one_line(error)), status)


def _asset(request: Request) -> Response:
    from starlette.responses import Response

    content, kind = asset(request.path_params["name"])
    headers = {"Content-Encoding": "gzip", "Cache-Control": "private, max-age=31536000, immutable"}
    return Response(content, media_type=kind, headers=headers)
