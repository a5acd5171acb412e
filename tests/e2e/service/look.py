"""What a browser makes of a page: prints it as JSON, and takes pictures of it. Run in a container of its own."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-zygote", "--disable-background-networking"]

FACTS = """() => ({
    title: document.title,
    text: document.body.innerText,
    scripts: document.querySelectorAll("script, iframe, object, embed, link, img, form, base").length,
    handlers: [...document.querySelectorAll("*")].filter(
        (one) => [...one.attributes].some((each) => each.name.startsWith("on") || each.name === "style")).length,
    links: [...document.querySelectorAll("a")].map((one) => one.getAttribute("href")),
    lost: [...document.querySelectorAll("a")].filter(
        (one) => !document.getElementById(one.getAttribute("href").slice(1))).length,
    marks: [...document.querySelectorAll("svg a .mark")].map((one) => one.getAttribute("class")),
    bars: [...document.querySelectorAll(".drawing .bar")].map((one) => one.getAttribute("class")),
    paper: getComputedStyle(document.documentElement).backgroundColor,
    wide: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    pwned: window.pwned === undefined ? null : window.pwned,
})"""


def main(page_file: Path, folder: Path) -> None:
    """Look at a page in light and dark, on a screen and on a telephone, and print it."""
    seen: dict[str, object] = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=OPTIONS)
        for name, scheme, width in (("light", "light", 1280), ("dark", "dark", 1280), ("small", "light", 400)):
            page = browser.new_page(color_scheme=scheme, viewport={"width": width, "height": 900})
            said: list[str] = []
            asked: list[str] = []
            page.on("console", lambda message, to=said: to.append(message.text))
            page.on("pageerror", lambda error, to=said: to.append(str(error)))
            page.on("request", lambda request, to=asked: to.append(request.url))
            page.goto(page_file.as_uri())
            seen[name] = {**page.evaluate(FACTS), "said": said, "asked": asked}
            page.screenshot(path=folder / f"{name}.png", full_page=True)
            if name == "light":
                page.pdf(path=folder / "print.pdf", format="A4")
            page.close()
        browser.close()
    print(json.dumps(seen))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
