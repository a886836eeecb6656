"""``dcgan-analyze demo``: analyses on data that comes with the program."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dcgan_analysis.cli import options
from dcgan_analysis.cli.console import say, warn
from dcgan_analysis.cli.run import execute

if TYPE_CHECKING:
    from pathlib import Path

_CHECKPOINT = "cifar10-dcgan32-w64"
_INTRODUCTIONS = {
    "cifar10-mini": (
        f"svm-cifar on 3,000 photos of CIFAR-10: features of {_CHECKPOINT}, which learned from training photos without "
        "their labels and never saw a test photo, against those of the same network with random weights"
    ),
    "digits": (
        f"svm-cifar on 1,797 handwritten digits: features of {_CHECKPOINT}, which saw photos only and never a digit, "
        "against those of the same network with random weights; digits are so easy that both do well"
    ),
}


@click.command()
@click.option("--all", "everything", is_flag=True, help="Run every analysis that can be shown offline in seconds.")
@click.option(
    "--dataset",
    type=click.Choice(list(_INTRODUCTIONS)),
    default="cifar10-mini",
    show_default=True,
    help="Embedded images for the main analysis.",
)
@options.out_option
@options.force_option
@options.verbosity_options
def command(everything: bool, dataset: str, out: Path | None, force: bool) -> None:
    """Run svm-cifar on embedded photos: what a DCGAN learned without labels, against its random twin.

    With --all every installed analysis is shown on embedded data, with settings that keep it short, and one page
    links the reports.
    """
    if everything:
        _all(out, force)
        return
    say(_INTRODUCTIONS[dataset])
    from dcgan_analysis.runs.request import RunRequest

    # The layers one by one would add two thirds to the time.
    settings = {"ablation": False}
    execute(RunRequest("svm-cifar", settings, checkpoint=_CHECKPOINT, dataset=dataset, out=out, force=force))


def _all(out: Path | None, force: bool) -> None:
    from dcgan_analysis.cli.run_several import execute_several
    from dcgan_analysis.host.host import default_host
    from dcgan_analysis.runs.request import demo_requests

    host = default_host()
    for failed in host.failures:
        warn(failed.error)
    requests = demo_requests(host)
    say(f"{len(requests)} analyses on embedded data, each with settings that keep it short")
    execute_several(requests, out=out, force=force, all_or_none=False, title="Demonstration of all analyses")
