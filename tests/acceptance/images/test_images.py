"""The images are small and harmless, and a meeting is attended by nothing but containers of them."""

import json
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import docker
import httpx
import jiwer
import pytest
from whisper_normalizer.english import EnglishTextNormalizer

MEETING = "standup"
MAX_MB = {"vexa/functions:0.1.0": 400, "vexa/pool:0.1.0": 800, "vexa/bot:0.1.0": 1_150}
TOOLS = ("gcc", "cc", "make", "git", "curl")
STORED_WITHIN_S = 180.0
MAX_ERRORS_PER_SPEAKER = 2
normalize = EnglishTextNormalizer()

pytestmark = pytest.mark.slow


def test_an_image_is_lean_and_runs_without_rights(images: Mapping[str, str], engine: docker.DockerClient) -> None:
    """No compiler, nobody's root, labelled, and no larger than the README says."""
    for tag in images:
        image = engine.images.get(tag)

        assert image.attrs["Config"]["User"] == "10001:10001"
        assert image.labels["org.opencontainers.image.title"] == tag.split(":")[0]
        assert image.attrs["Size"] / 1e6 < MAX_MB[tag]
        look = "for tool in {}; do command -v $tool; done; true".format(" ".join(TOOLS))
        assert engine.containers.run(tag, ["sh", "-c", look], entrypoint="", remove=True, read_only=True) == b""


def test_no_model_and_no_secret_lies_in_an_image(images: Mapping[str, str], engine: docker.DockerClient) -> None:
    """Weights are mounted or baked by name, never there by accident; neither are keys, tests or recordings."""
    find = "find / -xdev -name model.bin -o -xdev -path '/opt/vexa/*' \\( -name '*.flac' -o -name '.env' \\)"
    for tag in images:
        assert engine.containers.run(tag, ["sh", "-c", f"{find} 2>/dev/null; true"], entrypoint="", remove=True) == b""


def test_a_function_that_is_not_named_does_not_start(images: Mapping[str, str]) -> None:
    """Without FUNCTION_TARGET the container ends with a word that says so."""
    done = subprocess.run(
        ["docker", "run", "--rm", "vexa/functions:0.1.0"], capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode != 0
    assert "FUNCTION_TARGET" in done.stderr


def test_a_meeting_is_attended_by_containers_alone(running_cluster: Any, meetings_dir: Path) -> None:
    """From a new user's POST to the stored words: right speakers, nothing missing, no container left."""
    gateway = f"http://{running_cluster.address('gateway')}"
    with httpx.Client(base_url=gateway, timeout=30, trust_env=False, headers=_admin(running_cluster)) as admin:
        user = admin.post("/admin/users", json={"email": "ann@example.org"}).raise_for_status().json()
        key = admin.post(f"/admin/users/{user['id']}/tokens").raise_for_status().json()["token"]
    with httpx.Client(base_url=gateway, timeout=30, trust_env=False, headers={"x-api-key": key}) as api:
        sent = api.post("/bots", json={"platform": "replay", "native_meeting_id": MEETING})
        assert sent.status_code == 201, sent.text

        read = _finalized(api, running_cluster)

    assert read["status"] == "completed"
    assert read["coverage"]["missing"] == []
    for speaker, spoken in _spoken(meetings_dir / MEETING).items():
        heard = " ".join(segment["text"] for segment in read["segments"] if segment["speaker"] == speaker)
        measured = jiwer.process_words(normalize(spoken), normalize(heard))
        assert measured.substitutions + measured.deletions + measured.insertions <= MAX_ERRORS_PER_SPEAKER, heard


def _admin(cluster: Any) -> dict[str, str]:
    return {"x-admin-api-key": cluster.config["ADMIN_API_KEY"]}


def _finalized(api: httpx.Client, cluster: Any) -> dict[str, Any]:
    deadline = time.monotonic() + STORED_WITHIN_S
    while time.monotonic() < deadline:
        read: dict[str, Any] = api.get(f"/transcripts/replay/{MEETING}").raise_for_status().json()
        if read["finalized"]:
            return read
        time.sleep(1.0)
    logs = {name: container.logs(tail=5).decode() for name, container in cluster.containers.items()}
    pytest.fail(f"{read['status']} after {STORED_WITHIN_S} s: {read['coverage']}; {logs}")


def _spoken(folder: Path) -> dict[str, str]:
    lines = json.loads((folder / "reference.json").read_text())["lines"]
    speakers = {line["speaker"] for line in lines}
    return {name: " ".join(line["text"] for line in lines if line["speaker"] == name) for name in speakers}
