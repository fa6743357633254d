"""What the gateway serves to browsers."""

import re
from collections.abc import AsyncIterator

import httpx
import pytest

from vexa_functions.gateway.app import build
from vexa_functions.gateway.dashboard_files import FOLDER
from vexa_functions.gateway.settings import GatewaySettings

BROWSER = {"accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


@pytest.fixture
async def gateway() -> AsyncIterator[httpx.AsyncClient]:
    """A gateway that reaches nothing: files need nothing."""
    nowhere = "http://127.0.0.1:9"
    function = build(
        GatewaySettings.from_env(
            {
                "DATABASE_URL": "postgresql://vexa@127.0.0.1:9/vexa",
                "REDIS_URL": "redis://127.0.0.1:9",
                "TOKEN_SIGNING_KEY": "a signing key for tests, 32 bytes or more",
                "ADMIN_API_URL": nowhere,
                "BOT_MANAGER_URL": nowhere,
                "TRANSCRIPTION_COLLECTOR_URL": nowhere,
            }
        )
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(function.app), base_url="http://gateway") as client:
        yield client
    await function.aclose()


async def test_a_browser_gets_the_page_and_others_get_health(gateway: httpx.AsyncClient) -> None:
    """One address for both, told apart by what the caller accepts."""
    page = await gateway.get("/", headers=BROWSER)
    plain = await gateway.get("/")

    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert plain.json()["status"] == "ok"
    assert page.headers["vary"] == plain.headers["vary"] == "Accept"


async def test_the_policy_lets_in_our_own_files_alone(gateway: httpx.AsyncClient) -> None:
    """Nothing inline, nothing from elsewhere, no frame around it."""
    policy = (await gateway.get("/", headers=BROWSER)).headers["content-security-policy"]

    directives = dict(directive.strip().partition(" ")[::2] for directive in policy.split(";"))
    assert directives["default-src"] == directives["base-uri"] == directives["frame-ancestors"] == "'none'"
    assert directives["script-src"] == directives["style-src"] == directives["connect-src"] == "'self'"
    assert "unsafe" not in policy
    assert "http" not in policy


async def test_every_file_that_the_page_names_is_served(gateway: httpx.AsyncClient) -> None:
    """The page's links and the modules' imports, each with its type."""
    text = "".join(file.read_text() for file in FOLDER.iterdir())
    linked = set(re.findall(r'(?:href|src)[=:] ?"/dashboard/([^"]+)"', text))
    imported = set(re.findall(r'from "\./([^"]+)"', text))

    answers = {name: await gateway.get(f"/dashboard/{name}") for name in linked | imported}

    assert {"app.js", "style.css", "icon.svg", "transcript.js"} <= set(answers)
    assert {answer.status_code for answer in answers.values()} == {200}
    assert answers["app.js"].headers["content-type"].startswith("text/javascript")
    assert answers["style.css"].headers["content-type"].startswith("text/css")
    assert all(answer.headers["x-content-type-options"] == "nosniff" for answer in answers.values())


@pytest.mark.parametrize("name", ["nothing.js", "%2e%2e", "%2e%2e%2fapp.py", "..%2fsettings.py", "app.js%00", "%00"])
async def test_no_other_file_is_served(gateway: httpx.AsyncClient, name: str) -> None:
    """Names are looked up in a list, not on the disk."""
    answer = await gateway.get(f"/dashboard/{name}")

    assert answer.status_code in {404, 422}
    assert "import" not in answer.text


async def test_a_known_file_is_not_sent_again(gateway: httpx.AsyncClient) -> None:
    """A page that is opened often costs one small answer a file."""
    first = await gateway.get("/dashboard/app.js")

    again = await gateway.get("/dashboard/app.js", headers={"if-none-match": first.headers["etag"]})

    assert (again.status_code, again.content) == (304, b"")


def test_nothing_is_inline_or_from_elsewhere() -> None:
    """What the policy would stop is not there to begin with, and text never becomes markup."""
    sources = {file.name: file.read_text() for file in FOLDER.iterdir()}
    page = sources["index.html"]

    assert not re.search(r"\sstyle=|\son\w+=|<style|javascript:", page)
    assert re.findall(r"<script[^>]*>", page) == ['<script type="module" src="/dashboard/app.js">']
    for name, source in sources.items():
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", source), name
        assert not re.findall(
            r"https?://(?!www\.w3\.org/2000/svg|meet\.google\.com/abc-defg-hij|example\.org/)", source
        ), name
