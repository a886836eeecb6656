"""``dcgan-analyze run NAME...``: run an analysis, or several that share what they have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from dcgan_analysis.cli import options
from dcgan_analysis.cli.console import console, print_json, warn
from dcgan_analysis.cli.progress import shown_progress
from dcgan_analysis.core.text import shown

if TYPE_CHECKING:
    from pathlib import Path

    from dcgan_analysis.api.analysis import Analysis
    from dcgan_analysis.api.result import Result
    from dcgan_analysis.runs.request import RunRequest


class _Analyses(click.Group):
    """One subcommand for each registered analysis; its help lists the analysis's own settings."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        from dcgan_analysis.host.host import default_host

        return default_host().analyses.names()

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        from dcgan_analysis.host.host import default_host

        return _subcommand(default_host().analysis(cmd_name))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        # Two names before the options: several analyses, each with its own settings.
        if len(args) > 1 and not args[0].startswith("-") and not args[1].startswith("-"):
            from dcgan_analysis.cli.run_several import several

            return "NAME...", several, args
        return super().resolve_command(ctx, args)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return ["NAME...", "[OPTIONS]"]


def _subcommand(analysis: Analysis) -> click.Command:
    def callback(*, config_file: Path | None, assignments: tuple[str, ...], as_json: bool, **values: Any) -> None:
        from dcgan_analysis.runs.request import RunRequest

        settings = options.collect_settings(config_file, assignments)
        execute(RunRequest(analysis.name, settings, **values), as_json=as_json)

    command = _AnalysisCommand(
        analysis.name,
        callback=callback,
        help=shown(f"{analysis.question}\n\n{analysis.reference}"),
        short_help=shown(analysis.summary),
    )
    command.analysis = analysis
    options.run_options(command)
    return command


class _AnalysisCommand(click.Command):
    analysis: Analysis

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Add the analysis's settings and what it uses by default."""
        super().format_options(ctx, formatter)
        rows = {
            name: f"{field.description or ''}  [default: {_shown(field.get_default(call_default_factory=True))}]"
            for name, field in self.analysis.config_type.model_fields.items()
        }
        needs = self.analysis.needs
        if needs.generator or needs.discriminator:
            anew = "reestimate: first estimate the checkpoint's BatchNorm statistics anew, as on import"
            rows["batchnorm"] = f"{rows['batchnorm']}; {anew}" if "batchnorm" in rows else anew
        with formatter.section("Settings (--set KEY=VALUE)"):
            formatter.write_dl([(name, shown(text)) for name, text in rows.items()])
        defaults = [("--checkpoint", needs.checkpoint), ("--dataset", needs.dataset)]
        with formatter.section("Used where not given"):
            formatter.write_dl([(option, name or "none") for option, name in defaults])


def _shown(value: Any) -> str:
    if isinstance(value, tuple | list):
        return "[" + ", ".join(_shown(item) for item in value) + "]"
    return str(value).lower() if isinstance(value, bool) else str(value)


@click.command(cls=_Analyses)
def command() -> None:
    """Run an analysis, or several one after the other; run NAME --help lists the settings of one.

    Several share datasets and extracted features; all are checked before the first starts, one that fails does not
    stop the others, and one page links their reports:

        dcgan-analyze run svm-cifar pixels --dataset digits --out runs/digits
    """
    from dcgan_analysis.host.host import default_host

    for failed in default_host().failures:
        warn(failed.error)


def execute(request: RunRequest, *, as_json: bool = False) -> Result:
    """Run one analysis and print its result: a table, or the document alone. Under torchrun one process prints."""
    from dcgan_analysis.core.distributed import process_group
    from dcgan_analysis.report import print_result
    from dcgan_analysis.runs.run import run_request

    with process_group() as leader, shown_progress(shown=leader) as progress:
        result = run_request(request, progress=progress)
    if not leader:
        return result
    if as_json:
        print_json(result.model_dump_json(indent=2))
    elif result.folder is not None:
        print_result(result, result.folder, console())
    return result
