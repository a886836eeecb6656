"""Images of any source and number: containers, indexes, decoding, prepared folders."""

from __future__ import annotations
