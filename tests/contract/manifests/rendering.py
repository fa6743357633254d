"""The manifests as a cluster gets them: what kustomize makes of each overlay, and of each component over the base."""

import copy
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

KNATIVE = Path(__file__).resolve().parents[3] / "knative"
LAPTOP, PRODUCTION = OVERLAYS = ("overlays/laptop", "overlays/production")
COMPONENTS = tuple(sorted(f"components/{folder.name}" for folder in (KNATIVE / "components").iterdir()))
EVERYTHING = (*OVERLAYS, *COMPONENTS)
SERVING = "serving.knative.dev"
Document = dict[str, Any]
Documents = list[Document]
Breach = Callable[[Documents], object]
"""Spoils a copy of the manifests in one place."""


def rendered(name: str) -> Documents:
    """Return a copy of every object."""
    return copy.deepcopy(_rendered(name))


def spoiled(breach: Breach, name: str = PRODUCTION) -> Documents:
    """Return a copy that is broken in one place."""
    documents = rendered(name)
    breach(documents)
    return documents


def group_of(document: Document) -> str:
    """Return the API group; of core objects the empty one."""
    return str(document["apiVersion"]).rpartition("/")[0]


def of_kind(documents: Documents, kind: str, group: str | None = None) -> Iterator[Document]:
    return (one for one in documents if one["kind"] == kind and (group is None or group_of(one) == group))


def named(documents: Documents, kind: str, name: str, group: str | None = None) -> Document:
    (found,) = (one for one in of_kind(documents, kind, group) if one["metadata"]["name"] == name)
    return found


def functions(documents: Documents) -> list[Document]:
    """Return the Services of Knative."""
    return list(of_kind(documents, "Service", SERVING))


def function(documents: Documents, name: str) -> Document:
    return named(documents, "Service", name, SERVING)


def pod_specs(documents: Documents) -> Iterator[tuple[str, Document]]:
    """Yield the pod of each workload, under a name that tells where it stands."""
    for one in documents:
        if one["kind"] in {"Deployment", "StatefulSet", "Job"} or (
            group_of(one) == SERVING and one["kind"] == "Service"
        ):
            yield f"{one['kind']} {one['metadata']['name']}", one["spec"]["template"]["spec"]


def container(document: Document) -> Document:
    """Return the only container of a workload."""
    (found,) = document["spec"]["template"]["spec"]["containers"]
    assert isinstance(found, dict)
    return found


def literal_env(document: Document) -> Mapping[str, str]:
    """Return what a workload's container is told outright."""
    return {one["name"]: one["value"] for one in container(document).get("env", []) if "value" in one}


@cache
def _rendered(name: str) -> Documents:
    if name in OVERLAYS:
        return _kustomize(KNATIVE / name)
    with tempfile.TemporaryDirectory() as folder:
        base, component = (os.path.relpath(KNATIVE / part, folder) for part in ("base", name))
        Path(folder, "kustomization.yaml").write_text(f"resources: [{base}]\ncomponents: [{component}]\n")
        return _kustomize(Path(folder))


def _kustomize(folder: Path) -> Documents:
    kubectl = Path(sys.executable).with_name("kubectl")
    done = subprocess.run([kubectl, "kustomize", folder], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return list(yaml.load_all(done.stdout, yaml.CSafeLoader))
