"""Opens the launcher that the settings name; the libraries of the others are not imported."""

import shlex
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from vexa_functions.bots.launchers.launcher import Launcher
from vexa_functions.bots.launchers.process import ProcessLauncher
from vexa_functions.bots.settings import BotsSettings, LauncherName

if TYPE_CHECKING:
    from vexa_functions.bots.launchers.kubernetes_job import JobShape


@asynccontextmanager
async def open_launcher(settings: BotsSettings) -> AsyncIterator[Launcher]:
    """Lend the launcher; whoever runs the bots is reached on first use."""
    match settings.launcher:
        case LauncherName.PROCESS:
            yield ProcessLauncher(settings.run_dir or Path(), shlex.split(settings.bot_command))
        case LauncherName.DOCKER:
            async with _docker(settings) as launcher:
                yield launcher
        case LauncherName.KUBERNETES:
            async with _kubernetes(settings) as launcher:
                yield launcher


def job_shape(settings: BotsSettings) -> "JobShape":
    """Say what the settings make of every bot's Job."""
    from vexa_functions.bots.launchers.kubernetes_job import JobShape  # noqa: PLC0415 - see the module

    return JobShape(
        image=settings.image or "",
        deployment=settings.deployment,
        memory_mb=settings.memory_mb,
        cpus=settings.cpus,
        deadline_s=round(settings.longest_session_s),
        stop_grace_s=round(settings.longest_end_s),
        seccomp_profile=str(settings.seccomp_profile) if settings.seccomp_profile else None,
        recording=settings.replay_dir / settings.recording if settings.replay_dir and settings.recording else None,
    )


@asynccontextmanager
async def _docker(settings: BotsSettings) -> AsyncIterator[Launcher]:
    from vexa_functions.bots.launchers.docker import ContainerShape, DockerLauncher  # noqa: PLC0415 - see the module

    shape = ContainerShape(
        image=settings.image or "",
        network=settings.docker_network,
        deployment=settings.deployment,
        memory_mb=settings.memory_mb,
        cpus=settings.cpus,
        stop_grace_s=round(settings.longest_end_s),
        seccomp_profile=settings.seccomp_profile,
        replay_dir=settings.replay_dir,
    )
    named = {
        "DOCKER_HOST": settings.docker_host,
        "DOCKER_TLS_VERIFY": settings.docker_tls_verify,
        "DOCKER_CERT_PATH": settings.docker_cert_path,
    }
    async with aclosing(DockerLauncher(shape, {name: value for name, value in named.items() if value})) as launcher:
        yield launcher


@asynccontextmanager
async def _kubernetes(settings: BotsSettings) -> AsyncIterator[Launcher]:
    from lightkube import KubeConfig  # noqa: PLC0415 - see the module

    from vexa_functions.bots.launchers.kubernetes import KubernetesLauncher  # noqa: PLC0415

    file = settings.kubeconfig
    read_config = partial(KubeConfig.from_file, file) if file else KubeConfig.from_service_account
    async with aclosing(
        KubernetesLauncher(job_shape(settings), namespace=settings.namespace, read_config=read_config)
    ) as launcher:
        yield launcher
