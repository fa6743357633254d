"""What the gateway passes on."""

from typing import Any

import pytest

from vexa_functions.gateway.table import Table, read_document


def a_document(*routes: tuple[str, str]) -> dict[str, Any]:
    return {
        "paths": {
            f"/{number}": {
                method.lower(): {
                    "parameters": [],
                    "x-vexa": {"function": path.split("/")[1], "path": path, "caller": "user", "scope": None},
                }
            }
            for number, (method, path) in enumerate(routes)
        }
    }


TABLE = Table(
    a_document(
        ("GET", "/things/fixed"),
        ("GET", "/things/{id}"),
        ("POST", "/things/{id}/parts"),
        ("GET", "/mail/{email:path}"),
        ("GET", "/gateway/own"),
    )
)


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/things/fixed", {"GET", "HEAD"}),
        ("/things/7", {"GET", "HEAD"}),
        ("/things/7/parts", {"POST"}),
        ("/mail/a/b@example.org", {"GET", "HEAD"}),
        ("/gateway/own", set()),
        ("/things", set()),
        ("/things/", set()),
        ("/things/7/", set()),
        ("/things/7/parts/8", set()),
        ("/things/..", set()),
        ("/mail/../things/7/parts", set()),
        ("//things/7", set()),
        ("", set()),
    ],
)
def test_only_what_the_document_names_is_passed_on(path: str, methods: set[str]) -> None:
    """Every other path, and every detour to a path, leads nowhere."""
    assert set(TABLE.methods_of(path)) == methods


def test_the_gateways_own_document_names_no_internal_route() -> None:
    """Callbacks, ticks and sinks are not public."""
    table = Table(read_document())

    for path in ("/events", "/internal/tick", "/internal/sessions/x/epochs", "/healthz", "/ws"):
        assert not table.methods_of(path)
    assert set(table.methods_of("/bots")) == {"POST"}
