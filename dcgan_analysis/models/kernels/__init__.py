"""Faster arithmetic for networks, equal to what it replaces up to rounding."""

from __future__ import annotations
