"""Settings of the bots function."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Literal, Self

from pydantic import AnyHttpUrl, Field, PostgresDsn, RedisDsn, SecretStr, WebsocketUrl, field_validator, model_validator

from vexa_events.launch import LEAVE_LIMIT_S, LONGEST_STAY_S, LONGEST_WAIT_S, BotOptions
from vexa_functions.bots.platforms import REPLAY, RULES
from vexa_functions.hosting.settings import Settings

END_SLACK_S = 10.0
"""What a bot gets on top of its own limits, on a machine that is busy."""
SELF_HOSTED = ("jitsi", "janus")


class LauncherName(StrEnum):
    """What can run bots."""

    PROCESS = "process"
    DOCKER = "docker"
    KUBERNETES = "kubernetes"


class BotsSettings(Settings, BotOptions):
    """What the bots function needs from its environment, and what it hands on to its bots."""

    database_url: PostgresDsn = Field(alias="DATABASE_URL")
    redis_url: RedisDsn = Field(alias="REDIS_URL")
    token_signing_key: SecretStr = Field(alias="TOKEN_SIGNING_KEY", min_length=32)
    sink: AnyHttpUrl = Field(alias="K_SINK")
    """Where events are posted."""
    sink_token_file: Path | None = Field(None, alias="K_SINK_TOKEN_FILE")
    """What the sink knows us by, where it asks."""
    max_connections: int = Field(4, alias="DB_POOL_MAX_SIZE", ge=1, le=50)
    launcher: LauncherName = Field(LauncherName.PROCESS, alias="BOT_LAUNCHER")
    """What runs the bots."""
    run_dir: Path | None = Field(None, alias="BOT_RUN_DIR")
    """Where the process launcher keeps one pid file a bot; it needs one."""
    bot_command: str = Field(f"{sys.executable} -m vexa_bot", alias="BOT_COMMAND", min_length=1)
    """What the process launcher runs, split as a shell splits words."""
    image: str | None = Field(None, alias="BOT_IMAGE")
    """The image of the bot; docker and kubernetes need one."""
    memory_mb: int = Field(1_024, alias="BOT_MEMORY_MB", ge=256, le=16_384)
    """Of a bot's container; 330 MB were measured in a meeting of three."""
    cpus: float = Field(1.0, alias="BOT_CPUS", ge=0.1, le=16.0)
    """Of a bot's container, at most."""
    seccomp_profile: Path | None = Field(None, alias="BOT_SECCOMP_PROFILE")
    """For docker a file, for kubernetes one that every node has, below the kubelet's folder of profiles."""
    deployment: str = Field("vexa", alias="BOT_DEPLOYMENT", pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")
    """Whose bots these are, where several deployments share a Docker engine or a namespace."""
    docker_host: str | None = Field(None, alias="DOCKER_HOST")
    """Where the Docker engine is; its default address unless set."""
    docker_tls_verify: str | None = Field(None, alias="DOCKER_TLS_VERIFY")
    docker_cert_path: str | None = Field(None, alias="DOCKER_CERT_PATH")
    docker_network: str | None = Field(None, alias="DOCKER_NETWORK")
    """The network that bots join, from which they must reach BOT_MANAGER_URL and STREAM_URL."""
    kubeconfig: Path | None = Field(None, alias="KUBECONFIG")
    """How to reach the cluster from outside; inside, the service account of the function's pod is used."""
    namespace: str = Field("vexa", alias="BOT_NAMESPACE", pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")
    """Where in the cluster bots run."""
    recording: str | None = Field(None, alias="BOT_RECORDING", pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")
    """A ConfigMap with the tracks of one recorded meeting, which Jobs find below VEXA_REPLAY_DIR under its name."""
    launch_limit_s: float = Field(180.0, alias="BOT_LAUNCH_LIMIT_S", gt=0.0, le=3_600.0)
    """From the request to the bot's process; a node may have to be started and an image pulled."""
    launch_again_s: float = Field(5.0, alias="BOT_LAUNCH_AGAIN_S", gt=0.0, le=600.0)
    """A launch of which nothing was heard for so long is carried on by whoever comes next."""
    stop_grace_s: float = Field(60.0, alias="BOT_STOP_GRACE_S", ge=0.0, le=3_600.0)
    """How long a bot that is to leave may be silent before its process is told to end."""
    kill_grace_s: float = Field(60.0, alias="BOT_KILL_GRACE_S", ge=0.0, le=3_600.0)
    """And how long from there until it is ended; more where the bot's own limits after SIGTERM come to more."""
    keep_ended_s: float = Field(900.0, alias="BOT_KEEP_ENDED_S", ge=0.0, le=7 * 86_400.0)
    """How long the container of an ended bot is kept, with its log."""
    bot_manager_url: AnyHttpUrl = Field(alias="BOT_MANAGER_URL")
    """Where bots call back."""
    stream_url: WebsocketUrl = Field(alias="STREAM_URL")
    """Where bots stream to."""
    replay_dir: Path | None = Field(None, alias="VEXA_REPLAY_DIR")
    """Recorded meetings; the platform `replay` is offered where this is set."""
    max_session_s: float = Field(6 * 3600.0, alias="MAX_SESSION_S", gt=0.0, le=48 * 3600.0)
    """How long a bot's token lasts; heartbeats renew it from half of that on."""
    platforms: str = Field("", alias="BOT_PLATFORMS")
    """Platforms to offer, with commas between them; empty offers `replay` where recordings are."""
    self_hosted: str = Field("", alias="BOT_SELF_HOSTED")
    """Meeting servers of our own, as `jitsi=meet.example.org,janus=10.0.0.1:8000`: bots go to no other unknown host."""
    admission: Literal["off", "pool"] = Field("off", alias="BOT_ADMISSION")
    """Whether a free slot of the pool is asked for before a bot is."""

    @field_validator("platforms")
    @classmethod
    def _are_known(cls, names: str) -> str:
        unknown = set(_words(names)) - RULES.keys()
        if unknown:
            raise ValueError(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(sorted(RULES))}")
        return names

    @field_validator("self_hosted")
    @classmethod
    def _are_pairs(cls, pairs: str) -> str:
        for pair in _words(pairs):
            platform, _, host = pair.partition("=")
            if platform not in SELF_HOSTED or not host:
                raise ValueError(f"must be pairs such as jitsi=meet.example.org, of {' or '.join(SELF_HOSTED)}")
        return pairs

    @model_validator(mode="after")
    def _has_what_its_launcher_needs(self) -> Self:
        if self.launcher is LauncherName.PROCESS and self.run_dir is None:
            raise ValueError("BOT_RUN_DIR must be set where BOT_LAUNCHER is process")
        if self.launcher is not LauncherName.PROCESS and self.image is None:
            raise ValueError(f"BOT_IMAGE must be set where BOT_LAUNCHER is {self.launcher.value}")
        profile = self.seccomp_profile if self.launcher is LauncherName.DOCKER else None
        if profile is not None and not profile.is_file():
            raise ValueError(f"BOT_SECCOMP_PROFILE: {profile} is no file")
        return self

    @property
    def offered(self) -> frozenset[str]:
        """The platforms to offer; a recording needs the folder that it lies in."""
        named = frozenset(_words(self.platforms)) or frozenset({REPLAY})
        return named if self.replay_dir else named - {REPLAY}

    @property
    def longest_session_s(self) -> float:
        """The longest that a bot may take which a request told to be as patient as it can be."""
        return self.join_limit_s + LONGEST_WAIT_S + LONGEST_STAY_S + self.flush_limit_s

    @property
    def longest_end_s(self) -> float:
        """The longest that a bot may take after SIGTERM: to leave, to store and to report, and some slack."""
        return LEAVE_LIMIT_S + 2 * self.terminate_limit_s + END_SLACK_S

    @property
    def platform_by_host(self) -> dict[str, str]:
        """The platform of each meeting server of our own."""
        pairs = [pair.partition("=") for pair in _words(self.self_hosted)]
        return {host.lower(): platform for platform, _, host in pairs}


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]
