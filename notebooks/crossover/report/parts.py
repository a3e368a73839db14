"""The page's parts: folded, listed in the contents, and left out where they show nothing."""

import bs4

HEADINGS = ["h1", "h2", "h3"]
LOWEST, NO_HEADING = 3, 9


def _is(element: bs4.Tag, kind: str) -> bool:
    """Whether an element is of a class."""
    return kind in (element.get("class") or "")


def _level(element: bs4.Tag) -> int:
    """The level of the heading that a part of the page begins with."""
    heading = None if _is(element, "code") else element.find(HEADINGS)
    return int(heading.name[1]) if isinstance(heading, bs4.Tag) else NO_HEADING


def _part(section: bs4.Tag, level: int) -> list[bs4.Tag]:
    """What follows a section until the next heading of its level or above."""
    following = []
    for sibling in section.find_next_siblings():
        if isinstance(sibling, bs4.Tag) and _level(sibling) <= level:
            break
        following.append(sibling)
    return [sibling for sibling in following if isinstance(sibling, bs4.Tag)]


def list_not_measured(soup: bs4.BeautifulSoup) -> None:
    """Gather what was not measured in one list; parts and texts that show nothing else go."""
    told = [element.extract() for element in soup.select(".not-measured")]
    for outputs in soup.select(".outputs"):
        if not outputs.find(True):
            outputs.decompose()
    for text in soup.select("main > section.text"):
        if not text.decomposed:
            _drop_empty(text)
    if told and isinstance(soup.main, bs4.Tag):
        items = "".join(f"<li>{element.p.decode_contents()}</li>" for element in told if element.p)
        heading = '<h2 id="not-measured">What was not measured</h2>'
        listed = f'<section class="text">{heading}<ul>{items}</ul></section>'
        soup.main.append(bs4.BeautifulSoup(listed, "html.parser"))


def _drop_empty(text: bs4.Tag) -> None:
    """Remove a text without its outputs: a heading with its whole part, others by themselves."""
    part = _part(text, LOWEST)
    codes = [section for section in part if _is(section, "code")]
    shown = [section for section in codes if section.select_one(".outputs")]
    if _level(text) < NO_HEADING:
        orphans = [text, *part] if codes and not shown else []
    else:
        orphans = [text] if part[:1] == codes[:1] != shown[:1] else []
    for section in orphans:
        if section not in codes:  # Their source goes into the next fold.
            section.decompose()


def fold_parts(soup: bs4.BeautifulSoup) -> None:
    """Fold the parts whose headings JupyterLab folds, too."""
    for section in reversed(soup.select("section.folded")):
        heading = section.find(HEADINGS)
        if isinstance(heading, bs4.Tag):
            part = _part(section, _level(section))
            fold = section.wrap(soup.new_tag("details", attrs={"class": "fold"}))
            summary = soup.new_tag("summary")
            summary.append(heading.extract())
            fold.insert(0, summary)
            fold.extend(part)


def name_page(soup: bs4.BeautifulSoup) -> None:
    """Put the byline into the page's title."""
    line = soup.select_one(".byline")
    if line and soup.title:
        soup.title.string = f"When does a GPU pay off? {line.get_text()}"


def gather_code(soup: bs4.BeautifulSoup) -> None:
    """Put the code of cells that show nothing, or stand above another, into the next one's fold."""
    for section in soup.select("section.code"):
        following = section.find_next_sibling("section", class_="code")
        fold = following.select_one("section > details > summary") if following else None
        empty = not section.select_one(".outputs")
        if fold and (empty or section.find_next_sibling() is following):
            fold.insert_after(*section.select(".source"))
            for emptied in [section] if empty else section.select("section > details"):
                emptied.decompose()


def box_tables(soup: bs4.BeautifulSoup) -> None:
    """Let a wide table scroll in a box of its own that the keyboard reaches."""
    for number, table in enumerate(soup.find_all("table"), 1):
        caption = table.find("caption")
        label = caption.get_text(" ", strip=True) if caption else f"Table {number}"
        label = f"{label} (table {number})"
        box = {"class": "scroll", "tabindex": "0", "role": "region", "aria-label": label}
        table.wrap(soup.new_tag("div", attrs=box))


def list_contents(soup: bs4.BeautifulSoup) -> None:
    """Fill both lists of contents: the wide page's and the phone's."""
    parts = {"main": "The answer"}
    for heading in soup.find_all("h2"):
        parts[str(heading.get("id"))] = heading.get_text().replace("¶", "").strip()
    for nav in soup.find_all("nav"):
        entries = soup.new_tag("ol")
        for place, text in parts.items():
            item = soup.new_tag("li")
            item.append(soup.new_tag("a", href=f"#{place}", string=text))
            entries.append(item)
        nav.append(entries)
