"""Photograph the top of a sample report for the README, light and dark, with Chromium.

    python docs/pictures.py figures/reference/nvidia-h100

Writes ``page-light.png`` and ``page-dark.png`` beside its page, each with the digest of the page
that it shows, so that a test tells a picture that is out of date.
"""

import hashlib
import io
import shutil
import sys
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo
from playwright.sync_api import Browser, sync_playwright

SOURCE = "Source"  # The picture's text that holds the page's digest.
VIEW = {"width": 1280, "height": 1000}
MARGIN, COLOURS = 12, 256


def digest(page: Path) -> str:
    """What tells one page from another."""
    return hashlib.sha256(page.read_bytes()).hexdigest()


def photograph(browser: Browser, page_file: Path, scheme: str) -> bytes:
    """The page from its title to the end of the form, in a colour scheme, as PNG."""
    page = browser.new_page(viewport=VIEW, color_scheme=scheme, device_scale_factor=1.5)  # type: ignore[arg-type]
    page.goto(page_file.as_uri())
    main, form = (page.locator(place).bounding_box() for place in ("main", ".model form"))
    assert main and form
    end = form["y"] + form["height"]
    clip = {"x": main["x"] - MARGIN, "y": 0, "width": main["width"] + 2 * MARGIN,
            "height": end + 4}  # fmt: skip
    return page.screenshot(full_page=True, clip=clip)  # type: ignore[arg-type]


def main(folder: Path) -> str | None:
    """Write both pictures of a sample; return why not, if so."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        return "The README's pictures stay as they are: install Chromium to make them anew."
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for scheme in ("light", "dark"):
            about = PngInfo()
            about.add_text(SOURCE, digest(folder / "report.html"))
            shot = photograph(browser, (folder / "report.html").resolve(), scheme)
            picture = Image.open(io.BytesIO(shot)).convert("RGB")
            path = folder / f"page-{scheme}.png"
            small = picture.quantize(COLOURS, dither=Image.Dither.NONE)
            small.save(path, pnginfo=about, optimize=True)
            print(f"{path}: {path.stat().st_size / 1e3:.0f} kB")
    return None


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
