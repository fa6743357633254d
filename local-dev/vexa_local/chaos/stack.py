"""The local stack with everything in it that can be made to fail."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

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
    """Two workers behind a balancer, a channel before the Broker, and a link before every neighbour."""

    vocabulary: Path | None
    """What the workers spell; None runs the real model."""

    @property
    def addresses(self) -> Addresses:
        """Lead every process through the links."""
        direct = super().addresses
        return replace(
            direct,
            sink=f"http://{LOOPBACK}:{self.channel_port}/vexa/default",
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
    def worker_ports(self) -> tuple[int, ...]:
        """Worker 1 has the pool's own port."""
        return tuple(self.ports.pool + 100 * number for number in range(WORKERS))

    def link_port(self, name: str) -> int:
        """Where the link to a neighbour listens."""
        return int(getattr(self.ports, name)) + LINK_OFFSET

    def upstream_ports(self, name: str) -> tuple[int, ...]:
        """Where the link to a neighbour leads."""
        return self.worker_ports if name == "pool" else (int(getattr(self.ports, name)),)

    def stages(self) -> list[Stage]:
        """Replace the pool with workers, and put the channel before everything else."""
        return [[self._channel()], *([*self._changed(stage)] for stage in super().stages())]

    def _changed(self, stage: Stage) -> list[PartSpec | Callable[[], None]]:
        members: list[PartSpec | Callable[[], None]] = []
        for member in stage:
            if not isinstance(member, PartSpec):
                members.append(member)
            elif member.name == "pool":
                members += [self._double(member, number, port) for number, port in enumerate(self.worker_ports, 1)]
            elif member.name == "collector":
                patience = {"FINALIZE_TIMEOUT_S": str(FINALIZE_TIMEOUT_S)}
                members.append(replace(member, environment={**member.environment, **patience}))
            else:
                members.append(member)
        return members

    def _double(self, pool: PartSpec, number: int, port: int) -> PartSpec:
        """Make one of several workers from the only one."""
        spelling = (sys.executable, "-m", "vexa_local.chaos.worker", str(self.vocabulary))
        return self._http_part(
            f"worker-{number}",
            pool.command if self.vocabulary is None else spelling,
            port=port,
            health_path="/readyz",
            ready_within_s=pool.ready_within_s,
            environment={**pool.environment, "PORT": str(port), "POOL_SLOTS": str(SLOTS)},
        )

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


def _moved(address: str, port: int, other: int) -> str:
    return address.replace(f":{port}", f":{other}")
