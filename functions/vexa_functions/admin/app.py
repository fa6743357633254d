"""The admin function: users, tokens and statistics, under the administrator's key."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache

from starlette.requests import Request
from starlette.responses import Response

from vexa_functions.admin import service
from vexa_functions.admin.answers import NewTokenAnswer, StatsAnswer, TokensAnswer, UsersAnswer
from vexa_functions.admin.requests import TokenRequest, UserChange, UserRequest
from vexa_functions.admin.settings import AdminSettings
from vexa_functions.answers import UserAnswer
from vexa_functions.auth.calls import admin_call
from vexa_functions.hosting.door import answer, read_model
from vexa_functions.hosting.function import Function
from vexa_functions.hosting.operations import Caller, Operation, Parameter
from vexa_functions.hosting.parameters import number_in_query, row_id_in_path, text_in_path
from vexa_functions.hosting.serving import put_together
from vexa_functions.store.tables import Store, open_store

MAX_EMAIL = 320
MAX_SKIP = 2**31
MAX_LIMIT = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminDeps:
    """The function's graph."""

    store: Store
    admin_key: str


@asynccontextmanager
async def open_deps(settings: AdminSettings) -> AsyncIterator[AdminDeps]:
    """Open what the function works with."""
    async with open_store(str(settings.database_url), max_connections=settings.max_connections) as store:
        yield AdminDeps(store=store, admin_key=settings.admin_api_key.get_secret_value())


async def post_user(request: Request) -> Response:
    """POST /admin/users"""
    store = (await admin_call(request, AdminDeps)).store
    user, is_new = await service.find_or_create_user(store, await read_model(request, UserRequest))
    return answer(user, 201 if is_new else 200)


async def get_users(request: Request) -> Response:
    """GET /admin/users?skip=0&limit=100"""
    store = (await admin_call(request, AdminDeps)).store
    skip, limit = _page(request)
    return answer(UsersAnswer(await service.list_users(store, skip=skip, limit=limit)))


async def get_user(request: Request) -> Response:
    """GET /admin/users/{id}"""
    store = (await admin_call(request, AdminDeps)).store
    return answer(await service.user_by_id(store, row_id_in_path(request)))


async def get_user_by_email(request: Request) -> Response:
    """GET /admin/users/email/{email}"""
    store = (await admin_call(request, AdminDeps)).store
    return answer(await service.user_by_email(store, text_in_path(request, "email", most=MAX_EMAIL)))


async def patch_user(request: Request) -> Response:
    """PATCH /admin/users/{id}"""
    store = (await admin_call(request, AdminDeps)).store
    change = await read_model(request, UserChange)
    return answer(await service.change_user(store, row_id_in_path(request), change))


async def post_token(request: Request) -> Response:
    """POST /admin/users/{id}/tokens; the body may be empty"""
    store = (await admin_call(request, AdminDeps)).store
    wanted = await read_model(request, TokenRequest, empty=TokenRequest())
    return answer(await service.create_token(store, row_id_in_path(request), wanted), 201)


async def get_tokens(request: Request) -> Response:
    """GET /admin/users/{id}/tokens"""
    store = (await admin_call(request, AdminDeps)).store
    return answer(TokensAnswer(await service.list_tokens(store, row_id_in_path(request))))


async def delete_token(request: Request) -> Response:
    """DELETE /admin/tokens/{id}"""
    store = (await admin_call(request, AdminDeps)).store
    await service.revoke_token(store, row_id_in_path(request))
    return Response(status_code=204)


async def get_stats(request: Request) -> Response:
    """GET /admin/stats/meetings-users?skip=0&limit=100"""
    store = (await admin_call(request, AdminDeps)).store
    skip, limit = _page(request)
    return answer(await service.meetings_with_users(store, skip=skip, limit=limit))


ADMIN = Caller.ADMINISTRATOR
PAGE = (
    Parameter(
        name="skip",
        meaning="How many to leave out.",
        schema={"type": "integer", "minimum": 0, "maximum": MAX_SKIP, "default": 0},
    ),
    Parameter(
        name="limit",
        meaning="How many to answer at most.",
        schema={"type": "integer", "minimum": 0, "maximum": MAX_LIMIT, "default": 100},
    ),
)
OPERATIONS = (
    Operation(
        method="POST",
        path="/admin/users",
        handler=post_user,
        summary="Find a user by e-mail, or create one",
        caller=ADMIN,
        body=UserRequest,
        answers={201: UserAnswer, 200: UserAnswer},
    ),
    Operation(
        method="GET",
        path="/admin/users",
        handler=get_users,
        summary="List users",
        caller=ADMIN,
        parameters=PAGE,
        answers={200: UsersAnswer},
    ),
    Operation(
        method="GET",
        path="/admin/users/email/{email:path}",
        handler=get_user_by_email,
        summary="Find a user by e-mail",
        caller=ADMIN,
        answers={200: UserAnswer},
        errors=(404, 422),
    ),
    Operation(
        method="GET",
        path="/admin/users/{id}",
        handler=get_user,
        summary="Find a user",
        caller=ADMIN,
        answers={200: UserAnswer},
        errors=(404,),
    ),
    Operation(
        method="PATCH",
        path="/admin/users/{id}",
        handler=patch_user,
        summary="Change a user",
        caller=ADMIN,
        body=UserChange,
        answers={200: UserAnswer},
        errors=(404,),
    ),
    Operation(
        method="POST",
        path="/admin/users/{id}/tokens",
        handler=post_token,
        summary="Make a token; its key is in this answer and nowhere else",
        caller=ADMIN,
        body=TokenRequest,
        body_is_optional=True,
        answers={201: NewTokenAnswer},
        errors=(404,),
    ),
    Operation(
        method="GET",
        path="/admin/users/{id}/tokens",
        handler=get_tokens,
        summary="List a user's tokens",
        caller=ADMIN,
        answers={200: TokensAnswer},
        errors=(404,),
    ),
    Operation(
        method="DELETE",
        path="/admin/tokens/{id}",
        handler=delete_token,
        summary="Revoke a token",
        caller=ADMIN,
        answers={204: None},
        errors=(404,),
    ),
    Operation(
        method="GET",
        path="/admin/stats/meetings-users",
        handler=get_stats,
        summary="Page through everybody's meetings and whose they are",
        caller=ADMIN,
        parameters=PAGE,
        answers={200: StatsAnswer},
    ),
)


def build(settings: AdminSettings) -> Function:
    """Put the function together; nothing is opened yet."""
    return put_together("admin", OPERATIONS, open_deps, settings)


@cache
def function() -> Function:
    """Return this process's one admin function."""
    return build(AdminSettings.from_env(os.environ))


def _page(request: Request) -> tuple[int, int]:
    return (
        number_in_query(request, "skip", default=0, most=MAX_SKIP),
        number_in_query(request, "limit", default=100, most=MAX_LIMIT),
    )
