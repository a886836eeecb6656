"""How docstrings are read for the site: their ``Example:`` is the section of examples that the tests run."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import griffe

if TYPE_CHECKING:
    from griffe import Object


class ExampleSections(griffe.Extension):
    """Shows examples as code, and references as names."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Call the section as the reader of docstrings knows it."""
        if obj.docstring is not None:
            text = re.sub(r"^Example:$", "Examples:", obj.docstring.value, flags=re.MULTILINE)
            obj.docstring.value = re.sub(r":(?:class|func|meth|mod):`~?", "`", text)
