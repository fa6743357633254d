"""The OpenAPI document is that of the code, and says what a reader needs."""

from vexa_functions.gateway.docs_page import CONTENT_SECURITY_POLICY, STYLE, docs_page
from vexa_functions.gateway.table import DOCUMENT, read_document
from vexa_functions.hosting.operations import Caller
from vexa_functions.openapi import document, operations, render


def test_the_document_is_current() -> None:
    """Whoever changes a route generates anew: python -m vexa_functions.openapi."""
    assert DOCUMENT.read_text() == render(operations())


def test_every_public_operation_is_in_the_document_and_no_other() -> None:
    """Bots and the Broker have doors of their own."""
    described = document(operations())["paths"]
    listed = {(method, path) for path, methods in described.items() for method in methods}

    assert len(listed) == len(operations())
    assert all(operation.caller not in {Caller.BOT, Caller.BROKER} for _, operation in operations())
    assert not any(path.startswith(("/internal", "/events")) for _, path in listed)


def test_every_operation_says_who_may_call_it_and_what_comes_back() -> None:
    """A summary, the statuses of its caller's refusals, and a schema behind every reference."""
    described = read_document()
    schemas = described["components"]["schemas"]

    for path, methods in described["paths"].items():
        for operation in methods.values():
            assert operation["summary"], path
            if operation["x-vexa"]["caller"] != "anybody":
                assert {"401", "403", "429", "503"} <= set(operation["responses"]), path
    assert all(name in schemas for name in _references(described))


def test_the_page_for_people_names_every_route_and_loads_nothing() -> None:
    """No script, no other host; the one style is allowed by its hash."""
    page = docs_page(read_document())

    assert all(path in page for path in read_document()["paths"])
    assert "<script" not in page
    assert "src=" not in page
    assert 'href="http' not in page
    assert f"<style>{STYLE}</style>" in page
    assert "default-src 'none'" in CONTENT_SECURITY_POLICY
    assert "unsafe" not in CONTENT_SECURITY_POLICY


def _references(node: object) -> set[str]:
    if isinstance(node, dict):
        own = {node["$ref"].removeprefix("#/components/schemas/")} if isinstance(node.get("$ref"), str) else set()
        return own.union(*map(_references, node.values()))
    if isinstance(node, list):
        return set().union(*map(_references, node))
    return set()
