"""Text for the terminal: characters that could control it are escaped."""


def escape(text: str) -> str:
    """Return text with control characters made visible, so that no file name or label drives a terminal."""
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)
