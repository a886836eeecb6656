"""What analyses of single filters share: filters, responses, comparison with the random twin, attribution."""

from __future__ import annotations
