"""What everything stands on, and what knows no images: files, folders, hashes, settings, statistics, devices."""

from __future__ import annotations
