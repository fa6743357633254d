"""The admin function: users and tokens, under the administrator's key."""

import os
from functools import cache

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from vexa_events.errors import InvalidMessage
from vexa_functions.admin import service
from vexa_functions.admin.requests import TokenRequest, UserChange, UserRequest
from vexa_functions.admin.settings import AdminSettings
from vexa_functions.auth.admin_key import check_admin_key
from vexa_functions.hosting.door import answer_errors, read_model
from vexa_functions.hosting.function import Function
from vexa_functions.hosting.lazy import Lazy
from vexa_functions.hosting.parameters import number_in_query, row_id_in_path
from vexa_functions.store.tables import Store, open_store


async def post_user(request: Request) -> Response:
    """POST /admin/users"""
    store = await _admin_call(request)
    user, is_new = await service.find_or_create_user(store, await read_model(request, UserRequest))
    return JSONResponse(user, 201 if is_new else 200)


async def get_users(request: Request) -> Response:
    """GET /admin/users?skip=0&limit=100"""
    store = await _admin_call(request)
    skip, limit = (
        number_in_query(request, "skip", default=0, most=2**31),
        number_in_query(request, "limit", default=100, most=1000),
    )
    return JSONResponse(await service.list_users(store, skip=skip, limit=limit))


async def get_user(request: Request) -> Response:
    """GET /admin/users/{id}"""
    store = await _admin_call(request)
    return JSONResponse(await service.user_by_id(store, row_id_in_path(request)))


async def get_user_by_email(request: Request) -> Response:
    """GET /admin/users/email/{email}"""
    store = await _admin_call(request)
    email = request.path_params["email"]
    if "\x00" in email:
        raise InvalidMessage("email: must not contain a NUL character")
    return JSONResponse(await service.user_by_email(store, email))


async def patch_user(request: Request) -> Response:
    """PATCH /admin/users/{id}"""
    store = await _admin_call(request)
    change = await read_model(request, UserChange)
    return JSONResponse(await service.change_user(store, row_id_in_path(request), change))


async def post_token(request: Request) -> Response:
    """POST /admin/users/{id}/tokens; the body may be empty"""
    store = await _admin_call(request)
    wanted = await read_model(request, TokenRequest, empty=TokenRequest())
    return JSONResponse(await service.create_token(store, row_id_in_path(request), wanted), 201)


async def get_tokens(request: Request) -> Response:
    """GET /admin/users/{id}/tokens"""
    store = await _admin_call(request)
    return JSONResponse(await service.list_tokens(store, row_id_in_path(request)))


async def delete_token(request: Request) -> Response:
    """DELETE /admin/tokens/{id}"""
    store = await _admin_call(request)
    await service.revoke_token(store, row_id_in_path(request))
    return Response(status_code=204)


def build(settings: AdminSettings) -> Function:
    """Put the function together; nothing is opened yet."""
    store = Lazy(lambda: open_store(str(settings.database_url), max_connections=settings.max_connections))
    app = Starlette(
        routes=[
            Route("/admin/users", post_user, methods=["POST"]),
            Route("/admin/users", get_users, methods=["GET"]),
            Route("/admin/users/email/{email:path}", get_user_by_email, methods=["GET"]),
            Route("/admin/users/{id}", get_user, methods=["GET"]),
            Route("/admin/users/{id}", patch_user, methods=["PATCH"]),
            Route("/admin/users/{id}/tokens", post_token, methods=["POST"]),
            Route("/admin/users/{id}/tokens", get_tokens, methods=["GET"]),
            Route("/admin/tokens/{id}", delete_token, methods=["DELETE"]),
        ],
        exception_handlers=answer_errors(),
    )
    app.state.store = store
    app.state.admin_key = settings.admin_api_key.get_secret_value()
    return Function(app=app, log_level=settings.log_level, aclose=store.aclose)


@cache
def function() -> Function:
    """Return this process's one admin function."""
    return build(AdminSettings.from_env(os.environ))


async def _admin_call(request: Request) -> Store:
    check_admin_key(request, key=request.app.state.admin_key)
    store: Store = await request.app.state.store.get()
    return store
