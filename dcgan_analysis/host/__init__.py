"""The plugin host: finds, isolates and checks plugins; makes new ones."""

from __future__ import annotations
