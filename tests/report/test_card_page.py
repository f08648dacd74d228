"""The card as a page, an index and on screen; what strangers write into files stays text."""

import re
from base64 import b64decode, b64encode
from dataclasses import replace
from hashlib import sha256
from io import BytesIO, StringIO

import pytest
from PIL import Image
from rich.console import Console

from dfd.cards.card import Card, make_card
from dfd.config import RuntimeConfig
from dfd.inference.engine import TorchEngine
from dfd.report.card_index import Row, card_index
from dfd.report.card_page import card_page, jpeg
from dfd.report.card_screen import print_card
from dfd.report.card_words import bands, size
from dfd.runtime import start
from tests.factories import tiny_ensemble
from tests.images import encoded, picture

EVIL = '<script>alert("x")</script>\x1b[31m\u202e'
HEAT = encoded(Image.new("RGBA", (8, 6), (255, 0, 0, 90)), "PNG")


@pytest.fixture(scope="module")
def card() -> Card:
    """Of a picture whose name and EXIF hold markup and escape codes, renamed and with an archive behind it."""
    runtime = start(RuntimeConfig(device="cpu", precision="fp32", workers=0), cpu_bf16=False)
    exif = Image.Exif()
    exif[0x0131], exif[0x010F] = EVIL, EVIL
    data = encoded(picture(4, 64, 48), "PNG", exif=exif) + b"PK\x05\x06" + bytes(18)
    bundle = tiny_ensemble()
    return make_card(f"{EVIL}.jpg", data, TorchEngine(bundle, runtime), runtime, bundle.max_pixels)


def shown(card: Card, width: int = 100, *, brief: bool = False) -> str:
    console = Console(file=StringIO(), width=width, force_terminal=True, color_system="standard")
    print_card(console, card, brief=brief)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_the_page_holds_the_card(card: Card) -> None:
    page = card_page(card, jpeg(Image.fromarray(picture(4))), HEAT, method="gradcam")
    for line in (*card.reasons, *card.words):
        assert str(line).replace("'", "&#39;") in page
    for copy in card.stability.copies:
        assert copy.words in page
    assert "first" in page and "second" in page and card.file.sha256 in page
    assert f"</span> {card.verdict}</p>" in page and "Look here:" in page


def test_strangers_texts_are_text(card: Card) -> None:
    page = card_page(card, None, None, note=EVIL)
    assert "<script" not in page and "&lt;script&gt;" in page
    assert "\x1b" not in page and "\u202e" not in page
    assert "<script" not in card_index([Row(EVIL, card, "1.html", ""), Row(EVIL, None, "", EVIL)])


def test_the_one_script_is_the_one_that_the_policy_names(card: Card) -> None:
    page = card_page(card, jpeg(Image.fromarray(picture(4))), HEAT, method="gradcam")
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digest = b64encode(sha256(script.encode()).digest()).decode()
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy.endswith(f"script-src 'sha256-{digest}'") and policy.startswith("default-src 'none'")
    assert 'data-layer="heat"' in page and 'id="heat"' in page


def test_the_page_needs_no_other_file(card: Card) -> None:
    page = card_page(card, jpeg(Image.fromarray(picture(4))), HEAT, method="gradcam")
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page)
    uris = re.findall(r"data:image/(png|jpeg);base64,([A-Za-z0-9+/=]+)", page)
    assert [Image.open(BytesIO(b64decode(data))).format for _, data in uris] == ["JPEG", "PNG"]


def test_without_a_map_the_reason_stands_there(card: Card) -> None:
    page = card_page(card, None, None, note="No heat map: it has no layer for it.")
    assert "No heat map: it has no layer for it." in page and "<script>" not in page and 'type="range"' not in page


def test_what_the_file_says_outright_stands_apart(card: Card) -> None:
    from dfd.evidence.finding import Finding

    outright = Finding("origin", "strong", "It says that it was generated.")
    evidence = replace(card.evidence, findings=(outright, *card.evidence.findings))
    page = card_page(replace(card, evidence=evidence), None, None)
    assert "The file itself says how it was made" in page and page.count(outright.words) == 1
    assert "The file itself says" not in card_page(card, None, None)


def test_the_index_links_cards_and_tells_why_there_is_none(card: Card) -> None:
    page = card_index([Row("a.jpg", card, "1.html", ""), Row("b.jpg", None, "", "truncated")])
    assert '<a href="1.html">a.jpg</a>' in page and "truncated" in page and "1 could not be used" in page


def test_the_screen_has_verdict_members_copies_and_meaning(card: Card) -> None:
    text = re.sub(r"\x1b\[[0-9;]*m", "", shown(card, 400))
    assert card.verdict.upper() in text and "first" in text and "as it is" in text
    for line in (*card.reasons, *card.words):
        assert line in text
    short = re.sub(r"\x1b\[[0-9;]*m", "", shown(card, 400, brief=True))
    assert card.reasons[0] in short and card.words[0] not in short and "as it is" not in short


@pytest.mark.parametrize("width", [40, 80, 200])
def test_escape_codes_of_strangers_do_not_reach_the_terminal(card: Card, width: int) -> None:
    plain = StringIO()
    print_card(Console(file=plain, width=width), card)
    assert "\x1b" not in plain.getvalue() and "\u202e" not in plain.getvalue()
    assert "\x1b[31malert" not in shown(card, width)


def test_bands_without_room_are_left_out(card: Card) -> None:
    assert [band.verdict for band in bands(card)] == ["real", "unsure", "fake"]
    score = replace(card.score, unsure_low=0.5, unsure_high=0.5, threshold=0.5)
    assert [band.verdict for band in bands(replace(card, score=score))] == ["real", "fake"]
    everything = replace(card.score, unsure_low=0.0, unsure_high=1.0)
    one = replace(card, score=everything)
    assert [band.verdict for band in bands(one)] == ["unsure"] and "0%" in shown(one)


@pytest.mark.parametrize(("count", "text"), [(999, "999 bytes"), (12_345, "12.3 KB"), (5_500_000, "5.5 MB")])
def test_sizes_for_people(count: int, text: str) -> None:
    assert size(count) == text
