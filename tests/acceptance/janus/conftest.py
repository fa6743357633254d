"""One network with one stack and one Janus a file of tests."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.acceptance.janus.town import Town
from tests.acceptance.janus.voices import Voices

JANUS = Path(__file__).parent
NEEDED = ("chromium", "janus", "ip", "unshare")
DEMOS = Path("/usr/share/janus/demos")
STARTED_WITHIN_S = 120.0


@pytest.fixture(scope="module")
def town(
    tmp_path_factory: pytest.TempPathFactory,
    stack_control: Any,
    meetings_dir: Path,
    free_port_offset: Callable[[], int],
) -> Iterator[Town]:
    """One private network with one stack and one Janus for every test here."""
    _require_programs()
    folder = tmp_path_factory.mktemp("town")
    offset = free_port_offset()
    env_file = stack_control.state_dir(offset) / "env"
    env_file.unlink(missing_ok=True)
    command = [sys.executable, str(JANUS / "stage.py"), str(folder / "door"), str(folder), str(offset), str(env_file)]
    added = {
        "VEXA_REPLAY_DIR": str(meetings_dir),
        "BOT_PLATFORMS": "janus",
        "BOT_SELF_HOSTED": "janus=localhost:8000",
        "FINALIZE_TIMEOUT_S": "20",
    }
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [str(JANUS / "private-network"), *command], env={**os.environ, **added}, stdout=log, stderr=log
        )
    try:
        _wait_for_door(process, folder)
        key = dict(line.split("=", 1) for line in env_file.read_text().splitlines() if "=" in line)["VEXA_API_KEY"]
        transport = httpx.HTTPTransport(uds=str(folder / "door"))
        with httpx.Client(transport=transport, base_url="http://town", timeout=90, headers={"x-api-key": key}) as door:
            yield Town(process=process, folder=folder, door=door)
    finally:
        process.kill()
        process.wait(timeout=10)
        shutil.rmtree(stack_control.state_dir(offset), ignore_errors=True)


@pytest.fixture(scope="module")
def voices(meetings_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Voices:
    """People whose every word is known."""
    return Voices(meetings_dir, tmp_path_factory.mktemp("voices"))


def _require_programs() -> None:
    """On CI, install what is missing and insist; on a laptop, skip."""
    in_ci = os.environ.get("CI") == "true"
    if in_ci and _missing() and os.geteuid() == 0:
        subprocess.run([str(JANUS / "setup")], check=True, timeout=300)
    if missing := _missing():
        told = f"missing: {', '.join(missing)}; tests/acceptance/janus/setup installs them"
        pytest.fail(told) if in_ci else pytest.skip(told)


def _missing() -> list[str]:
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    missing = [name for name in NEEDED if shutil.which(name, path=path) is None]
    if not DEMOS.is_dir():
        missing.append("janus-demos")
    if not missing and subprocess.run([str(JANUS / "private-network"), "true"], check=False, timeout=20).returncode:
        missing.append("the right to make a network namespace")
    return missing


def _wait_for_door(process: "subprocess.Popen[bytes]", folder: Path) -> None:
    deadline = time.monotonic() + STARTED_WITHIN_S
    while not (folder / "door").exists():
        log = (folder / "log").read_text(errors="replace")[-3_000:]
        assert process.poll() is None, log
        assert time.monotonic() < deadline, log
        time.sleep(0.2)
