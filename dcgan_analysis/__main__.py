"""``python -m dcgan_analysis``: the command line, for launchers that start modules (torchrun)."""

from __future__ import annotations

from dcgan_analysis.cli.main import main

if __name__ == "__main__":
    main()
