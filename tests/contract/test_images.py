"""What the images install is what was tested."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
IMAGES = (
    "functions/requirements.txt",
    "gpu-pool/requirements.txt",
    "gpu-pool/requirements-cuda.txt",
    "bot/requirements.txt",
)
ONLY_ON_A_GPU = {"nvidia-cublas-cu12", "nvidia-cuda-nvrtc-cu12"}
PINNED = re.compile(r"^(?P<name>[a-z0-9.-]+)==(?P<version>\S+)", re.MULTILINE)


@pytest.mark.parametrize("file", IMAGES)
def test_an_image_has_the_versions_that_the_tests_have(file: str) -> None:
    """A library in an image is the one of local-dev; what only a GPU needs is told by name."""
    tested = set(PINNED.findall((ROOT / "local-dev" / "requirements.txt").read_text()))
    installed = set(PINNED.findall((ROOT / file).read_text()))

    assert {name for name, _ in installed - tested} <= ONLY_ON_A_GPU
    assert len(installed) > 10
