"""Expressions a - b + c over attributes: what is asked for, which samples may be exemplars."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dcgan_analysis.errors import AnalysisError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    import numpy as np

    from dcgan_analysis.latents.attributes import Judge

__all__ = ["Candidates", "Expression", "best_supported", "find_candidates", "matches", "pools"]

Wanted = dict[str, bool]


@dataclass(frozen=True)
class Expression:
    """What three concepts show and what their combination shall show: attribute -> whether it is there.

    Attributes:
        a: Has the property, is of the first kind.
        b: Lacks it, is of the first kind.
        c: Lacks it, is of the second kind.
        result: Has it, is of the second kind.
    """

    a: Wanted
    b: Wanted
    c: Wanted
    result: Wanted

    @classmethod
    def of(cls, moved: str, contrast: Sequence[str]) -> Expression:
        """Make the expression that moves a property from one kind to another.

        Args:
            moved: The property: ``"Smiling"``.
            contrast: What tells the kinds apart: an attribute, which the second kind has (``["Male"]``), or two
                classes, the first kind's and the second's (``["3", "8"]``).

        Raises:
            AnalysisError: If it is neither one name nor two, or a name occurs twice.

        Example:
            >>> Expression.of("Smiling", ["Male"]).result
            {'Smiling': True, 'Male': True}
        """
        if len(contrast) not in (1, 2) or len({moved, *contrast}) != 1 + len(contrast):
            given = ", ".join(contrast) or "nothing"
            msg = (
                "An expression moves one property between kinds told apart by one or two others, "
                f"got {moved} and {given}."
            )
            raise AnalysisError(msg)
        first = {contrast[0]: len(contrast) == 2}
        second = {contrast[-1]: True}
        return cls({moved: True, **first}, {moved: False, **first}, {moved: False, **second}, {moved: True, **second})

    def name(self, part: Mapping[str, bool], numbers: Collection[str] = ()) -> str:
        """Say one of its parts in words.

        Args:
            part: One of a, b, c, result.
            numbers: Attributes of which there is more or less than usual, not yes or no.

        Example:
            >>> Expression.of("Smiling", ["Male"]).name({"Smiling": True, "Male": False})
            'Smiling, not Male'
            >>> Expression.of("slant", ["3", "8"]).name({"slant": False, "3": True}, numbers=["slant"])
            'less slant, 3'
        """

        def phrase(name: str, there: bool) -> str:
            if name in numbers:
                return f"{'more' if there else 'less'} {name}"
            return name if there else f"not {name}"

        return ", ".join(phrase(*one) for one in part.items())


def matches(judge: Judge, margins: np.ndarray, wanted: Mapping[str, bool], margin: float = 0.0) -> np.ndarray:
    """Return which images show what is wanted, each attribute by more than a margin.

    Args:
        judge: Knows the columns.
        margins: (..., A) the judge's values.
        wanted: Attribute -> whether it must be there.
        margin: How clear it must be: of 2 p - 1, or in standard deviations.

    Returns:
        (...,) booleans.
    """
    import numpy as np

    signs = np.array([1.0 if there else -1.0 for there in wanted.values()])
    columns = [judge.column(name) for name in wanted]
    shown: np.ndarray = (margins[..., columns] * signs > margin).all(axis=-1)
    return shown


def pools(judge: Judge, margins: np.ndarray, expression: Expression, margin: float) -> list[np.ndarray]:
    """Return the samples that may be exemplars of a, of b and of c, by position."""
    import numpy as np

    return [
        np.flatnonzero(matches(judge, margins, wanted, margin)) for wanted in (expression.a, expression.b, expression.c)
    ]


def best_supported(judge: Judge, margins: np.ndarray, margin: float, *, classes: bool) -> Expression:
    """Return the expression whose smallest pool of exemplars is largest; faces: the paper's own, where it is supported.

    Args:
        judge: Its attributes are what expressions are made of.
        margins: (N, A) its values for N samples.
        margin: How clear an exemplar must be.
        classes: Whether classes may tell the kinds apart; not where the generator is conditional.
    """
    if {"Smiling", "Male"} <= set(judge.names):
        return Expression.of("Smiling", ["Male"])
    expressions = list(_candidates(judge, classes=classes))
    return max(expressions, key=lambda one: min(len(pool) for pool in pools(judge, margins, one, margin)))


def _candidates(judge: Judge, *, classes: bool) -> Iterator[Expression]:
    others = [name for name in judge.names if name not in judge.classes]
    yes_or_no = [name for name in others if judge.binary[judge.column(name)]]
    if len(yes_or_no) > 1:
        yield from (Expression.of(a, [b]) for a, b in itertools.permutations(yes_or_no, 2))
    elif judge.classes and classes:
        pairs = itertools.permutations(judge.classes, 2)
        yield from (Expression.of(moved, pair) for pair in pairs for moved in others)
    else:
        yield from (Expression.of(a, [b]) for a, b in itertools.permutations(others, 2))


@dataclass(frozen=True)
class Candidates:
    """Samples among which exemplars of an expression are found.

    Attributes:
        judge: Who chose them, centred on the samples.
        expression: What is asked for.
        pools: Positions of the samples that clearly show a, b, c.
        margins: (J, N, A) each network's values for all N samples.
    """

    judge: Judge
    expression: Expression
    pools: list[np.ndarray]
    margins: np.ndarray

    @property
    def asked(self) -> str:
        """What the result is to show, in words."""
        return self._name(self.expression.result)

    def named(self) -> Iterator[tuple[str, np.ndarray]]:
        """Yield name and positions of a, b and c."""
        parts = (self.expression.a, self.expression.b, self.expression.c)
        yield from zip(map(self._name, parts), self.pools, strict=True)

    def _name(self, part: Mapping[str, bool]) -> str:
        numbers = [name for name in part if not self.judge.binary[self.judge.column(name)]]
        return self.expression.name(part, numbers)


def find_candidates(
    judge: Judge,
    images: np.ndarray,
    *,
    moved: str | None = None,
    contrast: Sequence[str] = (),
    margin: float,
    needed: int,
    classes: bool = True,
) -> Candidates:
    """Judge samples and find those that clearly show a, b and c.

    Args:
        judge: Is centred on these samples first.
        images: The samples, uint8 (N, C, H, W).
        moved: As in :meth:`Expression.of`; None: the expression with most exemplars.
        contrast: The same.
        margin: How clear exemplars must be.
        needed: How many of each there must be.
        classes: Whether classes may tell kinds apart, where the expression is not given.

    Raises:
        AnalysisError: If there are too few of one.
        UnknownNameError: If the judge does not know an attribute.
    """
    judge = judge.centred_on(judge.each(images))
    each = judge.each(images)
    margins = each.mean(axis=0)
    if moved is None:
        expression = best_supported(judge, margins, margin, classes=classes)
    else:
        expression = Expression.of(moved, contrast)
    candidates = Candidates(judge, expression, pools(judge, margins, expression, margin), each)
    for name, pool in candidates.named():
        if len(pool) < needed:
            msg = (
                f"Only {len(pool)} of {len(images):,} samples clearly show '{name}', {needed} are needed. Draw more "
                "(the setting samples), ask for less clarity (margin), or choose other attributes "
                "(moved, contrast)."
            )
            raise AnalysisError(msg)
    return candidates
