"""`knative/deploy` with a real kubectl and an API that keeps what it is given."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from tests.ports import free_port

from .api_server import Cluster, serving
from .rendering import KNATIVE, LAPTOP, PRODUCTION, group_of, rendered
from .test_wiring import SECRETS

KEPT = {("Namespace", "vexa"), ("PersistentVolumeClaim", "models"), ("Secret", "vexa"), ("ConfigMap", "smoke")}


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """A cluster that has all that any overlay needs, and runs nothing yet."""
    found = Cluster()
    found.offer([*rendered(LAPTOP), *rendered(PRODUCTION)])
    with serving(found):
        yield found


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Where kubectl keeps what it has learnt."""
    return tmp_path


def deploy(home: Path, url: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    cluster = {"name": "c", "cluster": {"server": url}}
    context = {"name": "c", "context": {"cluster": "c", "user": "u"}}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [cluster],
        "contexts": [context],
        "current-context": "c",
    }
    (home / "config").write_text(yaml.safe_dump(config | {"users": [{"name": "u", "user": {"token": "t"}}]}))
    env = {"PATH": os.environ["PATH"], "HOME": str(home), "KUBECONFIG": str(home / "config"), "NO_PROXY": "*"}
    command = [str(KNATIVE / "deploy"), "--timeout-s", "20", *arguments]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=300, check=False)


def test_a_deployment_comes_is_repeated_and_goes(cluster: Cluster, home: Path) -> None:
    """Everything rendered is there, migrated before anything uses it; what holds data outlives it all."""
    wanted = {(one["kind"], one["metadata"]["name"]) for one in rendered(LAPTOP)} | KEPT

    first = deploy(home, cluster.url, "--skip-smoke")
    secret, order = dict(cluster.objects["", "secrets", "vexa"]["data"]), list(cluster.applied)
    again = deploy(home, cluster.url, "--skip-smoke")

    assert (first.returncode, again.returncode) == (0, 0), first.stderr + again.stderr
    assert cluster.names == wanted
    assert secret.keys() == SECRETS.keys()
    assert cluster.objects["", "secrets", "vexa"]["data"] == secret
    assert not [value for value in secret.values() if value in first.stdout + first.stderr]
    assert order.index("Namespace vexa") == 0
    assert order.index("Secret vexa") < order.index("Job migrate") < order.index("Service collector")

    gone = deploy(home, cluster.url, "--delete")

    assert gone.returncode == 0, gone.stderr
    assert cluster.names == KEPT


def test_a_dry_run_needs_no_cluster(home: Path) -> None:
    """It names every object, every wait and the meeting."""
    said = deploy(home, f"http://127.0.0.1:{free_port()}", "--dry-run", "--overlay", "production")

    assert said.returncode == 0, said.stderr
    assert [line for line in said.stdout.splitlines() if line.strip() == "Service gateway"]
    assert "kubectl wait --for=condition=complete job/migrate" in said.stdout
    assert "knative/smoke --url" in said.stdout


def test_production_asks_for_its_secret(cluster: Cluster, home: Path) -> None:
    """Where the databases are, only its owner knows."""
    refused = deploy(home, cluster.url, "--overlay", "production")

    assert refused.returncode == 1
    assert "make the Secret vexa in namespace vexa first, with DATABASE_URL" in refused.stderr


def test_what_a_cluster_lacks_is_named(cluster: Cluster, home: Path) -> None:
    """Kubernetes alone does not know a function."""
    cluster.kinds = {key: kind for key, kind in cluster.kinds.items() if key[0] != "serving.knative.dev"}

    refused = deploy(home, cluster.url)

    assert refused.returncode == 1
    assert "Knative Serving is not installed (no services.serving.knative.dev)" in refused.stderr
    assert cluster.applied == []


def test_no_cluster_is_no_traceback(home: Path) -> None:
    """The first thing that goes wrong on a new machine."""
    refused = deploy(home, f"http://127.0.0.1:{free_port()}")

    assert (refused.returncode, refused.stdout) == (1, "")
    assert "no cluster answers" in refused.stderr


def test_deploy_knows_whose_kinds_an_overlay_needs() -> None:
    """A kind of somebody else's that deploy does not look for would fail halfway."""
    text = (KNATIVE / "deploy").read_text()
    groups = {group_of(one) for name in (LAPTOP, PRODUCTION) for one in rendered(name)}

    assert {"serving.knative.dev", "eventing.knative.dev", "keda.sh", "monitoring.coreos.com"} <= groups
    assert [group for group in groups if group.endswith((".sh", ".com")) and group not in text] == []
