"""The command line: each subcommand is one file that parses, makes one library call, and prints."""

from __future__ import annotations
