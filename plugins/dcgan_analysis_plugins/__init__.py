"""The built-in analyses, one file each, registered through the entry-point group like anybody's."""

from __future__ import annotations
