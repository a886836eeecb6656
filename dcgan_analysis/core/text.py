"""Numbers and objects as text: shares, counts, time spans, hashes, objects in a few lines; shown alike everywhere."""

from __future__ import annotations

import html
from abc import abstractmethod

_HASH_LENGTH = 12
_GROUPED_FROM = 10_000  # below, digits are easy to read without grouping


def percent(value: float, digits: int | None = None) -> str:
    """Show a fraction as percent.

    Args:
        value: The fraction; 1 is 100 %.
        digits: Decimals; None: one, or two where the second is not zero (as papers give them).

    Example:
        >>> percent(0.73614, 1), percent(0.2248), percent(0.828), percent(1)
        ('73.6 %', '22.48 %', '82.8 %', '100.0 %')
    """
    return f"{_hundredfold(value, digits)} %"


def _hundredfold(value: float, digits: int | None = None) -> str:
    """Show a fraction as percent without the sign."""
    if digits is not None:
        return f"{100 * value:.{digits}f}"
    text = f"{100 * value:.2f}"
    return text.removesuffix("0")


def number(value: float) -> str:
    """Show a number of no particular unit: integers in full, others with four significant digits.

    Example:
        >>> number(50000), number(0.0001), number(3.14159), number(1234567.8)
        ('50,000', '0.0001', '3.142', '1,234,568')
    """
    if float(value).is_integer() and abs(value) < 1e15:
        return count(int(value))
    if abs(value) >= _GROUPED_FROM:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def count(value: int) -> str:
    """Show how many: digits in groups of three.

    Example:
        >>> count(400), count(28672), count(1000000)
        ('400', '28,672', '1,000,000')
    """
    return f"{value:,}"


def counted(value: float, what: str) -> str:
    """Show a number of things, in the singular or the plural.

    Example:
        >>> counted(1, "epoch"), counted(0.5, "epoch"), counted(2000, "box")
        ('1 epoch', '0.5 epochs', '2,000 boxes')
    """
    plural = f"{what}es" if what.endswith("x") else f"{what}s"
    return f"{number(value)} {what if value == 1 else plural}"


def duration(seconds: float) -> str:
    """Show a time span with two units at most.

    Example:
        >>> duration(0.0421), duration(9.26), duration(65), duration(7384), duration(90000)
        ('42 ms', '9.3 s', '1 min 05 s', '2 h 03 min', '1 d 01 h')
    """
    if seconds < 0.9995:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for unit, length, smaller, part in (
        ("d", 86400, "h", 3600),
        ("h", 3600, "min", 60),
        ("min", 60, "s", 1),
    ):
        if whole >= length:
            return f"{whole // length} {unit} {whole % length // part:02d} {smaller}"
    return f"{whole} s"


def short_hash(value: str) -> str:
    """Show the first twelve digits of a hash, enough to tell two apart by eye."""
    return value[:_HASH_LENGTH]


def printable(text: str) -> str:
    r"""Write what cannot be printed, or would steer a terminal, as escapes.

    Example:
        >>> printable("a\x1b[31m.png")
        'a\\x1b[31m.png'
    """
    if text.isprintable():
        return text
    known = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in known)


def shown(text: str) -> str:
    r"""Write each line of a text with :func:`printable`: what a terminal gets that came from outside.

    Example:
        >>> shown("one\ntwo\x1b[2J")
        'one\ntwo\\x1b[2J'
    """
    return "\n".join(map(printable, text.split("\n")))


class Described:
    """Base of what shows itself in a few lines at a prompt, and as a small table in a notebook.

    Example:
        >>> class Lamp(Described):
        ...     def _describe(self):
        ...         return "Lamp", {"colour": "<red>", "power": "3 W"}
        >>> Lamp()
        Lamp
          colour: <red>
          power: 3 W
        >>> Lamp()._repr_html_()[:78]
        '<table><caption>Lamp</caption><tr><th>colour</th><td>&lt;red&gt;</td></tr><tr>'
    """

    @abstractmethod
    def _describe(self) -> tuple[str, dict[str, str]]:
        """Return a title and, by name, what is worth knowing; empty texts are left out."""

    def __repr__(self) -> str:
        title, facts = self._describe()
        return "\n".join([title, *(f"  {name}: {text}" for name, text in facts.items() if text)])

    def __str__(self) -> str:
        return repr(self)

    def _repr_html_(self) -> str:
        title, facts = self._describe()
        rows = [
            f"<tr><th>{html.escape(name)}</th><td>{html.escape(text)}</td></tr>" for name, text in facts.items() if text
        ]
        return f"<table><caption>{html.escape(title)}</caption>{''.join(rows)}</table>"
