"""What a rule settled, in words, with the settings that say the same: to change it, say them otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dcgan_analysis.checkpoints.importers.operations import (
    Activate,
    Label,
    Normalise,
    Operation,
    Pool,
    Reshape,
    Resize,
    Shuffle,
    Weighted,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from dcgan_analysis.checkpoints.importers.rows import LayerTable
    from dcgan_analysis.checkpoints.importers.settings import ReadSettings
    from dcgan_analysis.checkpoints.importers.structure import Structure

__all__ = ["Assumption", "assumptions", "because"]


@dataclass(frozen=True)
class Assumption:
    """One thing that the file does not say.

    Attributes:
        what: What was assumed: ``"generator: transposed convolution, stride 2, padding 1: main.3, main.6"``.
        settings: The settings that say so, by their names after ``--set``: ``{"generator.stride": [1, 2, 2]}``.
    """

    what: str
    settings: dict[str, Any]


def assumptions(
    structure: Structure,
    table: LayerTable,
    settings: ReadSettings,
    others: Sequence[int],
    settled: Collection[str] = (),
) -> list[Assumption]:
    """List what was assumed of one network.

    Args:
        structure: The network as settled.
        table: The same, as rows.
        settings: What was said; nothing of it is listed.
        others: Image sizes that were possible as well.
        settled: What the statistics of batch normalisation decided: ``activation``, ``output``, ``batchnorm_eps``.
    """
    role = structure.role
    assumed = [
        *_labels(structure),
        *_kernels(structure, settings, others),
        *_unweighted(structure, table),
        *_norms(structure, settings),
    ]
    return [
        Assumption(
            f"{role}: {what}{''.join(because(settled, name) for name in list(remedy)[:1])}",
            {name if name == "image_size" else f"{role}.{name}": each for name, each in remedy.items()},
        )
        for what, remedy in assumed
    ]


def because(settled: Collection[str], name: str) -> str:
    """Return what is said behind an assumption that the statistics of batch normalisation decided."""
    return ", as the BatchNorm statistics say" if name in settled else ""


_Said = tuple[str, dict[str, Any]]


def _kernels(structure: Structure, settings: ReadSettings, others: Sequence[int]) -> Iterator[_Said]:
    kernels = [each for each in structure.operations if isinstance(each, Weighted) and each.kind != "linear"]
    assumed = [each for each in kernels if each.assumed]
    size = structure.image_shape[1]
    if settings.image_size is None and (others or (structure.role == "discriminator" and assumed)):
        also = f"; {_list(map(str, sorted(set(others))))} would fit as well" if others else ""
        yield f"images of {size}x{size} pixels{also}", {"image_size": size}
    strides: dict[str, Any] = {
        "stride": [each.stride for each in kernels],
        "padding": [_use(each)[2] for each in kernels],
    }
    if any(each.output_padding for each in kernels):
        strides["output_padding"] = [each.output_padding for each in kernels]
    for use in dict.fromkeys(map(_use, assumed)):
        kind, stride, padding, rest = use
        behind = f", output padding {rest}" if rest else ""
        word = "transposed convolution" if kind == "deconv" else "convolution"
        names = _list(each.name for each in assumed if _use(each) == use)
        yield f"{word}, stride {stride}, padding {padding}{behind}: {names}", strides
    square = [each.name for each in assumed if each.inputs == each.outputs and each.undecided]
    if square:
        yield (
            f"which kernels are transposed ({_list(square)} could be either)",
            {"operation": [each.kind for each in kernels]},
        )


def _use(each: Weighted) -> tuple[str, int | None, int | str, int]:
    padding = each.padding if isinstance(each.padding, str) else (each.padding or (0,))[0]
    return each.kind, each.stride, padding, each.output_padding


def _labels(structure: Structure) -> Iterator[_Said]:
    words = {
        "one_hot": "one-hot, beside",
        "embedding": "embedded, beside",
        "embedding_add": "embedded, added to",
        "embedding_multiply": "embedded, multiplied with",
    }
    for each in structure.operations:
        if isinstance(each, Label) and each.assumed:
            what = "image" if structure.role == "discriminator" else "latent vector"
            on_maps = isinstance(each.size, tuple) and structure.role == "generator"
            order = (" and before it" if each.first else " and behind it") if each.added else ""
            remedy: dict[str, Any] = {"label": each.how} | ({"label_first": each.first} if each.added else {})
            yield f"{each.classes} classes, {words[each.how]} the {'first maps' if on_maps else what}{order}", remedy


def _unweighted(structure: Structure, table: LayerTable) -> Iterator[_Said]:
    assumed = [
        (name, each)
        for name, operations in table.operations.items()
        for each in operations
        if not isinstance(each, Normalise | Weighted) and getattr(each, "assumed", False)
    ]
    last = table.layers[-1].name
    acting = [(name, each) for name, each in assumed if isinstance(each, Activate)]
    hidden = [(name, each) for name, each in acting if not (name == last and structure.role == "generator")]
    for kind, slope in dict.fromkeys((each.kind, each.slope) for _, each in hidden):
        names = [name for name, each in hidden if (each.kind, each.slope) == (kind, slope)]
        steep = f" of slope {slope:g}" if slope is not None else ""
        remedy = {"activation": kind} | ({"slope": slope} if slope is not None else {})
        yield f"{kind}{steep} after {_list(names)}", remedy
    for name, each in acting:
        if (name, each) not in hidden:
            yield f"{each.kind} after the last layer", {"output": each.kind}
    for name, other in assumed:
        if not isinstance(other, Activate):
            yield from _shaped(name, other)


def _shaped(name: str, each: Operation) -> Iterator[_Said]:
    match each:
        case Resize(mode=mode):
            yield f"maps made twice as large, {mode} ({name})", {"upsample": mode}
        case Reshape(shape=shape) if shape is not None and shape[1] > 1:
            yield f"the units of {name} become maps of {'x'.join(map(str, shape))}", {"reshape": list(shape)}
        case Shuffle(factor=factor):
            yield f"pixel shuffle by {factor} ({name}), as fewer maps go on", {}
        case Pool(kind="global"):
            yield f"each map averaged ({name}), as fewer units go on", {}
        case Pool():
            yield f"maximum of 2x2 pixels ({name}), as smaller maps go on", {}


def _norms(structure: Structure, settings: ReadSettings) -> Iterator[_Said]:
    norms = [each for each in structure.operations if isinstance(each, Normalise)]
    own = settings.of(structure.role)
    epses = [each.eps for each in norms if each.assumed]
    if epses:
        amounts = list(dict.fromkeys(epses))
        remedy = amounts[0] if len(amounts) == 1 else [each.eps for each in norms]
        yield f"{' and '.join(f'{eps:g}' for eps in amounts)} added to the variance", {"batchnorm_eps": remedy}
    guessed = [each.name for each in norms if each.guessed]
    if guessed and own.norm is None:
        yield f"instance normalisation, as it has no running statistics: {_list(guessed)}", {"norm": "instance"}
    bare = [each.name for each in norms if each.kind == "batch" and each.mean is None]
    if bare and own.norm is None:
        yield f"batch normalisation, whose statistics are not there: {_list(bare)}", {"norm": "batch"}


def _list(names: Iterable[str]) -> str:
    shown = list(names)
    return ", ".join(shown[:6]) + (f" and {len(shown) - 6} more" if len(shown) > 6 else "")
