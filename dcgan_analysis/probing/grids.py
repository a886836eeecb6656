"""The grid from which C is chosen: settings, table, figure, notes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

from pydantic import Field, PositiveFloat

from dcgan_analysis.api.analysis import AnalysisConfig
from dcgan_analysis.api.result import Cell, Table

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from dcgan_analysis.api.context import RunContext

AUTHORS_GRID = (1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2)
"""The grid of C in the authors' code."""


class GridSettings(AnalysisConfig):
    """The values that C is chosen from."""

    C: tuple[PositiveFloat, ...] = Field(default=AUTHORS_GRID, min_length=1, description="grid of C (the authors' own)")
    protocol: Literal["extended", "paper"] = Field(
        default="extended",
        description="extended: where the best C of any of the features that are compared lies at an end, the grid goes "
        "on for all of them until it lies inside; paper: the grid stays as it is",
    )

    @property
    def decades(self) -> int:
        """How many decades the grid may be extended at each end."""
        from dcgan_analysis.linear.selection import DECADES

        return DECADES if self.protocol == "extended" else 0


class _Choice(Protocol):
    """A choice of C, as ``Probe`` and ``FewLabelProbe`` hold it."""

    @property
    def c(self) -> float: ...
    @property
    def cs(self) -> NDArray[np.float64]: ...
    @property
    def validation(self) -> NDArray[np.float64]: ...


def _curve(choice: _Choice, measure: str) -> list[float]:
    values = 1 - choice.validation if measure == "error" else choice.validation
    return [float(value) for value in values]


def grid_table(choices: Mapping[str, _Choice], measure: Literal["accuracy", "error"] = "accuracy") -> Table:
    """Return the held-out accuracy, or error, for each C; one column for each choice, empty where it lacks the C."""
    columns = ["C", *choices]
    curves = [dict(zip(choice.cs.tolist(), _curve(choice, measure), strict=True)) for choice in choices.values()]
    rows: list[list[Cell]] = [[c, *(curve.get(c) for curve in curves)] for c in sorted(set().union(*curves))]
    return Table(name="grid", title=f"Held-out {measure} against C", columns=columns, rows=rows, percent=columns[1:])


def save_grid_figure(
    context: RunContext,
    choices: Mapping[str, _Choice],
    measure: Literal["accuracy", "error"] = "accuracy",
    *,
    caption: str = "The marked C is refitted on all training images.",
) -> None:
    """Draw what ``grid_table`` lists."""
    from dcgan_analysis import figures

    series = {
        name: figures.Series(choice.cs.tolist(), _curve(choice, measure), chosen=choice.c)
        for name, choice in choices.items()
    }
    figure = figures.curve(series, y_label=f"held-out {measure}")
    context.save_figure(figure, "grid", f"Held-out {measure} against C", caption)


def note_grid(context: RunContext, settings: GridSettings, choices: Mapping[str, _Choice]) -> None:
    """Note in the result how far the grid was extended, and warn of a best C that is still at an end.

    Args:
        context: The run.
        settings: The initial grid.
        choices: Name of the features -> the choice; all have one grid.
    """
    from dcgan_analysis.linear.selection import best_at_end

    grid = next(iter(choices.values())).cs
    initial = sorted(settings.C)
    if len(grid) > len(initial):
        context.note(
            f"The best C of a set of features lay at an end of the grid, {initial[0]:g} to {initial[-1]:g}: for all of "
            f"them it was extended to {grid[0]:g} to {grid[-1]:g}."
        )
    for name, choice in choices.items():
        end = best_at_end(choice.validation)
        if end is not None:
            direction = "smaller" if end == "first" else "larger"
            context.warn(
                f"{name}: the best C, {choice.c:g}, is the {end} of the grid. A {direction} one may do better, and a "
                "comparison with other features may turn: extend the grid (setting C), or let it extend itself "
                "(protocol 'extended')."
            )
