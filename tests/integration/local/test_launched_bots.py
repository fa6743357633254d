"""Bots in containers at the end of a stack, and those that a killed one left behind."""

import contextlib
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest

from vexa_functions.bots.settings import BotsSettings
from vexa_local.launched_bots import LaunchedBots, greet_leftovers
from vexa_local.ports import Ports
from vexa_local.settings import LocalSettings
from vexa_local.stack import Stack
from vexa_local.state import Secrets, State

OBEY = "trap 'exit 0' TERM; sleep 600 & wait"
IGNORE = "trap '' TERM; while :; do sleep 1; done"
NOBODY = {"BOT_LAUNCHER": "docker", "BOT_IMAGE": "vexa-bot", "DOCKER_HOST": "tcp://127.0.0.1:9"}


class Notes:
    """Remembers what was told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def line(self, name: str, text: str) -> None:
        self.told.append(f"{name} {text}")

    def note(self, text: str) -> None:
        self.told.append(text)


Begin = Callable[..., None]


@pytest.fixture
def settings(tmp_path: Path) -> BotsSettings:
    """What the bots function of a stack of its own is told."""
    return settings_of(tmp_path, BOT_LAUNCHER="docker", BOT_IMAGE="vexa-bot")


@pytest.fixture
def begin(docker_base: str, settings: BotsSettings) -> Iterator[Begin]:
    """Start a container as the launcher does; none outlives the test."""
    with contextlib.closing(docker.DockerClient()) as engine:
        made = []

        def start(script: str, deployment: str = settings.deployment) -> None:
            labels = {"vexa.session": uuid.uuid4().hex, "vexa.deployment": deployment}
            made.append(engine.containers.run(docker_base, ["sh", "-c", script], labels=labels, detach=True))

        yield start
        for container in made:
            with contextlib.suppress(docker.errors.NotFound):
                container.remove(force=True)


async def test_containers_are_told_to_end_counted_and_forgotten(begin: Begin, settings: BotsSettings) -> None:
    """Those of another stack stay, and those that ended before count for nothing."""
    another = uuid.uuid4().hex
    for script in (OBEY, OBEY, "exit 0"):
        begin(script)
    begin(OBEY, another)
    bots = LaunchedBots(settings, Notes())

    stopped = await bots.stop()

    assert (stopped, await bots.count()) == (2, 0)
    assert labelled(settings.deployment) == 0
    assert labelled(another) == 1


async def test_whoever_is_in_a_hurry_waits_for_no_container(begin: Begin, settings: BotsSettings) -> None:
    """A second Ctrl-C ends at once what does not obey."""
    begin(IGNORE)
    bots = LaunchedBots(settings, Notes())
    bots.hurry()

    assert await bots.count() == 1
    assert await bots.stop() == 1
    assert labelled(settings.deployment) == 0


async def test_an_engine_that_is_away_is_told_and_holds_nothing_up(tmp_path: Path) -> None:
    """The rest of the stack is stopped all the same."""
    notes = Notes()
    bots = LaunchedBots(settings_of(tmp_path, **NOBODY), notes)

    assert (await bots.count(), await bots.stop()) == (0, 0)
    assert notes.told == ["bots that may still run were not asked for: " + away()] * 2


async def test_a_killed_run_leaves_no_container_to_a_run_that_launches_processes(
    begin: Begin, settings: BotsSettings, tmp_path: Path
) -> None:
    """Nobody else would look for it; those of this run's own runtime find their stack again and go on."""
    begin(OBEY)
    stack, notes = a_stack(tmp_path), Notes()
    await greet_leftovers(stack, LaunchedBots(settings, notes), notes)
    gone_on = labelled(settings.deployment)

    await greet_leftovers(stack, LaunchedBots(stack.bots_settings(), notes), notes)

    assert gone_on == 1
    assert labelled(settings.deployment) == 0
    assert notes.told == ["1 bot of an earlier run may go on", "1 bot of an earlier run stopped"]


def test_each_stack_has_a_label_of_its_own(tmp_path: Path) -> None:
    """Otherwise one would end the bots of another on the same engine as strangers."""
    first, second = (settings_of(tmp_path / name, **NOBODY) for name in ("first", "second"))

    assert first.deployment != second.deployment
    assert first.deployment == settings_of(tmp_path / "first", **NOBODY).deployment


def settings_of(folder: Path, **env: str) -> BotsSettings:
    return a_stack(folder).bots_settings(**env)


def a_stack(folder: Path) -> Stack:
    return Stack(
        settings=LocalSettings(),
        state=State(folder),
        ports=Ports(),
        secrets=Secrets(admin_api_key="a" * 43, token_signing_key="t" * 43, postgres_password="p"),
    )


def labelled(deployment: str) -> int:
    with contextlib.closing(docker.DockerClient()) as engine:
        return len(engine.containers.list(all=True, filters={"label": f"vexa.deployment={deployment}"}))


def away() -> str:
    return "the Docker engine does not answer at tcp://127.0.0.1:9"
