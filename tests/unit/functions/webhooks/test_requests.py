"""Where a user may want to be told."""

import pytest
from pydantic import ValidationError

from vexa_functions.webhooks.requests import WebhookRequest


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hooks.example",
        "//hooks.example/x",
        "/x",
        "ftp://hooks.example",
        "file:///etc/passwd",
        "gopher://hooks.example/_",
        "javascript:alert(1)",
        "http://",
        "https:///x",
        "https://user:password@hooks.example/",
        "https://hooks.example:0/",
        "https://hooks.example:99999/",
        "https://hooks.example/\x00",
        "https://hooks.example/\r\nX: y",
        "https://" + "a" * 2_048,
        "http://[fe80::1%25eth0]/",
        "http://a%20b.example/",
        "http://a b.example/",
    ],
)
def test_what_cannot_be_posted_to_is_refused_by_name(url: str) -> None:
    """The message names the field."""
    with pytest.raises(ValidationError) as refused:
        WebhookRequest.model_validate({"webhook_url": url})

    assert refused.value.errors()[0]["loc"] == ("webhook_url",)


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://hooks.example/vexa?x=1", "https://hooks.example/vexa?x=1"),
        ("http://hooks.example:8080/vexa", "http://hooks.example:8080/vexa"),
        ("HTTPS://Hooks.Example/Vexa#top", "https://hooks.example/Vexa"),
        ("https://bücher.example/", "https://xn--bcher-kva.example/"),
        ("https://[2606:4700::1111]/x", "https://[2606:4700::1111]/x"),
    ],
)
def test_a_sound_url_is_kept_in_one_spelling(url: str, kept: str) -> None:
    """What is stored is what is posted to."""
    assert WebhookRequest.model_validate({"webhook_url": url}).webhook_url == kept


def test_a_short_secret_is_refused() -> None:
    """A signature is worth what its secret is."""
    with pytest.raises(ValidationError, match="webhook_secret"):
        WebhookRequest.model_validate({"webhook_url": "https://hooks.example", "webhook_secret": "short"})
