"""Puts one bot together from its settings, and runs it."""

import asyncio
import random
import shlex
import signal
import time
from collections.abc import Callable
from functools import partial

import httpx

from vexa_bot.bots_client import BotsClient
from vexa_bot.browser.attendance import BrowserPlatform
from vexa_bot.browser.chromium import Chromium
from vexa_bot.browser.site import Guest
from vexa_bot.browser.stay import Limits
from vexa_bot.capture import Platform
from vexa_bot.credential import Credential
from vexa_bot.epoch_talk import StreamIdentity, Tuning
from vexa_bot.hint_log import HintLog
from vexa_bot.lifecycle import Ending
from vexa_bot.patience import Patience
from vexa_bot.platforms.replay import ReplayPlatform
from vexa_bot.platforms.sites import site_of
from vexa_bot.replay_buffer import ReplayBuffer
from vexa_bot.reporter import Reporter
from vexa_bot.retry import Backoff
from vexa_bot.session import Session, SessionParts
from vexa_bot.settings import BotSettings
from vexa_bot.stream_client import StreamClient
from vexa_bot.streams import Streams
from vexa_bot.tape import Tape
from vexa_bot.worker_link import open_link
from vexa_events.identity import SessionUid, StreamKind, StreamUid


async def attend(settings: BotSettings) -> Ending:
    """Attend the ordered meeting; SIGTERM and SIGINT end it within seconds."""
    async with httpx.AsyncClient(base_url=str(settings.bots_url), trust_env=False) as http:
        session = build(settings, http)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, session.terminate)
        return await session.run()


def build(settings: BotSettings, http: httpx.AsyncClient) -> Session:
    """Make a session and everything it works with; call inside a running event loop."""
    new_backoff = partial(
        Backoff, first_s=settings.retry_first_s, longest_s=settings.retry_longest_s, random=random.random
    )
    bots = BotsClient(
        http,
        settings.order.session_uid,
        credential=Credential(settings.token.get_secret_value()),
        new_backoff=new_backoff,
        limit_s=settings.callback_limit_s,
        trace=settings.trace,
    )
    reporter = Reporter(bots)
    tuning = Tuning(language=settings.order.language, task=settings.order.task)
    parts = SessionParts(
        platform=partial(_platform, settings),
        streams=partial(
            Streams,
            SessionUid(settings.order.session_uid),
            tuning=tuning,
            buffer=ReplayBuffer(bytes_per_stream=settings.buffer_bytes_per_stream, max_bytes=settings.buffer_max_bytes),
            reporter=reporter,
            new_client=partial(_stream_client, settings, bots, new_backoff),
        ),
        reporter=reporter,
        hints=HintLog(bots.hint),
        heart=bots,
        patience=Patience(limit_s=settings.flush_limit_s, hurried_s=settings.terminate_limit_s),
    )
    return Session(parts, tuning=tuning, heartbeat_s=settings.heartbeat_s)


def _platform(settings: BotSettings) -> Platform:
    order = settings.order
    if order.platform == "replay":
        return ReplayPlatform(settings.replay_dir, order.native_meeting_id, monotonic=time.monotonic)
    return BrowserPlatform(
        site_of(order, janus_page_url=str(settings.janus_page_url) if settings.janus_page_url else None),
        Guest(name=order.bot_name, passcode=order.passcode),
        limits=_limits(settings),
        chromium=Chromium(
            path=settings.chromium_path,
            flags=tuple(shlex.split(settings.chromium_flags)),
            has_sandbox=settings.chromium_sandbox,
        ),
    )


def _limits(settings: BotSettings) -> Limits:
    wanted = settings.order.automatic_leave
    return Limits(
        join_s=settings.join_limit_s,
        waiting_room_s=wanted.waiting_room_s or settings.waiting_room_s,
        startup_alone_s=wanted.startup_alone_s or settings.startup_alone_s,
        everyone_left_s=wanted.everyone_left_s or settings.everyone_left_s,
        max_age_s=wanted.max_age_s or settings.max_age_s,
    )


def _stream_client(
    settings: BotSettings,
    bots: BotsClient,
    new_backoff: Callable[[], Backoff],
    stream_uid: StreamUid,
    kind: StreamKind,
    tape: Tape,
    tuning: Tuning,
) -> StreamClient:
    return StreamClient(
        identity=StreamIdentity(
            session_uid=SessionUid(settings.order.session_uid),
            stream_uid=stream_uid,
            credential=bots.credential,
            trace=settings.trace,
        ),
        kind=kind,
        tape=tape,
        tuning=tuning,
        open_epoch=bots.open_epoch,
        open_link=partial(open_link, str(settings.stream_url)),
        backoff=new_backoff(),
    )
