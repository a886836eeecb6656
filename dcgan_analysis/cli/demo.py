"""``dcgan-analyze demo``: analyses on data that comes with the program."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dcgan_analysis.cli import options
from dcgan_analysis.cli.console import say
from dcgan_analysis.cli.run import execute

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["command"]


@click.command()
@click.option("--all", "everything", is_flag=True, help="Run every analysis that can be shown offline in seconds.")
@options.out_option
@options.force_option
def command(everything: bool, out: Path | None, force: bool) -> None:
    """Run svm-cifar on scikit-learn's handwritten digits: shipped checkpoint against its random twin.

    With --all every installed analysis is shown on embedded data, with settings that keep it short, and one page
    links the reports.
    """
    if everything:
        _all(out, force)
        return
    say("svm-cifar on digits: features of a DCGAN that never saw a digit, against its random twin")
    from dcgan_analysis.runs.request import RunRequest

    execute(RunRequest("svm-cifar", dataset="digits", out=out, force=force))


def _all(out: Path | None, force: bool) -> None:
    from dcgan_analysis.cli.run_several import execute_several
    from dcgan_analysis.host.host import default_host
    from dcgan_analysis.runs.request import demo_requests

    host = default_host()
    for failed in host.failures:
        say(f"Warning: {failed.error}")
    requests = demo_requests(host)
    say(f"{len(requests)} analyses on embedded data, each with settings that keep it short")
    execute_several(requests, out=out, force=force, all_or_none=False, title="Demonstration of all analyses")
