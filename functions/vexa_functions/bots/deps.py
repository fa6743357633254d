"""What the bots function works with, opened on first use."""

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from vexa_events.identity import BotStatus
from vexa_events.registry import CONTRACTS, bot_type
from vexa_functions.bots.admission import OpenAdmission, PoolAdmission
from vexa_functions.bots.announcing import Announcer
from vexa_functions.bots.callbacks import BotCallbacks
from vexa_functions.bots.judging import Limits
from vexa_functions.bots.launchers.choosing import open_launcher
from vexa_functions.bots.launching import Launching, LaunchTerms
from vexa_functions.bots.reconciling import Reconciler
from vexa_functions.bots.service import BotService, Terms
from vexa_functions.bots.settings import BotsSettings
from vexa_functions.live_feed import LiveFeed, open_valkey
from vexa_functions.relay import Relay
from vexa_functions.sink import Sink
from vexa_functions.store.tables import open_store


@dataclass(frozen=True, slots=True, kw_only=True)
class BotsDeps:
    """The graph of the bots function."""

    service: BotService
    callbacks: BotCallbacks
    reconciler: Reconciler
    signing_key: str


@asynccontextmanager
async def open_deps(settings: BotsSettings) -> AsyncIterator[BotsDeps]:
    """Put the function together."""
    signing_key = settings.token_signing_key.get_secret_value()
    async with (
        open_store(str(settings.database_url), max_connections=settings.max_connections) as store,
        open_valkey(str(settings.redis_url)) as valkey,
        aclosing(Sink(str(settings.sink), token_file=settings.sink_token_file)) as sink,
        open_launcher(settings) as launcher,
    ):
        live = LiveFeed(valkey)
        source = CONTRACTS[bot_type(BotStatus.REQUESTED)].source
        announcer = Announcer(Relay(store, sink, source=source), live)
        admission = PoolAdmission(valkey, store) if settings.admission == "pool" else OpenAdmission()
        launching = Launching(store, launcher, announcer, _launch_terms(settings))
        yield BotsDeps(
            service=BotService(store, launching, announcer, admission, _terms(settings)),
            callbacks=BotCallbacks(
                store,
                live,
                announcer,
                signing_key=signing_key,
                session_lifetime=timedelta(seconds=settings.max_session_s),
            ),
            reconciler=Reconciler(store, launcher, launching, announcer, _limits(settings)),
            signing_key=signing_key,
        )


def _limits(settings: BotsSettings) -> Limits:
    return Limits(
        launch=timedelta(seconds=settings.launch_limit_s),
        heartbeat=timedelta(seconds=settings.heartbeat_s),
        stop_grace=timedelta(seconds=settings.stop_grace_s),
        kill_grace=timedelta(seconds=max(settings.kill_grace_s, settings.longest_end_s)),
        silence=timedelta(seconds=settings.callback_limit_s),
        kept=timedelta(seconds=settings.keep_ended_s),
    )


def _terms(settings: BotsSettings) -> Terms:
    at_home = ("janus",) if settings.janus_page_url else ()
    return Terms(offered=settings.offered, self_hosted=settings.platform_by_host, at_home=at_home)


def _launch_terms(settings: BotsSettings) -> LaunchTerms:
    return LaunchTerms(
        signing_key=settings.token_signing_key.get_secret_value(),
        session_lifetime=timedelta(seconds=settings.max_session_s),
        bot_env=bot_env(settings),
        lease=timedelta(seconds=settings.launch_again_s),
    )


def bot_env(settings: BotsSettings) -> dict[str, str]:
    """Return the variables that every bot gets, beside its order and its token."""
    env = {
        **settings.options_env(),
        "BOT_MANAGER_URL": str(settings.bot_manager_url),
        "STREAM_URL": str(settings.stream_url),
        "LOG_LEVEL": settings.log_level,
    }
    return env | ({"VEXA_REPLAY_DIR": str(settings.replay_dir)} if settings.replay_dir else {})
