"""Searching what was said."""

from collections.abc import Sequence

import httpx
import pytest
from tests.integration.functions.reader.speaking import a_meeting

from vexa_functions.store.tables import Store


async def test_a_search_finds_words_in_any_meeting_and_marks_them(
    reader: httpx.AsyncClient, store: Store, ann_id: int
) -> None:
    """The newest meeting comes first, and the pieces of the text put together are the text."""
    for name, text in (("one", "The budget is fine"), ("two", "No BUDGET, <b>no</b> party")):
        await (await a_meeting(store, ann_id, name)).say(text)

    answer = (await reader.get("/transcripts", params={"q": "budget"})).json()

    assert [found["native_meeting_id"] for found in answer["found"]] == ["two", "one"]
    assert [piece["text"] for piece in answer["found"][0]["highlight"] if piece["match"]] == ["BUDGET"]
    assert "".join(piece["text"] for piece in answer["found"][0]["highlight"]) == "No BUDGET, <b>no</b> party"
    assert answer["has_more"] is False


@pytest.mark.parametrize(
    ("text", "query", "marked"),
    [
        ("ok", "ok", ["ok"]),
        ("我们明天讨论预算", "预算", ["预算"]),
        ("明日の会議について", "会議", ["会議"]),
        ("Wir haben schöne Grüße", "grüße", ["Grüße"]),
        ("a new house and a new garden", '"new house" -boat', ["new", "house"]),
        ("a new house and a boat", '"new house" -boat', None),
        ("a house that is new", '"new house"', None),
    ],
)
async def test_a_search_favours_no_language(
    reader: httpx.AsyncClient, store: Store, ann_id: int, text: str, query: str, marked: Sequence[str] | None
) -> None:
    """Short words and scripts without spaces are found like any other."""
    await (await a_meeting(store, ann_id)).say(text)

    found = (await reader.get("/transcripts", params={"q": query})).json()["found"]

    if marked is None:
        assert found == []
    else:
        assert set(marked) <= {piece["text"] for piece in found[0]["highlight"] if piece["match"]}


async def test_a_search_comes_in_pages(reader: httpx.AsyncClient, store: Store, ann_id: int) -> None:
    """The last page says that it is the last."""
    await (await a_meeting(store, ann_id)).say(*["again"] * 3)

    first = (await reader.get("/transcripts", params={"q": "again", "limit": 2})).json()
    second = (await reader.get("/transcripts", params={"q": "again", "limit": 2, "offset": 2})).json()

    assert (len(first["found"]), first["has_more"], len(second["found"]), second["has_more"]) == (2, True, 1, False)
