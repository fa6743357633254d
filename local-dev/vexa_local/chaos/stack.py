"""The local stack with everything in it that can be made to fail."""

import shlex
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from vexa_local.chaos.clocks import Clocks
from vexa_local.chaos.faults import BALANCER, BOT, MARKS, PROCESSES
from vexa_local.chaos.orphans import MARK
from vexa_local.parts import PartSpec
from vexa_local.ports import LOOPBACK
from vexa_local.stack import Addresses, Stack
from vexa_local.supervisor import Stage

WORKERS = 2
SLOTS = 64
LINK_OFFSET = 300
"""The port of a link is so much above that of what it leads to."""
FINALIZE_TIMEOUT_S = 100.0
"""Longer than the longest wait before a worker sends a batch again."""


@dataclass(frozen=True, kw_only=True)
class ChaosStack(Stack):
    """Two workers behind the balancer, a channel before the Broker, and a link before every neighbour."""

    clocks: Clocks
    vocabulary: Path | None
    """What the workers spell; None runs the real model."""
    workers: int = WORKERS
    reading_s: float = 0.0
    """How long each reading of a worker takes."""
    acknowledges_early: bool = False
    """Whether the collector breaks its promise."""
    worker_environment: Mapping[str, str] = field(default_factory=dict)
    """What workers are told beside what every stack tells them."""

    @property
    def addresses(self) -> Addresses:
        """Lead every process through the links."""
        direct = super().addresses
        return replace(
            direct,
            sink=f"http://{LOOPBACK}:{self.channel_port}/vexa/default",
            bots=_moved(direct.bots, self.ports.bots, self.link_port("bots")),
            stream=_moved(direct.stream, self.ports.pool, self.link_port("pool")),
            database=_moved(direct.database, self.ports.postgres, self.link_port("postgres")),
            valkey=_moved(direct.valkey, self.ports.valkey, self.link_port("valkey")),
        )

    @property
    def direct(self) -> Addresses:
        """Reach everything without a link: for whoever judges."""
        return super().addresses

    @property
    def channel_port(self) -> int:
        return self.ports.broker + 2 * LINK_OFFSET

    @property
    def receiver_url(self) -> str:
        return f"http://{LOOPBACK}:{self._receiver_port}"

    @property
    def mark(self) -> str:
        """Tells the processes of this stack from all others."""
        return str(self.state.folder)

    @property
    def _receiver_port(self) -> int:
        return self.ports.webhooks + 2 * LINK_OFFSET

    def link_port(self, name: str) -> int:
        """Where the link to a neighbour listens."""
        return self.ports.valkey + 2 * LINK_OFFSET if name == MARKS else self.upstream_port(name) + LINK_OFFSET

    def upstream_port(self, name: str) -> int:
        """Where the link to a neighbour leads."""
        return int(getattr(self.ports, "valkey" if name == MARKS else name))

    def stages(self) -> list[Stage]:
        """Change every part as its faults need it, and put what is not the stack's before everything else."""
        changed = [[self._changed(member) for member in stage] for stage in super().stages()]
        return [[self._channel(), self._receiver()], *changed]

    def _changed(self, member: PartSpec | Callable[[], None]) -> PartSpec | Callable[[], None]:
        if not isinstance(member, PartSpec) or member.name not in PROCESSES:
            return member
        changes: dict[str, str] = {}
        if member.name == "collector":
            marks = _moved(self.direct.valkey, self.ports.valkey, self.link_port(MARKS))
            changes = {"FINALIZE_TIMEOUT_S": str(FINALIZE_TIMEOUT_S), "REDIS_URL": marks}
        if member.name == "bots":
            changes = {"BOT_COMMAND": self._bot_command()}
        if member.name.startswith("worker-"):
            changes = dict(self.worker_environment)
        if member.name != BALANCER:
            changes |= self.clocks.environment(member.name)
        return replace(member, command=self._command(member), environment={**member.environment, **changes})

    def _command(self, member: PartSpec) -> tuple[str, ...]:
        if self.vocabulary is not None and member.name.startswith("worker-"):
            return (sys.executable, "-m", "vexa_local.chaos.worker", str(self.vocabulary), str(self.reading_s))
        if self.acknowledges_early and member.name == "collector":
            return (sys.executable, "-m", "vexa_local.chaos.liar", str(member.port))
        return tuple(member.command)

    def _bot_command(self) -> str:
        """A bot gets little of the environment of the function that starts it, so its clock is named here."""
        environment = {MARK: self.mark, **self.clocks.environment(BOT)}
        named = [f"{name}={value}" for name, value in environment.items()]
        return shlex.join(["env", *named, sys.executable, "-m", "vexa_bot"])

    def _channel(self) -> PartSpec:
        return self._http_part(
            "channel",
            (sys.executable, "-m", "vexa_local.chaos.channel"),
            port=self.channel_port,
            environment={
                "PORT": str(self.channel_port),
                "BROKER_URL": f"http://{LOOPBACK}:{self.link_port('broker')}",
            },
        )

    def _receiver(self) -> PartSpec:
        return self._http_part(
            "receiver",
            (sys.executable, "-m", "vexa_local.chaos.receiver"),
            port=self._receiver_port,
            environment={"PORT": str(self._receiver_port)},
        )


def _moved(address: str, port: int, other: int) -> str:
    return address.replace(f":{port}", f":{other}")
