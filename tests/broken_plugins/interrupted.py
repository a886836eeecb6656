"""As if the user pressed Ctrl-C while this module was imported."""

from __future__ import annotations

raise KeyboardInterrupt
