"""The page in a real browser."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.serving.running import Running, png, running
from tests.serving.test_guard import KEY

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium and no google-chrome on this machine")

WAIT = 60_000  # milliseconds; the machine may be busy


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield made
        made.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    made = browser.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    made.set_default_timeout(WAIT)
    expect.set_options(timeout=WAIT)
    yield made
    made.close()


@pytest.fixture
def page(context: BrowserContext, served: Running) -> Iterator[Page]:
    """The page, which in the whole test may ask nobody but its own server and may have no error."""
    made = context.new_page()
    asked, errors = [], []
    made.on("request", lambda request: asked.append(request.url))
    made.on("pageerror", lambda error: errors.append(str(error)))
    made.on("console", lambda line: errors.append(line.text) if "Content Security Policy" in line.text else None)
    made.goto(served.url)
    yield made
    assert all(url.startswith((f"{served.url}/", "blob:", "data:")) for url in asked), asked
    assert not errors


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "holiday <b>&.png"
    path.write_bytes(png(3, (40, 60)))
    return path


def choose(page: Page, *files: Path) -> None:
    page.set_input_files("#file", [str(file) for file in files])


def test_a_picture_gets_its_verdict_with_all_that_belongs_to_it(page: Page, served: Running, picture: Path) -> None:
    card = served.client.post("/v1/card", files=[("files", (picture.name, picture.read_bytes()))]).json()
    choose(page, picture)
    expect(page.locator("#verdict")).to_have_text(card["verdict"].capitalize())
    expect(page.locator("#verdict")).to_be_focused()
    expect(page.locator("#status")).to_contain_text(picture.name)
    expect(page.locator("#name")).to_have_text(picture.name)
    assert page.locator("#reasons li").all_inner_texts() == card["reasons"]
    assert page.locator("#words li").all_inner_texts() == card["words"]
    assert page.locator("#stability tbody tr").count() == len(card["stability"]["copies"])
    assert page.locator("#members tbody th").all_inner_texts() == ["first", "second"]
    assert page.locator("#evidence li").count() == len(card["evidence"]["findings"])
    expect(page.locator("#facts")).to_contain_text(card["file"]["sha256"])
    mark = page.locator(".mark").evaluate("mark => mark.style.left")
    assert float(mark.rstrip("%")) == pytest.approx(100 * card["score"]["prob"], abs=0.01)
    assert page.locator("#picture").evaluate("image => image.naturalWidth") == 60


def test_the_heat_map_lies_over_the_picture_and_fades(page: Page, picture: Path) -> None:
    choose(page, picture)
    expect(page.locator("#heat")).to_be_visible()
    places = page.evaluate(
        "['heat', 'picture'].map(id => JSON.stringify(document.getElementById(id).getBoundingClientRect()))"
    )
    assert places[0] == places[1]
    assert page.locator("#network option").count() == 3
    first = page.locator("#heat").get_attribute("src")
    page.select_option("#method", "occlusion")
    expect(page.locator("#heat-status")).to_contain_text("ready")
    assert page.locator("#heat").get_attribute("src") != first
    whole = page.locator("#heat").get_attribute("src")
    page.select_option("#network", "second")
    assert page.locator("#heat").get_attribute("src") != whole
    page.locator("#opacity").fill("25")
    assert page.locator("#heat").evaluate("heat => heat.style.opacity") == "0.25"
    page.select_option("#method", "")
    expect(page.locator("#heat")).to_be_hidden()


def test_a_broken_file_is_said_so_and_the_next_one_works(page: Page, picture: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff hello")
    choose(page, broken)
    expect(page.get_by_role("alert").first).to_contain_text("broken.jpg: the picture can't be used:")
    expect(page.locator("#result")).to_be_hidden()
    choose(page, picture)
    expect(page.locator("#verdict")).to_be_visible()
    expect(page.locator("#problem")).to_be_hidden()


def test_an_answer_that_breaks_off_is_said_so_and_the_next_picture_works(page: Page, picture: Path) -> None:
    page.route("**/v1/card", lambda route: route.fulfill(content_type="application/json", body='{"verd'), times=1)
    choose(page, picture)
    expect(page.get_by_role("alert").first).to_contain_text("The answer broke off")
    expect(page.locator("#status")).to_be_empty()
    page.route("**/v1/explain*", lambda route: route.fulfill(content_type="application/json", body="{"), times=1)
    choose(page, picture)
    expect(page.locator("#verdict")).to_be_visible()
    expect(page.locator("#problem")).to_be_hidden()
    expect(page.locator("#heat-status")).to_contain_text("No heat map: The answer broke off")


def test_everything_is_reached_by_keyboard(page: Page, picture: Path) -> None:
    page.on("filechooser", lambda _: None)  # now, since the browser takes a moment to hand the dialogue over
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.locator("#file")).to_be_focused()
    with page.expect_file_chooser() as chosen:
        page.keyboard.press("Enter")
    chosen.value.set_files(str(picture))
    expect(page.locator("#verdict")).to_be_focused()
    reached = []
    for _ in range(4):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id"))
    assert reached in (["method", "opacity", "save", ""], ["method", "network", "opacity", "save"])
    page.locator("#opacity").focus()
    before = page.locator("#opacity").input_value()
    page.keyboard.press("ArrowRight")
    assert page.locator("#opacity").input_value() != before


def test_pictures_can_be_pasted_and_dropped_and_addresses_are_not_fetched(page: Page, picture: Path) -> None:
    give = """([kind, bytes]) => {
        const data = new DataTransfer();
        if (bytes) data.items.add(new File([new Uint8Array(bytes)], `${kind}.png`, { type: "image/png" }));
        else data.setData("text/uri-list", "http://example.org/x.png");
        const event = kind === "paste" ? new ClipboardEvent("paste", { clipboardData: data, bubbles: true })
            : new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true });
        document.body.dispatchEvent(event);
    }"""
    for kind in ("paste", "drop"):
        page.evaluate(give, [kind, list(picture.read_bytes())])
        expect(page.locator("#name")).to_have_text(f"{kind}.png")
    page.evaluate(give, ["drop", None])
    expect(page.locator("#problem")).to_contain_text("Addresses are not fetched")


def test_earlier_pictures_can_be_looked_at_again(page: Page, tmp_path: Path) -> None:
    files = [tmp_path / f"{number}.png" for number in range(3)]
    for number, file in enumerate(files):
        file.write_bytes(png(number))
    choose(page, *files)
    expect(page.locator("#seen button")).to_have_count(3)
    expect(page.locator("#name")).to_have_text("2.png")
    page.locator("#seen button", has_text="0.png").click()
    expect(page.locator("#name")).to_have_text("0.png")
    expect(page.locator("#seen button[aria-current=true]")).to_contain_text("0.png")
    assert page.evaluate("[localStorage.length, sessionStorage.length, document.cookie]") == [0, 0, ""]


def test_what_a_screen_reader_needs_is_there(page: Page, picture: Path) -> None:
    choose(page, picture)
    expect(page.locator("#verdict")).to_be_visible()
    unnamed = page.evaluate(
        """[...document.querySelectorAll("input, select, button, a, [role=img]")]
            .filter(one => one.checkVisibility())
            .filter(one => !(one.labels?.length || one.textContent.trim() || one.getAttribute("aria-label")))
            .map(one => one.outerHTML)"""
    )
    assert unnamed == []
    assert page.evaluate("[...document.images].filter(image => !image.hasAttribute('alt')).length") == 0
    levels = page.evaluate(
        "[...document.querySelectorAll('h1, h2, h3')].filter(h => h.checkVisibility()).map(h => +h.tagName[1])"
    )
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in zip(levels, levels[1:], strict=False))
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(one => one.id)")
    assert len(ids) == len(set(ids))
    refers = page.evaluate(
        "[...document.querySelectorAll('[aria-labelledby], [aria-describedby], [for]')].flatMap(one => "
        "['aria-labelledby', 'aria-describedby', 'for'].map(name => one.getAttribute(name)).filter(Boolean))"
    )
    assert set(refers) <= set(ids)
    for role in ("status", "alert"):
        assert page.locator(f"[role={role}]").count() >= 1
    assert page.locator("html").get_attribute("lang") == "en"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_stand_out_from_what_is_behind_them(page: Page, picture: Path, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    choose(page, picture)
    expect(page.locator("#verdict")).to_be_visible()
    weak = page.evaluate(CONTRAST)
    assert weak == []


def test_nothing_is_cut_off_on_a_phone(page: Page, picture: Path) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    choose(page, picture)
    expect(page.locator("#verdict")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    small = page.evaluate(
        "[...document.querySelectorAll('button, select, .button')].filter(one => one.checkVisibility())"
        ".filter(one => one.getBoundingClientRect().height < 40).map(one => one.id || one.className)"
    )
    assert small == []


def test_a_server_with_a_key_is_asked_with_it(context: BrowserContext, bundle_folder: Path, picture: Path) -> None:
    with running(bundle_folder, key=KEY) as one:
        page = context.new_page()
        page.goto(one.url)
        expect(page.locator("#key-field")).to_be_focused()
        for told in ("wrong", KEY):
            page.locator("#key-field").fill(told)
            page.keyboard.press("Enter")
            if told == "wrong":
                expect(page.locator("#key-wrong")).to_be_visible()
        expect(page.locator("#served")).to_contain_text("both")
        choose(page, picture)
        expect(page.locator("#verdict")).to_be_visible()
        page.close()


def test_the_description_for_programs_can_be_read_without_the_internet(page: Page) -> None:
    page.locator("footer a").click()
    expect(page.locator(".route", has_text="/v1/predict")).to_contain_text("multipart/form-data")
    assert page.locator(".route").count() >= 7


# Contrast of each visible text with the nearest opaque background (WCAG 2, success criterion 1.4.3).
CONTRAST = """() => {
    const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
    const rgba = (color) => {
        canvas.clearRect(0, 0, 1, 1);
        canvas.fillStyle = color;
        canvas.fillRect(0, 0, 1, 1);
        return [...canvas.getImageData(0, 0, 1, 1).data];
    };
    const light = (rgb) => {
        const linear = (v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
        const [r, g, b] = rgb.map((each) => linear(each / 255));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const behind = (node) => {
        for (let one = node; one; one = one.parentElement) {
            const color = rgba(getComputedStyle(one).backgroundColor);
            if (color[3] === 255) return color.slice(0, 3);
        }
        return [255, 255, 255];
    };
    const weak = [];
    for (const node of document.querySelectorAll("body *")) {
        const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
        if (!own || !node.checkVisibility() || node.matches("option, noscript, .hidden")) continue;
        const style = getComputedStyle(node);
        const [a, b] = [light(rgba(style.color).slice(0, 3)), light(behind(node))].sort((x, y) => y - x);
        const large = parseFloat(style.fontSize) >= 24;
        const ratio = (a + 0.05) / (b + 0.05);
        if (ratio < (large ? 3 : 4.5)) weak.push(`${node.tagName} ${node.className} ${ratio.toFixed(2)}`);
    }
    return weak;
}"""
