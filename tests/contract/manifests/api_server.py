"""
A Kubernetes API that keeps what it is given, for a real kubectl.

It speaks discovery, get, list, watch, server-side apply and delete of objects of any
kind, and reports everything as ready at once, as controllers would in time.
"""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

Document = dict[str, Any]
Key = tuple[str, str, str]
"""Group, plural and name."""
CLUSTER_WIDE = {
    "ClusterDomainClaim",
    "CustomResourceDefinition",
    "Namespace",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
}
PATH = re.compile(
    r"^/(?:api|apis/(?P<group>[^/]+))/(?P<version>[^/]+)"
    r"(?:/namespaces/[^/]+(?=/[a-z]))?/(?P<plural>[a-z]+)(?:/(?P<name>[^/]+))?$"
)
SHORT_NAMES = {"services.serving.knative.dev": ["ksvc"], "customresourcedefinitions.apiextensions.k8s.io": ["crd"]}
VERBS = ["create", "delete", "get", "list", "patch", "update", "watch"]
URL = "http://gateway.vexa.example"
NOT_FOUND = 404


@dataclass
class Cluster:
    """What the API holds."""

    kinds: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    """Version and kind, by group and plural."""
    objects: dict[Key, Document] = field(default_factory=dict)
    applied: list[str] = field(default_factory=list)
    """Kind and name of whatever was written, in order."""
    url: str = ""

    @property
    def names(self) -> set[tuple[str, str]]:
        return {(one["kind"], one["metadata"]["name"]) for one in self.objects.values()}

    def offer(self, documents: list[Document]) -> None:
        """Know the kinds of these objects, and a definition for each that is not Kubernetes' own."""
        for one in documents:
            group, _, version = one["apiVersion"].rpartition("/")
            self.kinds[group, plural_of(one["kind"])] = (version, one["kind"])
        self.kinds["", "secrets"] = ("v1", "Secret")
        self.kinds["", "pods"] = ("v1", "Pod")
        self.kinds["apiextensions.k8s.io", "customresourcedefinitions"] = ("v1", "CustomResourceDefinition")

    def has_definition(self, name: str) -> bool:
        plural, _, group = name.partition(".")
        return (group, plural) in self.kinds

    def write(self, key: Key, document: Document) -> Document:
        """Keep an object, and let the controllers do their work."""
        document["metadata"] |= {"uid": "1", "resourceVersion": "1", "generation": 1}
        if document["kind"] == "StatefulSet":
            document["spec"].setdefault("updateStrategy", {"type": "RollingUpdate"})
        document["status"] = status_of(document)
        if document["kind"] == "Secret":
            document["data"] = document.pop("stringData", {})
        self.objects[key] = document
        self.applied.append(f"{document['kind']} {document['metadata']['name']}")
        return document


def plural_of(kind: str) -> str:
    return f"{kind[:-1]}ies".lower() if kind.endswith("y") else f"{kind}s".lower()


def status_of(document: Document) -> Document:
    """Say that all is well."""
    replicas = document.get("spec", {}).get("replicas", 1)
    counts = ("replicas", "readyReplicas", "updatedReplicas", "availableReplicas", "currentReplicas")
    conditions = [{"type": kind, "status": "True"} for kind in ("Ready", "Complete", "Available")]
    return {"observedGeneration": 1, "conditions": conditions, "url": URL, **dict.fromkeys(counts, replicas)}


@contextmanager
def serving(cluster: Cluster) -> Iterator[Cluster]:
    """Answer on a port of its own while the block lasts."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"cluster": cluster}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    cluster.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield cluster
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    cluster: Cluster
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        known = _about(self.cluster, url.path)
        if known is not None:
            self._answer(known)
        elif match := PATH.match(url.path):
            self._read(match, {name: values[-1] for name, values in parse_qs(url.query).items()})
        else:
            self._refuse()

    def do_PATCH(self) -> None:
        assert self.headers["content-type"] == "application/apply-patch+yaml"
        document = self._body()
        self._answer(self.cluster.write(self._key(document["metadata"]["name"]), document))

    def do_DELETE(self) -> None:
        self._body()
        found = self.cluster.objects.pop(self._key(urlsplit(self.path).path.rpartition("/")[2]), None)
        self._answer({"kind": "Status", "apiVersion": "v1", "status": "Success"}) if found else self._refuse()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        """Say nothing."""

    def _read(self, match: "re.Match[str]", query: dict[str, str]) -> None:
        group, plural, name = match["group"] or "", match["plural"], match["name"]
        if (group, plural) == ("apiextensions.k8s.io", "customresourcedefinitions") and name:
            definition = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition"}
            is_there = self.cluster.has_definition(name)
            self._answer({**definition, "metadata": {"name": name}}) if is_there else self._refuse()
        elif name:
            found = self.cluster.objects.get((group, plural, name))
            self._answer(found) if found else self._refuse()
        else:
            self._list(group, plural, query)

    def _list(self, group: str, plural: str, query: dict[str, str]) -> None:
        version, kind = self.cluster.kinds[group, plural]
        wanted = query.get("fieldSelector", "").removeprefix("metadata.name=")
        items = [
            one
            for (its_group, its_plural, name), one in self.cluster.objects.items()
            if (its_group, its_plural) == (group, plural)
            and wanted in {"", name}
            and ("labelSelector" not in query or query["labelSelector"] in _labels(one))
        ]
        if query.get("watch"):
            self._answer({}, lines=[json.dumps({"type": "ADDED", "object": one}) for one in items])
            return
        api = f"{group}/{version}" if group else version
        self._answer({"apiVersion": api, "kind": f"{kind}List", "metadata": {"resourceVersion": "1"}, "items": items})

    def _key(self, name: str) -> Key:
        match = PATH.match(urlsplit(self.path).path)
        assert match is not None, self.path
        return (match["group"] or "", match["plural"], name)

    def _body(self) -> Any:
        return yaml.safe_load(self.rfile.read(int(self.headers.get("content-length", "0"))))

    def _refuse(self) -> None:
        status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": NOT_FOUND}
        self._answer({**status, "message": f"{self.path} is not there"}, NOT_FOUND)

    def _answer(self, document: Document, code: int = 200, *, lines: list[str] | None = None) -> None:
        text = json.dumps(document) if lines is None else "".join(f"{line}\n" for line in lines)
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())


def _about(cluster: Cluster, path: str) -> Document | None:
    """Say what the API offers."""
    groups: dict[str, set[str]] = {}
    for (group, _), (version, _) in cluster.kinds.items():
        groups.setdefault(group, set()).add(version)
    if path == "/apis":
        return {
            "kind": "APIGroupList",
            "apiVersion": "v1",
            "groups": [_group(*one) for one in groups.items() if one[0]],
        }
    served = {_path(group, version): (group, version) for group in groups for version in groups[group]}
    if path == "/openapi/v3":
        return {"paths": {one: {"serverRelativeURL": f"/openapi/v3/{one}?hash=1"} for one in served}}
    if path.removeprefix("/openapi/v3/") in served:
        return _openapi(cluster, *served[path.removeprefix("/openapi/v3/")])
    if path.removeprefix("/") in served:
        return _resources(cluster, *served[path.removeprefix("/")])
    return _ABOUT.get(path)


def _path(group: str, version: str) -> str:
    return f"apis/{group}/{version}" if group else f"api/{version}"


def _group(name: str, versions: set[str]) -> Document:
    spelled = [{"groupVersion": f"{name}/{version}", "version": version} for version in sorted(versions)]
    return {"name": name, "versions": spelled, "preferredVersion": spelled[0]}


def _resources(cluster: Cluster, group: str, version: str) -> Document:
    found = [
        {
            "name": plural,
            "singularName": kind.lower(),
            "kind": kind,
            "namespaced": kind not in CLUSTER_WIDE,
            "verbs": VERBS,
            "shortNames": SHORT_NAMES.get(f"{plural}.{group}", []),
        }
        for (its_group, plural), (its_version, kind) in cluster.kinds.items()
        if (its_group, its_version) == (group, version)
    ]
    api = f"{group}/{version}" if group else version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": api, "resources": found}


def _labels(document: Document) -> set[str]:
    return {f"{name}={value}" for name, value in document["metadata"].get("labels", {}).items()}


def _openapi(cluster: Cluster, group: str, version: str) -> Document:
    """Say of every kind that the server itself refuses unknown fields, so that kubectl need not."""
    parameter = {"name": "fieldValidation", "in": "query", "schema": {"type": "string"}}
    paths = {
        f"/{plural}": {
            "patch": {
                "parameters": [parameter],
                "responses": {},
                "x-kubernetes-group-version-kind": {"group": group, "version": version, "kind": kind},
            }
        }
        for (its_group, plural), (its_version, kind) in cluster.kinds.items()
        if (its_group, its_version) == (group, version)
    }
    return {"openapi": "3.0.0", "info": {"title": "kubernetes", "version": version}, "paths": paths}


_ABOUT: dict[str, Document] = {
    "/version": {"major": "1", "minor": "33", "gitVersion": "v1.33.0"},
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
}
