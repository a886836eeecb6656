from __future__ import annotations

# Most of these files cannot be imported, on purpose: they are never test modules.
collect_ignore_glob = ["*.py"]
