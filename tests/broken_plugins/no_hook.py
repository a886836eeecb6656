from __future__ import annotations

ANSWER = 42
