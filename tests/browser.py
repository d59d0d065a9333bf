"""A browser without a window: opens a page in each of its forms and says what is wrong with it.

It is Debian's (apt-get install chromium); Playwright brings none of its own.
"""

import re
import shutil
from contextlib import contextmanager

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
needs_browser = pytest.mark.skipif(
    not CHROMIUM, reason="NOT LOOKED AT: there is no chromium here; apt-get install chromium"
)
FORMS = {  # what a context of the browser is opened with, and the medium
    "light": ({"viewport": {"width": 1100, "height": 900}}, "screen"),
    "dark": ({"viewport": {"width": 1100, "height": 900}, "color_scheme": "dark"}, "screen"),
    "phone": ({"viewport": {"width": 400, "height": 800}}, "screen"),
    "print": ({"viewport": {"width": 700, "height": 900}}, "print"),
}
SMALLEST = """() => Math.min(...[...document.querySelectorAll('figure svg text')].map(text => {
    const m = text.getScreenCTM();
    return parseFloat(getComputedStyle(text).fontSize) * Math.hypot(m.a, m.b);
}))"""
FOLDED = """() => [...document.querySelectorAll('details > :not(summary)')]
    .filter(part => part.parentElement.checkVisibility() && part.textContent.trim() &&
        !part.checkVisibility())
    .map(part => part.textContent.trim().slice(0, 60))"""


class Looked:
    "A page of the browser, and what it has asked for and complained of"

    def __init__(self, context):
        self.page, self.asked, self.complaints = context.new_page(), [], []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self._hear)

    def _hear(self, message):
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def faults(self, form):
        "Sentences: what is wrong with the page that is open"
        from axe_playwright_python.sync_playwright import Axe

        found = [f"console: {text}" for text in self.complaints]
        for broken in Axe().run(self.page).response["violations"]:
            nodes = [node["html"][:200] for node in broken["nodes"][:2]]
            found.append(f"axe {broken['id']}: {broken['help']}, {nodes}")
        wide = "document.documentElement.scrollWidth - innerWidth"
        if form != "print" and (over := self.page.evaluate(wide)) > 0:
            found.append(f"{over} pixels run over to the side")
        if form == "phone" and (size := self.page.evaluate(SMALLEST) or 99) < 10:
            found.append(f"the smallest word of a figure has {size:.1f} pixels")
        if form == "print":
            found += [f"folded on paper: {text}" for text in self.page.evaluate(FOLDED)]
            paper = self.page.pdf(prefer_css_page_size=True)
            if not re.search(rb"/Type ?/Page\b", paper):
                found.append("the PDF has no page")
        return found


@contextmanager
def browser():
    "The browser"
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        started = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            yield started
        finally:
            started.close()


@contextmanager
def looking(started, form, *, offline=True):
    "A page in one form, in a context of its own"
    options, medium = FORMS[form]
    context = started.new_context(offline=offline, **options)
    try:
        looked = Looked(context)
        looked.page.emulate_media(media=medium)
        yield looked
    finally:
        context.close()
