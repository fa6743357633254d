"""A user's webhook and its deliveries, and the notices that events become."""

from datetime import timedelta

from vexa_events.envelope import Event
from vexa_events.errors import Conflict, InvalidMessage, NotFound
from vexa_events.identity import UserId
from vexa_events.trace_context import TraceContext, context_in
from vexa_events.tracing import within
from vexa_functions.answers import UserAnswer
from vexa_functions.store.tables import Store, Tables
from vexa_functions.webhooks.answers import DeliveriesAnswer, DeliveryAnswer, WebhookAnswer
from vexa_functions.webhooks.courier import Courier
from vexa_functions.webhooks.notices import EVENT_TYPES, Notice, notices_of
from vexa_functions.webhooks.requests import WebhookRequest

KEPT = timedelta(days=30)
FORGET_LIMIT = 1_000
SWEEP_WITHIN = timedelta(days=1)
SWEEP_AFTER = timedelta(seconds=30)
"""The Broker is given this long to bring a fact before the sweep looks for it."""
SWEEP_LIMIT = 500


async def put_webhook(store: Store, user_id: UserId, wanted: WebhookRequest, *, allow_loopback: bool) -> UserAnswer:
    """Set where a user is told; the answer is the user, with the address among its data."""
    _check_address(wanted.webhook_url, allow_loopback=allow_loopback)
    async with store.transaction() as tables:
        user = await tables.users.by_id(user_id)
        if user is None:
            raise NotFound("this user no longer exists")
        webhook = await tables.webhooks.put(
            user_id, wanted.webhook_url, secret=wanted.webhook_secret, keep_secret=wanted.keeps_secret
        )
    answer = UserAnswer.of(user)
    return answer.model_copy(update={"data": {**answer.data, "webhook_url": webhook.url}})


async def get_webhook(store: Store, user_id: UserId) -> WebhookAnswer:
    """Read where a user is told."""
    async with store.reading() as tables:
        webhook = await tables.webhooks.of_user(user_id)
    if webhook is None:
        raise NotFound("you have no webhook")
    return WebhookAnswer.of(webhook)


async def delete_webhook(store: Store, user_id: UserId) -> None:
    """Tell a user nothing more, what is pending included."""
    async with store.transaction() as tables:
        await tables.webhooks.remove(user_id)
        await tables.webhook_deliveries.cancel(user_id)


async def list_deliveries(
    store: Store, user_id: UserId, *, before_id: int | None, status: str | None, limit: int
) -> DeliveriesAnswer:
    """List what a user was told, newest first."""
    async with store.reading() as tables:
        page = await tables.webhook_deliveries.page(user_id, before_id=before_id, status=status, limit=limit)
    return DeliveriesAnswer(
        deliveries=[DeliveryAnswer.of(delivery) for delivery in page],
        next_before=page[-1].id if len(page) == limit else None,
    )


async def redeliver(store: Store, courier: Courier, user_id: UserId, delivery_id: int) -> DeliveryAnswer:
    """Try a delivery again now, and again later if that fails."""
    async with store.transaction() as tables:
        if await tables.webhooks.of_user(user_id) is None:
            raise Conflict("you have no webhook to deliver to")
        if not await tables.webhook_deliveries.renew(user_id, delivery_id):
            raise NotFound(f"you have no delivery {delivery_id}")
    await courier.deliver([delivery_id])
    async with store.reading() as tables:
        delivery = await tables.webhook_deliveries.of_user(user_id, delivery_id)
    if delivery is None:
        raise NotFound(f"you have no delivery {delivery_id}")
    return DeliveryAnswer.of(delivery)


async def take_fact(store: Store, courier: Courier, event: Event) -> None:
    """Tell the user of an event; one that comes again changes nothing."""
    await courier.deliver(await _promise(store, event))


async def sweep(store: Store, courier: Courier) -> None:
    """Find facts that no event brought, try what is due, and forget what is long over."""
    async with store.reading() as tables:
        await tables.webhook_deliveries.forget(older_than=KEPT, limit=FORGET_LIMIT)
        untold = await tables.webhook_deliveries.untold(
            EVENT_TYPES, within=SWEEP_WITHIN, older_than=SWEEP_AFTER, limit=SWEEP_LIMIT
        )
    for event in untold:
        await _promise(store, event)
    await courier.sweep()


async def _promise(store: Store, event: Event) -> list[int]:
    """Add the deliveries of an event; return those that are new."""
    notices = notices_of(event)
    trace = within(context_in(event.extensions))
    async with store.transaction() as tables:
        await tables.erasure.hold(notices[0].meeting_id)
        added = [await _add(tables, notice, trace) for notice in notices]
    return [delivery_id for delivery_id in added if delivery_id is not None]


async def _add(tables: Tables, notice: Notice, trace: TraceContext | None) -> int | None:
    return await tables.webhook_deliveries.add(
        notice.user_id,
        fact_id=notice.fact_id,
        event_id=notice.event_id,
        event_type=notice.event_type,
        meeting_id=notice.meeting_id,
        body=notice.body,
        trace=trace,
    )


def _check_address(url: str, *, allow_loopback: bool) -> None:
    """Refuse early what is no name to resolve."""
    from vexa_functions.webhooks.urls import names_refused_address  # noqa: PLC0415 - brings an HTTP client

    if names_refused_address(url, allow_loopback=allow_loopback):
        raise InvalidMessage("webhook_url: the address is not on the public internet")
