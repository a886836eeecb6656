from __future__ import annotations

import sys

print("printed by system_exit")
sys.exit(3)
