"""The built book, in a real browser: wide and phone, light and dark, with no network but the site itself."""

from __future__ import annotations

import functools
import itertools
import threading
from collections.abc import Iterable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin, urlparse

import pytest
import yaml
from bs4 import BeautifulSoup
from conftest import cannot_be_tested, require_program
from playwright.sync_api import Browser, Page, sync_playwright

from course_utils import labs
from tools import ROOT

HTML = ROOT / "_build" / "html"
CONFIGURATION = yaml.safe_load((ROOT / "_config.yml").read_text())
CONTENTS = yaml.safe_load((ROOT / "_toc.yml").read_text())
PAGES = [CONTENTS["root"]] + [chapter["file"] for part in CONTENTS["parts"] for chapter in part["chapters"]]
NOTEBOOKS = [page for page in PAGES if page.startswith(("labs/", "solutions/"))]
LAB_01 = f"labs/{labs.get('01').name}"
WIDTHS = {"wide": 1400, "phone": 390}
TOUCHED = {"phone": 390, "tablet": 768}
THEMES = ("light", "dark")
# What a page may ask for and does without: the picture of the Colab badge.
OPTIONAL_HOSTS = {"colab.research.google.com"}

STICKS_OUT = """Array.from(document.querySelectorAll(".oom-card")).flatMap(card =>
    Array.from(card.querySelectorAll("table, figure, p"))
        .filter(part => part.getBoundingClientRect().right > card.getBoundingClientRect().right + 1)
        .map(part => part.innerText.slice(0, 80)))"""
CONTRAST = (ROOT / "tests" / "contrast.js").read_text(encoding="utf-8")


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves files and keeps its log to itself."""

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    """The address of the built book, served on this machine."""
    if not (HTML / "index.html").exists():
        cannot_be_tested("There is no built book: run `make book`, or `make test`, which builds it.")
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(QuietHandler, directory=str(HTML)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Headless Chromium, as the system installed it."""
    path = require_program("chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield chromium
        chromium.close()


class Visit:
    """One page in a browser of one width and theme, with what went wrong in it."""

    def __init__(self, page: Page, site: str) -> None:
        self.page = page
        self.site = site
        self.errors: list[str] = []
        self.refused_hosts: set[str] = set()
        page.route(lambda address: not address.startswith((site, "data:", "blob:")), self._refuse)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._console)
        page.on("response", self._response)

    def _refuse(self, route) -> None:
        self.refused_hosts.add(urlparse(route.request.url).hostname or "")
        route.abort()

    def _console(self, message) -> None:
        of_this_site = message.location.get("url", "").startswith(self.site) or not message.location.get("url")
        if message.type == "error" and of_this_site:
            self.errors.append(message.text)

    def _response(self, response) -> None:
        if response.status >= 400:
            self.errors.append(f"{response.status} for {response.url}")


@pytest.fixture(scope="module")
def visit(browser: Browser, site: str, request: pytest.FixtureRequest) -> Iterator[Visit]:
    """A page of the book, such as ``book/index``, open in the browser. Tests of the same page share it."""
    page, width, theme = request.param
    context = browser.new_context(viewport={"width": WIDTHS[width], "height": 900}, color_scheme=theme)
    context.add_init_script(f"localStorage.setItem('mode', '{theme}'); localStorage.setItem('theme', '{theme}')")
    opened = Visit(context.new_page(), site)
    opened.page.goto(f"{site}{page}.html", wait_until="load")
    yield opened
    context.close()


def open_at(
    pages: Iterable[str], widths: Iterable[str] = ("wide",), themes: Iterable[str] = ("light",)
) -> pytest.MarkDecorator:
    """Give a test its `visit`, once for each page, width and theme."""
    visits = list(itertools.product(pages, widths, themes))
    return pytest.mark.parametrize("visit", visits, ids="-".join, indirect=True)


@open_at(PAGES, WIDTHS, THEMES)
def test_page_fits_its_screen_and_loads_whole(visit, request):
    page, width, theme = request.node.callspec.params["visit"]
    tab = visit.page
    assert tab.evaluate("document.documentElement.dataset.theme") == theme
    too_wide = tab.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert too_wide <= 0, f"{page} is {too_wide} pixels wider than a {width} screen"
    shown = [picture for picture in tab.query_selector_all("article img") if picture.is_visible()]
    for picture in shown:
        address = picture.get_attribute("src") or ""
        picture.evaluate("picture => picture.decode().catch(() => null)")
        if urlparse(urljoin(tab.url, address)).hostname not in OPTIONAL_HOSTS:
            assert picture.evaluate("picture => picture.naturalWidth"), f"{address[:80]} does not load"
        assert picture.get_attribute("alt"), f"{address[:80]} has no alt text"
    assert visit.errors == []
    assert visit.refused_hosts <= OPTIONAL_HOSTS


def test_every_lab_and_its_solution_are_in_the_book():
    assert set(NOTEBOOKS) == {f"{folder}/{spec.name}" for folder in ("labs", "solutions") for spec in labs.specs()}


@open_at(NOTEBOOKS)
def test_colab_button_opens_this_notebook_from_the_repository(visit, request):
    page = request.node.callspec.params["visit"][0]
    slug = CONFIGURATION["repository"]["url"].removeprefix("https://github.com/")
    wanted = f"https://colab.research.google.com/github/{slug}/blob/main/{page}.ipynb"
    assert (ROOT / f"{page}.ipynb").exists()
    button = visit.page.locator(".article-header-buttons a[href*='colab']")
    assert button.first.get_attribute("href") == wanted
    addresses = visit.page.eval_on_selector_all("a[href*='colab.research']", "links => links.map(x => x.href)")
    name = page.rpartition("/")[2]
    names = [spec.name for spec in labs.specs()]
    following = {wanted.replace(name, one) for one in names[names.index(name) + 1 :][:1] if page.startswith("labs/")}
    assert set(addresses) - {wanted, wanted.replace("/solutions/", "/labs/")} == following


@pytest.fixture(params=TOUCHED)
def touched(browser: Browser, site: str, request: pytest.FixtureRequest) -> Iterator[Visit]:
    """Lab 01 on a phone or a tablet, whose reader taps."""
    context = browser.new_context(
        viewport={"width": TOUCHED[request.param], "height": 900}, has_touch=True, color_scheme="light"
    )
    opened = Visit(context.new_page(), site)
    opened.page.goto(f"{site}{LAB_01}.html", wait_until="load")
    yield opened
    assert opened.errors == []
    context.close()


def tap(visit: Visit, name: str) -> None:
    """Tap a button of the bar above the article."""
    visit.page.locator(f".bd-header-article button:is([title='{name}'], [aria-label='{name}'])").tap()


def test_every_button_of_a_small_screen_is_tapped_below(touched):
    buttons = touched.page.locator(".bd-header-article button").filter(visible=True)
    names = buttons.evaluate_all("all => all.map(x => x.getAttribute('aria-label') || x.title)")
    assert set(names) == {
        "Toggle primary sidebar",
        "Toggle secondary sidebar",
        "Search",
        "Color mode",
        "Fullscreen mode",
        "Launch interactive content",
        "Source repositories",
        "Download this page",
    }


def test_the_menu_opens_and_leads_to_another_lab(touched):
    tap(touched, "Toggle primary sidebar")
    menu = touched.page.locator("dialog#pst-primary-sidebar-modal")
    link = menu.get_by_role("link", name="02 Batch size").first
    link.tap()
    touched.page.wait_for_url(f"**/labs/{labs.get('02').name}.html")
    assert touched.page.locator("h1").first.inner_text().startswith("Batch size")


def test_the_menu_closes_on_a_tap_beside_it(touched):
    tap(touched, "Toggle primary sidebar")
    menu = touched.page.locator("dialog#pst-primary-sidebar-modal")
    assert menu.is_visible()
    touched.page.touchscreen.tap(TOUCHED["phone"] - 5, 600)
    menu.wait_for(state="hidden")
    tap(touched, "Toggle primary sidebar")
    assert menu.is_visible()


def test_the_contents_open_and_jump_to_a_section(touched):
    tap(touched, "Toggle secondary sidebar")
    touched.page.locator("dialog#pst-secondary-sidebar-modal").get_by_role("link", name="Your turn").tap()
    touched.page.wait_for_function("location.hash == '#your-turn'")
    touched.page.wait_for_function(
        "Math.abs(document.querySelector('#your-turn').getBoundingClientRect().top) < innerHeight / 4"
    )


def test_search_opens_and_finds(touched):
    tap(touched, "Search")
    touched.page.locator("dialog#pst-search-dialog input[name=q]").fill("float64")
    touched.page.keyboard.press("Enter")
    touched.page.wait_for_selector(f"#search-results li a[href*='{LAB_01}']", timeout=15_000)


def test_color_mode_switches(touched):
    found = set()
    for _ in range(3):
        tap(touched, "Color mode")
        found.add(touched.page.evaluate("document.documentElement.dataset.mode"))
    assert found == {"light", "dark", "auto"}


def test_fullscreen_mode_begins(touched):
    tap(touched, "Fullscreen mode")
    touched.page.wait_for_function("document.fullscreenElement !== null")


@pytest.mark.parametrize(
    ("button", "link"),
    [
        ("Launch interactive content", "a[href^='https://colab.research.google.com/']"),
        ("Source repositories", f"a[href='{CONFIGURATION['repository']['url']}']"),
        ("Download this page", "a[href^='../_sources/'][href$='.ipynb']"),
    ],
)
def test_a_list_of_links_opens(touched, button, link):
    found = touched.page.locator(f".bd-header-article .dropdown-menu {link}")
    assert not found.is_visible()
    tap(touched, button)
    found.wait_for(state="visible")
    box = found.bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= touched.page.viewport_size["width"]
    if button == "Download this page":
        assert touched.page.request.get(urljoin(touched.page.url, found.get_attribute("href"))).ok


@open_at([LAB_01])
def test_the_menu_button_of_a_wide_screen_hides_the_menu_and_shows_it_again(visit):
    menu, button = visit.page.locator("#pst-primary-sidebar"), visit.page.locator(".bd-header-article .primary-toggle")
    for state in ("hidden", "visible"):
        button.click()
        menu.get_by_role("link", name="02 Batch size").first.wait_for(state=state)


@open_at(["search"])
def test_search_finds_pages_without_a_network(visit):
    visit.page.goto(f"{visit.site}search.html?q=float64")
    # The results come one after the other, the best first.
    visit.page.wait_for_selector(f"#search-results li a[href*='{LAB_01}']", timeout=15_000)
    assert visit.errors == []


@open_at([LAB_01], WIDTHS, THEMES)
def test_lab_01_shows_the_crash_and_names_its_line(visit):
    card = visit.page.locator(".oom-card").filter(has_text="Out of memory").first
    assert card.is_visible()
    assert "line " in card.inner_text()
    assert card.locator("svg.oom-curve").first.is_visible()


@open_at(NOTEBOOKS, themes=THEMES)
def test_cards_can_be_read_in_both_themes(visit):
    cards = visit.page.query_selector_all(".oom-card")
    assert cards
    for card in cards:
        words = card.evaluate(CONTRAST)
        assert words
        faint = [f"{word['text']!r}: {word['ratio']:.1f}" for word in words if word["ratio"] < 4.5]
        assert faint == []


@open_at(NOTEBOOKS, WIDTHS)
def test_words_in_curves_do_not_overlap(visit):
    curves = visit.page.query_selector_all("svg.oom-curve")
    assert curves
    for curve in curves:
        boxes = curve.eval_on_selector_all(
            "text", "texts => texts.map(x => [x.textContent, x.getBoundingClientRect().toJSON()])"
        )
        for (one, a), (other, b) in itertools.combinations(boxes, 2):
            across = min(a["right"], b["right"]) - max(a["left"], b["left"])
            down = min(a["bottom"], b["bottom"]) - max(a["top"], b["top"])
            assert across < 1 or down < 4, f"{one!r} and {other!r} lie on each other"


@open_at(NOTEBOOKS)
def test_nothing_in_a_card_sticks_out_of_it(visit):
    as_it_was = visit.page.viewport_size
    try:
        for width in (1400, 1200, 1000, 390):
            visit.page.set_viewport_size({"width": width, "height": 900})
            assert visit.page.evaluate(STICKS_OUT) == [], f"at a width of {width} pixels"
    finally:
        visit.page.set_viewport_size(as_it_was)


@pytest.mark.parametrize("lab", labs.specs(), ids=lambda lab: lab.number)
def test_a_solution_page_repeats_nothing_of_its_lab(lab):
    in_lab, in_solution = (
        {part.get_text() for part in _read(HTML / folder / f"{lab.name}.html").select("article p, article pre")}
        for folder in ("labs", "solutions")
    )
    repeated = [text for text in in_lab & in_solution if len(text) > 80]
    assert [text for text in repeated if not text.startswith("# Install the course's own package")] == []


@pytest.mark.parametrize("page", [*PAGES, "genindex", "search"])
def test_links_within_the_book_lead_somewhere(site, page):
    document = _read(HTML / f"{page}.html")
    for link in document.select("a[href]"):
        address, anchor = urldefrag(urljoin(f"{site}{page}.html", link["href"]))
        if not address.startswith(site):
            continue
        target = HTML / unquote(urlparse(address).path.lstrip("/") or "index.html")
        assert target.is_file(), f"{page} links to {link['href']}, which is not in the book"
        if anchor and target.suffix == ".html":
            names = {tag.get("id") for tag in _read(target).select("[id]")}
            assert unquote(anchor) in names, f"{page} links to {link['href']}, which has no such place"


@functools.cache
def _read(path: Path) -> BeautifulSoup:
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


def test_readme_holds_the_address_of_the_repository_and_of_files_that_exist():
    slug = CONFIGURATION["repository"]["url"].removeprefix("https://github.com/")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"github/{slug}/blob/main/{LAB_01}.ipynb" in readme
    links = [part.partition(")")[0] for part in readme.split("](")[1:]]
    for link in links:
        assert link.startswith("https://") or (ROOT / link).exists(), f"README.md links to {link}, which is not there"
