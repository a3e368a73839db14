"""Words that sentences all over the project share."""


def counted(number: int, noun: str, plural: str = "") -> str:
    """A number of things in words: '1 trial', '2 trials'."""
    return f"{number} {noun if number == 1 else plural or f'{noun}s'}"


def printable(text: str, length: int | None = None) -> str:
    """A stranger's text without control characters, of at most so many."""
    return "".join(character for character in text if character.isprintable())[:length]
