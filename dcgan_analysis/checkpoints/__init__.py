"""Weights and what is known of them: one file, found by name; and the samples that they make."""

from __future__ import annotations
