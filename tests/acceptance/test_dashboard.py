"""The dashboard in a real browser, on the running stack."""

import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, WebSocketRoute, expect, sync_playwright

CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ENDS_WITHIN_MS = 180_000
PATIENCE_MS = 60_000
expect.set_options(timeout=PATIENCE_MS)
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
MARKUP = "<img src=x onerror=\"document.title='broken'\"><b>bold</b>"
Open = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium that is installed on this machine."""
    found = next((path for name in CHROMIUMS if (path := shutil.which(name))), None)
    if found is None:
        missing = f"no browser: install one of {', '.join(CHROMIUMS)}"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture
def open_page(browser: Browser, stack: Any) -> Iterator[Open]:
    """Open the dashboard, as a browser that was never here, signed in unless told otherwise."""
    contexts: list[BrowserContext] = []
    faults: list[str] = []

    def opened(*, signed_in: bool = True, **options: Any) -> Page:
        context = browser.new_context(base_url=stack.env["VEXA_API_URL"], **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda message: faults.append(message.text) if "Content Security" in message.text else None)
        load(page)
        if signed_in:
            sign_in(page, stack.env["VEXA_API_KEY"])
        return page

    yield opened
    for context in contexts:
        context.close()
    assert faults == []


@pytest.fixture(scope="module")
def finished(stack: Any, reader: Any) -> dict[str, Any]:
    """A meeting that is over and stored."""
    reader.send_bot("standup")
    read: dict[str, Any] = reader.wait_until_finalized("standup", timeout_s=180)
    return read


def load(page: Page) -> None:
    """Open the page; Chromium gives files up when a network comes or goes, as those of containers do."""
    for _ in range(3):
        page.goto("/")
        if page.get_by_label("Your API key").count():
            return
    pytest.fail("the page does not come")


def sign_in(page: Page, key: str) -> None:
    page.get_by_label("Your API key").fill(key)
    page.keyboard.press("Enter")


def open_meeting(page: Page, meeting: dict[str, Any]) -> None:
    page.locator(f'[data-meeting="{meeting["id"]}"]').click()
    expect(page.locator(".turn").first).to_be_visible()


def shown_text(page: Page) -> str:
    return " ".join(page.locator(".segment").all_inner_texts()).replace("  ", " ").strip()


def stored_text(read: dict[str, Any]) -> str:
    in_order = sorted(read["segments"], key=lambda segment: (segment["start"], segment["end"], segment["segment_id"]))
    return " ".join(segment["text"].strip() for segment in in_order)


def wait_until_shown(page: Page, text: str, *, timeout_s: float = 180) -> None:
    deadline = time.monotonic() + timeout_s
    while (shown := shown_text(page)) != text:
        assert time.monotonic() < deadline, f"shown: {shown}"
        time.sleep(0.2)


def change_transcript(page: Page, change: Callable[[dict[str, Any]], None]) -> None:
    """Let the page read a transcript that we changed."""

    def answer(route: Route) -> None:
        read = route.fetch().json()
        change(read)
        route.fulfill(json=read)

    page.route("**/transcripts/**", answer)


def test_a_wrong_key_is_told_and_a_right_one_is_forgotten_on_leaving(open_page: Open, stack: Any) -> None:
    """The key lives in this tab alone."""
    page = open_page(signed_in=False)
    sign_in(page, "vxa_wrong")
    expect(page.get_by_role("alert")).to_contain_text("not valid")
    sign_in(page, "vxa_schlüssel")
    expect(page.get_by_role("alert")).to_contain_text("characters that no key has")

    sign_in(page, stack.env["VEXA_API_KEY"])
    expect(page.get_by_role("navigation", name="Meetings")).to_be_visible()
    page.reload()
    expect(page.get_by_role("navigation", name="Meetings")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()

    expect(page.get_by_label("Your API key")).to_be_visible()
    assert page.evaluate("sessionStorage.length + localStorage.length") == 0


def test_drafts_turn_firm_and_every_watcher_ends_with_the_stored_words(open_page: Open, reader: Any) -> None:
    """A meeting started by keyboard, watched by one reader who stays and one whose line is cut again and again."""
    page, cut = open_page(), open_page()
    cuts = cut_the_line(cut, after_messages=5)
    page.get_by_role("button", name="Send a bot").focus()
    page.keyboard.press("Enter")
    page.get_by_label("What you have").select_option("replay")
    page.get_by_label("Recorded meeting", exact=True).fill("design-review")
    page.keyboard.press("Enter")

    expect(page.locator("h1")).to_have_text("design-review", timeout=120_000)
    meeting = int(page.url.rpartition("/")[2])
    cut.goto(f"/#/meetings/{meeting}")
    draft = page.locator(".segment.draft").first
    expect(draft).to_be_visible(timeout=120_000)
    expect(page.locator(".segment.firmed").first).to_be_visible(timeout=120_000)
    expect(page.locator(".meeting .pill.is-completed")).to_be_visible(timeout=ENDS_WITHIN_MS)
    read = reader.wait_until_finalized("design-review", timeout_s=180)

    for watcher in (page, cut):
        wait_until_shown(watcher, stored_text(read))
        assert watcher.locator(".segment.draft").count() == 0
    assert len(cuts) >= 3
    assert {name.inner_text() for name in page.locator(".turn .name").all()} == {"Joe", "Nina"}
    expect(page.locator(".verdict")).to_have_text("Nothing is missing")


def cut_the_line(page: Page, *, after_messages: int) -> list[str]:
    """Close each live connection after a few messages; return what was asked on each."""
    asked: list[str] = []

    def carry(socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()
        heard: list[object] = []

        def from_page(message: str | bytes) -> None:
            asked.append(str(message))
            server.send(message)

        def from_server(message: str | bytes) -> None:
            heard.append(message)
            socket.send(message)
            if len(heard) == after_messages:
                server.close()
                socket.close(code=1011, reason="cut")

        socket.on_message(from_page)
        server.on_message(from_server)

    page.route_web_socket("**/ws**", carry)
    return asked


def test_a_bot_is_stopped_and_its_meeting_deleted(open_page: Open, reader: Any) -> None:
    """The status follows the bot, not the click; what cannot be undone is asked first."""
    page = open_page()
    meeting = reader.send_bot("long-pause")
    page.reload()
    page.locator(f'[data-meeting="{meeting}"]').click()
    expect(page.get_by_role("button", name="Delete")).to_have_count(0)
    expect(page.locator(".meeting .pill")).to_have_text("Live", timeout=120_000)

    page.get_by_role("button", name="Stop bot").click()

    expect(page.locator(".meeting .pill")).to_have_text("Completed", timeout=120_000)
    expect(page.get_by_role("button", name="Stop bot")).to_have_count(0)
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator(f'[data-meeting="{meeting}"]')).to_have_count(1)
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Delete for ever").click()
    expect(page.locator(".note").last).to_have_text("The meeting is deleted.")
    expect(page.locator(f'[data-meeting="{meeting}"]')).to_have_count(0)
    assert meeting not in {known["id"] for known in reader.api.get("/meetings").json()["meetings"]}


def test_a_refused_bot_says_why(open_page: Open) -> None:
    """The dialog stays open with what was typed."""
    page = open_page()
    page.get_by_role("button", name="Send a bot").click()
    page.get_by_label("What you have").select_option("replay")
    page.get_by_label("Recorded meeting", exact=True).fill("no/such recording")

    page.get_by_role("button", name="Send the bot").click()

    expect(page.get_by_role("dialog").get_by_role("alert")).not_to_be_empty()
    expect(page.get_by_label("Recorded meeting", exact=True)).to_have_value("no/such recording")


def test_what_is_missing_is_shown_where_it_is_missing(open_page: Open, finished: dict[str, Any]) -> None:
    """On the timeline, in words, and between the words that are there."""
    stream = finished["coverage"]["streams"][0]
    gap = {
        "stream_uid": stream["stream_uid"],
        "session_uid": stream["session_uid"],
        "speaker": stream["speaker"],
        "start": 1.0,
        "end": 5.5,
        "reason": "overload",
    }

    def lose(read: dict[str, Any]) -> None:
        read["coverage"]["missing"].append(gap)
        read["coverage"]["missing_s"] = 4.5

    page = open_page()
    change_transcript(page, lose)
    open_meeting(page, finished)

    expect(page.locator(".verdict")).to_have_text("4.5 s of sound are missing")
    expect(page.locator(".bar.missing")).to_have_count(1)
    expect(page.locator(".gap")).to_contain_text("the transcribers were overloaded")
    page.locator(".lost summary").click()
    page.locator(".lost .link").click()
    expect(page.locator(".pointed")).to_have_count(1)


def test_old_meetings_are_a_click_or_a_link_away(open_page: Open, stack: Any, finished: dict[str, Any]) -> None:
    """The list comes in pages; a link opens a meeting that is not in it."""
    page = open_page(signed_in=False)
    asked: list[str] = []

    def answer(route: Route) -> None:
        asked.append(route.request.url.rpartition("=")[2])
        others = [{**finished, "id": 10_000 + number} for number in range(int(asked[-1]))]
        route.fulfill(json={"meetings": others})

    page.route("**/meetings?limit=*", answer)
    sign_in(page, stack.env["VEXA_API_KEY"])
    expect(page.locator(".meetings li")).to_have_count(100)
    page.get_by_role("button", name="Show older meetings").click()
    expect(page.locator(".meetings li")).to_have_count(200)
    page.evaluate(f"location.hash = '#/meetings/{finished['id']}'")

    expect(page.locator("h1")).to_have_text("standup")
    assert asked[:3] == ["1", "100", "200"]


def test_what_people_say_is_never_markup(open_page: Open, finished: dict[str, Any]) -> None:
    """Names and words are shown as they are."""

    def inject(read: dict[str, Any]) -> None:
        read["data"]["name"] = MARKUP
        read["segments"][0] |= {"text": MARKUP, "speaker": MARKUP, "revision": 0}

    page = open_page()
    change_transcript(page, inject)
    open_meeting(page, finished)

    expect(page.locator(".segment").first).to_contain_text(MARKUP)
    expect(page.locator(".turn .name").first).to_have_text(MARKUP)
    assert page.locator(".meeting img, .meeting b").count() == 0
    assert page.title() != "broken"


def test_what_was_said_is_found_and_shown_where_it_was_said(open_page: Open, finished: dict[str, Any]) -> None:
    """By keyboard: matches are marked, Enter opens the meeting at that moment, Escape brings the list back."""
    page = open_page()
    segment = max(finished["segments"], key=lambda each: float(each["start"]))
    page.get_by_label("Search what was said").fill(f'"{segment["text"].strip()}"')
    found = page.locator(".found a").first
    expect(found.locator("mark").first).to_be_visible()
    expect(page.locator(".meetings")).to_be_hidden()

    found.focus()
    page.keyboard.press("Enter")

    expect(page.locator(".turn.pointed")).to_contain_text(segment["text"].strip())
    page.get_by_label("Search what was said").focus()
    page.keyboard.press("Escape")
    expect(page.locator(".meetings")).to_be_visible()
    page.get_by_label("Search what was said").fill("rhinoceros")
    expect(page.locator(".told")).to_have_text("Nobody said “rhinoceros”.")


def test_a_meeting_gets_a_name_and_notes(open_page: Open, finished: dict[str, Any]) -> None:
    """Typed and saved by keyboard, shown as text, there after a reload, and gone when cleared."""
    page = open_page()
    open_meeting(page, finished)
    for name, notes in ((f"Daily {MARKUP}", f"Ken: {MARKUP}"), ("", "")):
        page.get_by_role("button", name="Edit").press("Enter")
        page.get_by_label("Name", exact=True).fill(name)
        page.get_by_role("textbox", name="Notes").fill(notes)
        page.get_by_role("button", name="Save").press("Enter")
        expect(page.get_by_role("dialog")).to_have_count(0)
        page.reload()

        expect(page.locator("h1")).to_have_text(name or "standup")
        expect(page.locator(f'[data-meeting="{finished["id"]}"] .title')).to_have_text(name or "standup")
        expect(page.locator(".jotted")).to_have_text([notes] if notes else [])
    assert page.locator(".meeting img, .meeting b").count() == 0


def test_a_failure_is_told_with_its_evidence(open_page: Open, finished: dict[str, Any]) -> None:
    """The reason in words, and what it was concluded from."""
    evidence = "exit code 137: killed for memory"

    def fail(read: dict[str, Any]) -> None:
        read |= {"status": "failed", "data": {"reason": "bot_lost", "evidence": evidence}}

    page = open_page()
    change_transcript(page, fail)
    open_meeting(page, finished)

    expect(page.locator(".failure .reason")).to_have_text("Bot lost")
    expect(page.locator(".failure .evidence")).to_have_text(evidence)


def test_a_webhook_is_set_watched_and_removed(open_page: Open) -> None:
    """The address is kept, the secret is not shown, and a delivery that failed is sent again by a button."""
    delivery = {
        "id": 7,
        "event_type": "meeting.completed",
        "meeting_id": 3,
        "status": "failed",
        "attempts": 9,
        "last_attempt_at": "2026-01-31T12:00:00Z",
        "last_status_code": 410,
        "last_error": None,
    }
    page = open_page()
    page.route(
        "**/deliveries?limit=20", lambda route: route.fulfill(json={"deliveries": [delivery], "next_before": None})
    )
    page.route("**/deliveries/7/redeliver", lambda route: route.fulfill(json={**delivery, "status": "delivered"}))
    page.get_by_role("button", name="Webhook").click()
    page.get_by_label("Address").fill("http://10.0.0.1/hook")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_contain_text("not on the public internet")
    page.get_by_label("Address").fill("http://127.0.0.1:9/hook")
    page.get_by_label("Secret").fill("a secret of sixteen characters or more")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("dialog")).to_have_count(0)

    page.get_by_role("button", name="Webhook").click()

    expect(page.get_by_label("Address")).to_have_value("http://127.0.0.1:9/hook")
    expect(page.get_by_label("Secret")).to_have_value("")
    expect(page.locator("[data-delivery] .why")).to_have_text("answered 410")
    page.get_by_role("button", name="Send again").click()
    expect(page.locator("[data-delivery] .pill")).to_have_text("Delivered")
    page.get_by_role("button", name="Tell my server nothing more").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.get_by_role("button", name="Webhook").click()
    expect(page.get_by_label("Address")).to_have_value("")


@pytest.mark.parametrize(
    ("scopes", "forbidden"),
    [(["read"], {"Send a bot", "Webhook", "Edit", "Delete"}), (["bots", "read"], {"Webhook", "Edit", "Delete"})],
    ids=["read", "bots and read"],
)
def test_what_a_key_may_not_do_is_out_of_reach_and_says_why(
    open_page: Open, stack: Any, reader: Any, finished: dict[str, Any], scopes: list[str], forbidden: set[str]
) -> None:
    """The buttons are disabled for everybody's senses, the keyboard still finds them, and nothing is sent."""
    page = open_page(signed_in=False)
    sign_in(page, limited_key(stack, finished["user_id"], scopes))
    open_meeting(page, finished)
    expect(page.locator(".limits")).to_contain_text("This key may")
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if request.method != "GET" else None)

    for name in ("Send a bot", "Webhook", "Edit", "Delete"):
        shown = page.get_by_role("button", name=name)
        if name in forbidden:
            expect(shown).to_be_disabled()
            expect(shown).to_have_accessible_name(re.compile("This key may"))
            shown.press("Enter")
            expect(page.locator(".note").last).to_contain_text("This key may")
        else:
            expect(shown).to_be_enabled()

    assert page.get_by_role("dialog").count() == 0
    assert sent == []


def limited_key(stack: Any, user_id: int, scopes: list[str]) -> str:
    """Make a key of a user for these calls alone."""
    answer = httpx.post(
        f"{stack.env['VEXA_API_URL']}/admin/users/{user_id}/tokens",
        headers={"x-admin-api-key": stack.env["VEXA_ADMIN_API_KEY"]},
        json={"scopes": scopes},
        timeout=30,
    )
    assert answer.status_code == 201, answer.text
    return str(answer.json()["token"])


def test_a_transcript_is_downloaded_and_copied(open_page: Open, finished: dict[str, Any], tmp_path: Path) -> None:
    """Every form holds the first words that were said."""
    page = open_page(permissions=["clipboard-read", "clipboard-write"])
    open_meeting(page, finished)
    first = finished["segments"][0]["text"].strip()
    saved: dict[str, str] = {}
    for form in ("txt", "md", "vtt", "srt", "json"):
        page.locator(".menu summary").click()
        with page.expect_download() as download:
            page.locator(".menu button", has_text=f".{form}").last.click()
        download.value.save_as(tmp_path / form)
        saved[download.value.suggested_filename] = (tmp_path / form).read_text()
    page.get_by_role("button", name="Copy").click()
    expect(page.locator(".note")).to_contain_text("copied")

    assert set(saved) == {f"standup.{form}" for form in ("txt", "md", "vtt", "srt", "json")}
    assert all(first.split(".")[0] in text for text in saved.values())
    assert json.loads(saved["standup.json"])["id"] == finished["id"]
    assert saved["standup.vtt"].startswith("WEBVTT")
    assert first in page.evaluate("navigator.clipboard.readText()")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone(open_page: Open, finished: dict[str, Any], scheme: str) -> None:
    """One column, nothing to scroll sideways, fingers hit the buttons, and the way back is a link."""
    page = open_page(**PHONE, color_scheme=scheme)
    open_meeting(page, finished)

    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.locator(".meetings").is_hidden()
    heights = [box["height"] for each in page.locator(".tools .button").all() if (box := each.bounding_box())]
    assert heights
    assert min(heights) >= 44
    page.get_by_role("link", name="All meetings").click()
    expect(page.locator(".meetings")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(open_page: Open, finished: dict[str, Any], scheme: str) -> None:
    """At least 4.5 to 1 for every text on the page."""
    page = open_page(color_scheme=scheme)
    open_meeting(page, finished)

    texts = page.evaluate(CONTRASTS)

    assert [each for each in texts if each["ratio"] < 4.5] == []
    assert len(texts) > 20


def test_the_keyboard_reaches_everything(open_page: Open, finished: dict[str, Any]) -> None:
    """From the top of the page: past the list, to the meeting, its tools, and a download."""
    page = open_page()
    open_meeting(page, finished)
    page.reload()
    expect(page.locator(".turn").first).to_be_visible()
    reached: list[str] = []
    fields: set[str] = set()
    for _ in range(30):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.textContent.trim()"))
        fields.add(page.evaluate("document.activeElement.id"))
        if reached[-1] == "Download":
            break
    page.keyboard.press("Enter")
    expect(page.locator(".menu ul")).to_be_visible()
    page.keyboard.press("Escape")

    assert reached[0] == "Skip to the meeting"
    assert {"Send a bot", "Webhook", "Sign out", "Copy", "Download"} <= set(reached)
    assert "search" in fields
    expect(page.locator(".menu ul")).to_be_hidden()


CONTRASTS = """
() => {
  const pen = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const parts = (colour) => {
    pen.clearRect(0, 0, 1, 1);
    pen.fillStyle = colour;
    pen.fillRect(0, 0, 1, 1);
    return [...pen.getImageData(0, 0, 1, 1).data];
  };
  const light = (colour) => {
    const [r, g, b] = colour.slice(0, 3).map((part) => part / 255)
      .map((part) => (part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = parts(getComputedStyle(at).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return [255, 255, 255, 255];
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !element.checkVisibility() || element.closest(".unseen, noscript")) continue;
    const [a, b] = [light(parts(getComputedStyle(element).color)), light(ground(element))];
    found.push({ text: walker.currentNode.data.trim(), ratio: (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05) });
  }
  return found;
}
"""
