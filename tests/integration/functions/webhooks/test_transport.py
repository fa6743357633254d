"""What the transport of webhooks connects to, on real sockets."""

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from vexa_events.errors import InvalidMessage
from vexa_functions.webhooks.addresses import Address, parse_address
from vexa_functions.webhooks.transport import PublicTransport

LOOPBACKS = (
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "0",
    "0.0.0.0",
    "2130706433",
    "017700000001",
    "0x7f000001",
    "0x7f.1",
    "0177.0.0.1",
    "127.0.0.1.",
    "localhost",
    "LOCALHOST",
    "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[0:0:0:0:0:ffff:7f00:1]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
    "\uff11\uff12\uff17.0.0.1",
    "①②⑦.⓪.⓪.①",
    "127。0。0。1",
)
"""Spellings by which a URL can name this machine."""


class Names:
    """A resolver that answers from a list, one answer a question."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.asked: list[str] = []
        self._answers = list(answers)

    async def __call__(self, host: str, port: int) -> Sequence[Address]:
        self.asked.append(host)
        return [parse_address(text) for text in self._answers.pop(0)]


@asynccontextmanager
async def a_client(**options: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=PublicTransport(**options), timeout=5, trust_env=False) as client:
        yield client


@pytest.fixture
async def receiver(serve: Any) -> str:
    """A server on this machine that tells which host it was asked for."""

    async def tell(request: Request) -> Response:
        return PlainTextResponse(request.headers["host"])

    url: str = await serve(Starlette(routes=[Route("/", tell)]))
    return url


@pytest.mark.parametrize("host", LOOPBACKS)
async def test_no_spelling_of_this_machine_is_reached(host: str, receiver: str) -> None:
    """The receiver listens and would answer."""
    port = httpx.URL(receiver).port
    async with a_client(allow_loopback=False) as client:
        with pytest.raises((InvalidMessage, httpx.ConnectError, httpx.InvalidURL)):
            await client.get(f"http://{host}:{port}/")


async def test_local_dev_reaches_this_machine(receiver: str) -> None:
    """The refusals above are not for want of a listener."""
    async with a_client(allow_loopback=True) as client:
        answer = await client.get(receiver)

    assert answer.status_code == 200


async def test_a_name_is_resolved_once_and_keeps_its_host_header(receiver: str) -> None:
    """What was checked is what is connected to: a second answer of the resolver changes nothing."""
    names = Names(["127.0.0.1"], ["10.0.0.1"])
    port = httpx.URL(receiver).port
    async with a_client(allow_loopback=True, resolver=names) as client:
        answer = await client.get(f"http://hooks.example:{port}/")

    assert answer.text == f"hooks.example:{port}"
    assert names.asked == ["hooks.example"]


async def test_one_private_address_among_public_ones_is_refused() -> None:
    """A name that mixes them is up to something."""
    async with a_client(allow_loopback=False, resolver=Names(["93.184.216.34", "169.254.169.254"])) as client:
        with pytest.raises(InvalidMessage, match="public internet"):
            await client.get("http://hooks.example/")


async def test_the_next_address_is_tried_when_one_does_not_answer(receiver: str) -> None:
    """A name with two addresses of which one is down still works."""
    names = Names(["127.0.0.2", "127.0.0.1"])
    async with a_client(allow_loopback=True, resolver=names) as client:
        answer = await client.get(f"http://hooks.example:{httpx.URL(receiver).port}/")

    assert answer.status_code == 200


async def test_a_name_without_an_address_is_a_failure_that_may_pass() -> None:
    """A resolver that is down for a minute costs nobody a notice."""

    async def fail(host: str, port: int) -> Sequence[Address]:
        raise OSError(f"no address for {host}:{port}")

    async with a_client(allow_loopback=True, resolver=fail) as client:
        with pytest.raises(httpx.ConnectError):
            await client.get("http://hooks.example/")


@pytest.mark.parametrize(("name", "is_trusted"), [("hooks.example", True), ("other.example", False)])
async def test_the_certificate_is_checked_against_the_name(name: str, is_trusted: bool, tmp_path: Path) -> None:
    """Connecting to an address takes nothing from TLS: the certificate must be the name's."""
    certificate, key = _certificate(tmp_path, name)
    trust = ssl.create_default_context(cafile=str(certificate))
    async with (
        _tls_server(certificate, key) as port,
        a_client(allow_loopback=True, resolver=Names(["127.0.0.1"]), tls=trust) as client,
    ):
        answered = await _answers(client, f"https://hooks.example:{port}/")

    assert answered is is_trusted


async def _answers(client: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await client.get(url)).status_code == 200
    except httpx.ConnectError:
        return False


def _certificate(folder: Path, name: str) -> tuple[Path, Path]:
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    subject = ["-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", *subject]
    subprocess.run([*command, "-out", certificate, "-keyout", key], check=True, capture_output=True, timeout=30)
    return certificate, key


@asynccontextmanager
async def _tls_server(certificate: Path, key: Path) -> AsyncIterator[int]:
    async def answer(reader: Any, writer: Any) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)
    async with await asyncio.start_server(answer, "127.0.0.1", 0, ssl=tls) as server:
        yield server.sockets[0].getsockname()[1]
