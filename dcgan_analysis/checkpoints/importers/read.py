"""Weights from elsewhere, of any kind that can be read: found out, made out, and said what was assumed."""

from __future__ import annotations

import functools
import itertools
import math
import re
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

import torch

from dcgan_analysis.checkpoints.importers.array_files import read_npy_folder, read_npz, read_safetensors
from dcgan_analysis.checkpoints.importers.arrays import Array
from dcgan_analysis.checkpoints.importers.assumptions import Assumption, assumptions, because
from dcgan_analysis.checkpoints.importers.contract import ImportedWeights
from dcgan_analysis.checkpoints.importers.detect import READABLE, kind_of_file
from dcgan_analysis.checkpoints.importers.evidence import (
    AGREES,
    CLOSE,
    DECIDES,
    TRIED,
    Misfit,
    Reading,
    as_named,
    best_reading,
    class_numbers,
    latent_vectors,
    network_of,
)
from dcgan_analysis.checkpoints.importers.keras import EPS as KERAS_EPS
from dcgan_analysis.checkpoints.importers.keras import read_keras
from dcgan_analysis.checkpoints.importers.labels import labelled, without_heads
from dcgan_analysis.checkpoints.importers.modules import module_operations
from dcgan_analysis.checkpoints.importers.networks import Candidate, candidates, epoch_of, role_of_name
from dcgan_analysis.checkpoints.importers.operations import Activate, ForeignNetwork, Normalise, Weighted
from dcgan_analysis.checkpoints.importers.pickles import Record
from dcgan_analysis.checkpoints.importers.rows import EPS, LayerTable, layer_table
from dcgan_analysis.checkpoints.importers.settings import ReadSettings
from dcgan_analysis.checkpoints.importers.state_dicts import is_channels_last, operations_of, orders, without
from dcgan_analysis.checkpoints.importers.structure import Structure, structures
from dcgan_analysis.checkpoints.importers.torch_files import read_torch
from dcgan_analysis.errors import CheckpointError, ConfigError
from dcgan_analysis.models.architecture import ROLES, Role
from dcgan_analysis.models.layers import layers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from torch import Tensor

    from dcgan_analysis.checkpoints.importers.contract import ImportRequest

__all__ = ["KINDS", "kind_of", "load"]

KINDS = ("pytorch", "safetensors", "numpy", "keras")
"""What files can be, as importers are called."""

_SUFFIXES = (
    ".pth", ".pt", ".bin", ".ckpt", ".pkl", ".tar", ".model", ".weights", ".safetensors", ".h5", ".hdf5", ".keras",
    ".npz", ".th",
)  # fmt: skip
_NUMBER = re.compile(r"(?:^|[_\-.a-zA-Z])(\d+)(?=[_\-.]|$)")
_EPOCH = re.compile(r"(?:^|[_\-.\d])ep(?:och)?s?[_\-.=]?(\d+)", re.IGNORECASE)
_AUTHORS = re.compile(r"(?:\d+_)?(?:gen|discrim)_params\.jl_\d+\.npy")
_CERTAIN = 0.1  # an order of operations that costs no more needs no other beside it
_LIKELY = 1.0  # for the order by containers
_CLOSE = 0.05  # costs that differ by less do not decide
_ALSO = 1.01  # ways so much dearer are named as also possible
_UNLIKE = 0.5  # what it costs that one network pads its kernels and the other does not
_RIVAL = 1.5  # ways so much dearer are tried on the statistics of batch normalisation
_TOGETHER = 2.0  # so much dearer than each alone two networks may be to go together


@dataclass(frozen=True)
class _Found:
    """A network that a file holds, not yet made out."""

    file: Path
    key: str
    role: Role | None
    network: Callable[[], ForeignNetwork]
    epoch: float | None


@dataclass(frozen=True)
class _Settled:
    """A network with the way that was chosen, other sizes of images that were possible, and what statistics settled."""

    ways: _Ways
    structure: Structure
    other_sizes: tuple[int, ...] = ()
    z_prior: str = "normal"
    settled: frozenset[str] = frozenset()


@dataclass(frozen=True)
class _Ways:
    """A network and the ways in which its operations can be one."""

    network: ForeignNetwork
    structures: list[Structure]

    @property
    def role(self) -> Role:
        return self.structures[0].role


def kind_of(path: Path) -> str:
    """Say which importer a path is for: ``theano`` and those of :data:`KINDS`.

    Raises:
        CheckpointError: If it cannot be read by any, in one line that says what it is.
    """
    if path.is_dir():
        if any(_AUTHORS.fullmatch(each.name) for each in list(path.glob("*.npy"))):
            return "theano"
        files = _files(path)
        return _importer(kind_of_file(files[0])) if files else "numpy"
    if not path.exists():
        msg = f"'{path}' does not exist. Name a file of weights, or a folder with one: {READABLE}."
        raise CheckpointError(msg)
    return _importer(kind_of_file(path))


def _importer(kind: str) -> str:
    return "numpy" if kind in ("npz", "npy") else kind


def load(request: ImportRequest, kind: str) -> ImportedWeights:
    """Read the networks in one or two files or folders.

    Args:
        request: What to read.
        kind: The kind of the first file: one of :data:`KINDS`; the second may be of another.

    Raises:
        CheckpointError: If a file cannot be read, or what it holds is no DCGAN that a table of layers can say.
        ConfigError: If a setting is wrong.
    """
    settings = ReadSettings.build(request.settings)
    own = kind_of(request.paths[0])
    if own != kind:
        msg = f"'{request.paths[0]}' is read as {own}, not as {kind}. Leave --format out."
        raise CheckpointError(msg)
    candidates = [each for path in request.paths for each in _found(path, settings)]
    chosen = _chosen(candidates, settings, request.paths)
    alone = [each.role for each in chosen] == ["discriminator"]
    read = _normalised([_remembered(each.network()) for each in chosen], alone)
    networks = labelled(read, [each.role for each in chosen], settings)
    ways = [_ways(network, each.role, settings) for network, each in zip(networks, chosen, strict=True)]
    made = _tested(_agreed(ways, settings), settings)
    return _imported(made, chosen, settings)


# What the files hold.


def _found(path: Path, settings: ReadSettings) -> list[_Found]:
    if not path.exists():
        msg = f"'{path}' does not exist. Name a file of weights, or a folder with one: {READABLE}."
        raise CheckpointError(msg)
    if path.is_dir():
        files = _files(path)
        if files:
            return [each for file in _of_epoch(path, files, settings.epoch) for each in _found(file, settings)]
        if list(path.glob("*.npy")):
            return _in_arrays(path, read_npy_folder(path), settings)
        msg = f"Folder '{path}' holds no weights. Readable are {READABLE}."
        raise CheckpointError(msg)
    kind = kind_of_file(path)
    if kind == "npy":
        msg = f"File '{path}' is one array. Name the folder that holds all of them, or save them in one .npz."
        raise CheckpointError(msg)
    if kind == "keras":
        return [
            _Found(path, each.key, each.role or role_of_name(path.stem), partial(_itself, each), _epoch_in(path))
            for each in read_keras(path)
        ]
    if kind == "pytorch":
        return _in_document(path, read_torch(path), settings)
    return _in_arrays(path, read_safetensors(path) if kind == "safetensors" else read_npz(path), settings)


def _itself(network: ForeignNetwork) -> ForeignNetwork:
    return network


def _files(folder: Path) -> list[Path]:
    """Return the files of weights in a folder, those first whose names say which network they hold."""
    files = [each for each in sorted(folder.iterdir()) if each.is_file() and each.suffix.lower() in _SUFFIXES]
    named = [each for each in files if role_of_name(each.stem) is not None]
    return named or files


def _of_epoch(folder: Path, files: list[Path], epoch: int | None) -> list[Path]:
    """Choose, of files of several epochs, those of one."""
    if epoch is not None:
        files = [each for each in files if epoch in _numbers_in(each)]
        if not files:
            msg = (
                f"Folder '{folder}' holds no files of epoch {epoch}. Choose a number in their names: --set epoch=NUMBER"
            )
            raise CheckpointError(msg)
    for role in (*ROLES, None):
        own = [each for each in files if role_of_name(each.stem) == role]
        if len(own) > 1:
            names = ", ".join(each.name for each in own[:3]) + (", ..." if len(own) > 3 else "")
            numbers = {tuple(_numbers_in(each)) for each in own}
            how = "--set epoch=NUMBER" if len(numbers) == len(own) else "name the files: import GENERATOR DISCRIMINATOR"
            msg = f"Folder '{folder}' holds {len(own)} files of a {role or 'network'} ({names}). Choose one: {how}"
            raise CheckpointError(msg)
    return files


def _numbers_in(path: Path) -> list[int]:
    return [int(number) for number in _NUMBER.findall(path.stem)]


def _epoch_in(path: Path) -> float | None:
    match = _EPOCH.search(path.stem)
    return float(match[1]) if match else None


def _in_document(path: Path, document: Any, settings: ReadSettings) -> list[_Found]:
    holders = candidates(document)
    if not holders:
        _no_network(path, document)
    epoch = epoch_of(document)
    return [_candidate(path, each, settings, _epoch_in(path) if epoch is None else epoch) for each in holders]


def _in_arrays(path: Path, arrays: Any, settings: ReadSettings) -> list[_Found]:
    holders = candidates(dict(arrays))
    if not holders:
        msg = f"'{path}' holds {len(arrays)} arrays, none of them called weight or kernel. Name them as PyTorch does."
        raise CheckpointError(msg)
    return [_candidate(path, each, settings, _epoch_in(path), foreign=True) for each in holders]


def _candidate(
    path: Path, candidate: Candidate, settings: ReadSettings, epoch: float | None, *, foreign: bool = False
) -> _Found:
    def network() -> ForeignNetwork:
        content = candidate.content
        if isinstance(content, Record):
            return ForeignNetwork(candidate.key, path, module_operations(content))
        arrays = without_heads(without(content, settings.ignore))
        channels_last = foreign and is_channels_last(arrays)
        return ForeignNetwork(
            candidate.key, path, operations_of(arrays, channels_last=channels_last), channels_last=channels_last
        )

    return _Found(path, candidate.key, candidate.role or role_of_name(path.stem), network, epoch)


def _no_network(path: Path, document: Any) -> NoReturn:
    call = _first_call(document)
    if call is not None and call.startswith(("numpy", "joblib", "_codecs")):
        msg = (
            f"File '{path}' holds pickled NumPy objects, which only code can restore ({call}). "
            "Where it was made: numpy.savez('generator.npz', **arrays)."
        )
    elif call is not None:
        msg = (
            f"File '{path}' needs {call} to be called, which would run code. Nothing was run. "
            "Where it was made: torch.save(netG.state_dict(), 'netG.pth')."
        )
    else:
        kind = "empty dictionary" if document == {} else type(document).__name__
        msg = f"File '{path}' holds no network but a {kind}. Save netG.state_dict() alone."
    raise CheckpointError(msg)


def _first_call(document: Any, depth: int = 0) -> str | None:
    if isinstance(document, Record):
        return document.name
    values = document.values() if isinstance(document, dict) else document if isinstance(document, list | tuple) else ()
    for value in list(values)[:100] if depth < 4 else ():
        name = _first_call(value, depth + 1)
        if name is not None:
            return name
    return None


# Which of them.


def _chosen(networks: list[_Found], settings: ReadSettings, paths: Sequence[Path]) -> list[_Found]:
    if settings.network is not None and len(networks) == 1:
        return [replace(networks[0], role=settings.network)]
    wanted = (settings.key,) if isinstance(settings.key, str) else settings.key or ()
    by_key = [each for each in networks if each.key in wanted]
    for key in wanted:
        if not any(each.key == key for each in networks):
            known = ", ".join(repr(each.key) for each in networks)
            msg = f"'{paths[0]}' holds nothing under the key '{key}'. It holds {known}."
            raise CheckpointError(msg)
    if settings.network is not None and len(by_key) == 1:
        return [replace(by_key[0], role=settings.network)]
    taken = {each.role for each in by_key}
    rest = [each for each in networks if each not in by_key and each.role is not None and each.role not in taken]
    chosen = [*by_key, *rest] if by_key else [each for each in networks if each.role is not None] or networks
    for role in (*ROLES, None):
        own = [each for each in chosen if each.role == role]
        if len(own) > (2 if role is None and len(chosen) == 2 else 1):
            _several(own, role)
    return chosen


def _several(networks: list[_Found], role: Role | None) -> NoReturn:
    what = f"{len(networks)} networks that could be the {role}" if role else f"{len(networks)} networks"
    files = list(dict.fromkeys(each.file for each in networks))
    if len(files) == len(networks):
        names = " and ".join(f"'{each.name}'" for each in files[:3])
        msg = f"{names} both hold a {role or 'network'}. Name one file for each network."
    else:
        keys = ", ".join(each.key or "(the file itself)" for each in networks[:8])
        msg = f"File '{files[0]}' holds {what}: {keys}. Choose one: --set key={networks[0].key}"
    raise CheckpointError(msg)


# What they are.


def _ways(network: ForeignNetwork, hint: Role | None, settings: ReadSettings) -> _Ways:
    """Find the ways in which a network can be what its name says; or, if there is none, the other."""
    forced = settings.network == hint and hint is not None
    roles = ROLES if hint is None else (hint,) if forced else (hint, *(role for role in ROLES if role != hint))
    for reordered in (False, True):
        ways: list[_Ways] = []
        for role in roles:
            each = _structures(network, role, settings, reordered=reordered)
            if each is not None and hint is not None:
                return each
            ways += [each] if each is not None else []
        if ways:
            return min(ways, key=lambda each: each.structures[0].cost)
    _no_structure(network, hint, settings)


def _structures(
    network: ForeignNetwork, role: Role, settings: ReadSettings, size: int | None = None, *, reordered: bool = False
) -> _Ways | None:
    """Find the ways of one role, in the file's order of operations or, ``reordered``, the best of others."""
    best: _Ways | None = None
    possible = orders(network.operations, role)
    own = next(possible)
    for position, operations in enumerate(possible if reordered else (own,)):
        ways = structures(
            operations,
            role,
            settings.of(role),
            size=settings.image_size if size is None else size,
            input_shape=network.input_shape if role == "discriminator" else None,
            channels_last=network.channels_last,
        )
        if ways and (best is None or ways[0].cost < best.structures[0].cost):
            best = _Ways(replace(network, operations=operations), ways)
            # Numbers within containers are not given up lightly.
            if ways[0].cost <= (_LIKELY if position == 0 else _CERTAIN):
                break
    return best


def _no_structure(network: ForeignNetwork, role: Role | None, settings: ReadSettings) -> NoReturn:
    where = f"'{network.key}' in '{network.file}'" if network.key else f"File '{network.file}'"
    parts = [f"{each.name} {each.weight.shape}" for each in network.operations if isinstance(each, Weighted)]
    shown = ", ".join(parts[:12]) + (", ..." if len(parts) > 12 else "")
    sized = f" for images of {settings.image_size} pixels" if settings.image_size is not None else ""
    msg = (
        f"{where}: its arrays make no {role or 'generator or discriminator'}{sized} whose sizes fit ({shown}). "
        "Say strides and paddings (--set generator.stride=[1,2,2]), or use the network in Python: "
        "dcgan_analysis.wrap(generator=...)."
    )
    raise CheckpointError(msg)


def _agreed(ways: list[_Ways], settings: ReadSettings) -> list[_Settled]:
    """Choose one way for each network so that images have one shape; also say which other sizes were possible."""
    if len({each.role for each in ways}) < len(ways):
        names = " and ".join(f"'{each.network.key or each.network.file.name}'" for each in ways)
        msg = f"{names} both hold a {ways[0].role}. Name one file for each network."
        raise CheckpointError(msg)
    if len(ways) == 1:
        best = _by_shape(ways[0].structures)
        shape = _decided([(structure.cost, shape) for shape, structure in best.items()], settings)
        sizes = [each[1] for each, way in best.items() if each[1] != shape[1] and way.cost <= best[shape].cost + _ALSO]
        return [_Settled(ways[0], best[shape], tuple(sizes))]
    first, second = ways
    # Either may allow sizes that the other's cheapest ways do not reach.
    for size in dict.fromkeys(each.image_shape[1] for way in ways for each in way.structures):
        for position, way in enumerate((first, second)):
            if not any(each.image_shape[1] == size for each in way.structures):
                more = _structures(way.network, way.role, settings, size)
                if more is not None:
                    joined = _Ways(way.network, [*way.structures, *more.structures])
                    first, second = (joined, second) if position == 0 else (first, joined)
    best_pairs: dict[tuple[int, int, int], tuple[float, Structure, Structure]] = {}
    for left, right in itertools.product(_by_habit(first.structures), _by_habit(second.structures)):
        # Whoever pads the kernels of one network pads those of the other.
        cost = left.cost + right.cost + (_UNLIKE if left.padded != right.padded else 0.0)
        shape = left.image_shape
        if shape == right.image_shape and cost < best_pairs.get(shape, (math.inf,))[0]:
            best_pairs[shape] = (cost, left, right)
    alone = min(each.cost for each in first.structures) + min(each.cost for each in second.structures)
    shared = [(cost, shape) for shape, (cost, _, _) in best_pairs.items() if cost <= alone + _TOGETHER]
    if not shared:
        a, b = ("x".join(map(str, each.structures[0].image_shape)) for each in (first, second))
        msg = (
            f"The {first.role} is for images of {a}, the {second.role} for {b}: they do not belong together. "
            "Import them one by one."
        )
        raise CheckpointError(msg)
    shape = _decided(shared, settings)
    cost, left, right = best_pairs[shape]
    others = tuple(each[1] for total, each in shared if each[1] != shape[1] and total <= cost + _ALSO)
    return [_Settled(first, left, others), _Settled(second, right, others)]


def _by_habit(structures: list[Structure]) -> list[Structure]:
    """Keep the cheapest way for each shape of images and each habit of padding."""
    best: dict[tuple[Any, ...], Structure] = {}
    for each in sorted(structures, key=lambda each: each.cost):
        best.setdefault((each.image_shape, each.padded), each)
    return list(best.values())


def _by_shape(structures: list[Structure]) -> dict[tuple[int, int, int], Structure]:
    best: dict[tuple[int, int, int], Structure] = {}
    for each in sorted(structures, key=lambda each: each.cost):
        best.setdefault(each.image_shape, each)
    return best


def _decided(costs: list[tuple[float, tuple[int, int, int]]], settings: ReadSettings) -> tuple[int, int, int]:
    ordered = sorted(costs)
    sizes = sorted({shape[1] for cost, shape in ordered if cost <= ordered[0][0] + _CLOSE})
    if len(sizes) > 1 and settings.image_size is None:
        text = ", ".join(map(str, sizes[:-1])) + f" or {sizes[-1]}"
        msg = f"The arrays fit images of {text} pixels alike. Choose: --set image_size={sizes[0]}"
        raise CheckpointError(msg)
    return ordered[0][1]


# What their statistics say.


def _normalised(read: list[ForeignNetwork], critic: bool) -> list[ForeignNetwork]:
    """Settle what normalisations without statistics are: where others have some, or in a critic alone, not of batches.

    Batch normalisation makes no sense with a gradient penalty; those who train so use instance normalisation.
    """
    norms = [each for network in read for each in network.operations if isinstance(each, Normalise)]
    if not (critic or any(each.mean is not None for each in norms)):
        return read

    def settled(each: Any) -> Any:
        bare = isinstance(each, Normalise) and each.kind == "batch" and each.mean is None and each.eps is None
        return replace(each, kind="instance", guessed=True) if bare else each

    return [replace(network, operations=tuple(map(settled, network.operations))) for network in read]


def _remembered(network: ForeignNetwork) -> ForeignNetwork:
    """Read each array once, however many ways are tried."""

    def kept(value: Any) -> Any:
        return Array(value.name, value.shape, functools.cache(value.tensor)) if isinstance(value, Array) else value

    operations = tuple(
        replace(each, **{item.name: kept(getattr(each, item.name)) for item in fields(each)})
        for each in network.operations
    )
    return replace(network, operations=operations)


def _tested(made: list[_Settled], settings: ReadSettings) -> list[_Settled]:
    """Try what a rule settled on the statistics of batch normalisation; take what has them."""
    settled = {each.structure.role: each for each in made}
    generator, discriminator = settled.get("generator"), settled.get("discriminator")
    if generator is None:
        return [replace(each, structure=_rivals(each, settings)[0]) for each in made]
    reading = _read_again(generator, settings, None)
    shape = reading.structure.image_shape
    if discriminator is not None and shape != discriminator.structure.image_shape:
        discriminator = replace(discriminator, structure=_by_shape(discriminator.ways.structures)[shape])
    generator = replace(generator, structure=reading.structure, z_prior=reading.z_prior, settled=reading.settled)
    if discriminator is None:
        return [replace(generator, structure=next(_outputs(generator.structure, settings)))]
    best: Reading | None = None
    # Of a generator that is not what its statistics say the images say nothing either.
    trusted = reading.misfit is None or reading.misfit.coarse <= CLOSE
    for number, variant in enumerate(_outputs(generator.structure, settings)):
        images = _samples(variant, generator) if trusted else None
        judged = _read_again(discriminator, settings, images)
        if best is None or _is_nearer(judged.misfit, best.misfit):
            decided = {*generator.settled, *(("output",) if number else ())}
            generator, best = replace(generator, structure=variant, settled=frozenset(decided)), judged
        if best.misfit is None or best.misfit.coarse <= AGREES:
            break
    assert best is not None  # there is one output at least
    return [generator, replace(discriminator, structure=best.structure, settled=best.settled)]


def _is_nearer(misfit: Misfit | None, other: Misfit | None) -> bool:
    return misfit is not None and other is not None and misfit.coarse < min(CLOSE, DECIDES * other.coarse)


@torch.no_grad()
def _samples(structure: Structure, generator: _Settled) -> Tensor:
    latents = latent_vectors(TRIED, structure.z_size, generator.z_prior)
    network = network_of(structure, generator.ways.network.channels_last)
    images: Tensor = network(latents, class_numbers(structure))
    return images


def _read_again(each: _Settled, settings: ReadSettings, images: Tensor | None) -> Reading:
    network = each.ways.network
    role = each.structure.role
    return best_reading(_rivals(each, settings), settings.of(role), network.channels_last, settings.z_prior, images)


def _rivals(each: _Settled, settings: ReadSettings) -> list[Structure]:
    """Return the way chosen and those that it was preferred to, with eps put in."""
    chosen = each.structure
    sizes = {chosen.image_shape[1], *(each.other_sizes if chosen.role == "generator" else ())}
    ways = [
        way
        for way in each.ways.structures
        if way != chosen and way.image_shape[1] in sizes and way.cost <= chosen.cost + _RIVAL
    ]
    filled = [_with_eps(way, settings, each.ways.network.channels_last) for way in (chosen, *ways)]
    return [filled[0] if settings.of(chosen.role).activation else as_named(filled[0]), *filled]


def _outputs(structure: Structure, settings: ReadSettings) -> Iterator[Structure]:
    """Yield the generator with what is usual at its end, and, where the file does not say, with what may be there."""
    *before, last = structure.operations
    if not (isinstance(last, Activate) and last.assumed and settings.of("generator").output is None):
        yield structure
        return
    for kind in ("sigmoid", "tanh") if _ends_in_sigmoid(structure) else ("tanh", "sigmoid"):
        yield replace(structure, operations=(*before, replace(last, kind=kind)))


# What becomes of them.


def _imported(made: list[_Settled], chosen: list[_Found], settings: ReadSettings) -> ImportedWeights:
    tables: dict[Role, LayerTable] = {}
    notes: list[Assumption] = []
    z_size, z_prior, image_shape = 100, "normal", made[0].structure.image_shape
    settled: frozenset[str] = frozenset()
    for each in made:
        structure = each.structure
        table = layer_table(structure, each.ways.network.channels_last)
        tables[structure.role] = table
        notes += assumptions(structure, table, settings, each.other_sizes, each.settled)
        if structure.role == "generator":
            z_prior, settled = each.z_prior, each.settled
        z_size = structure.z_size or z_size
    image_range = settings.image_range or _range_of(tables.get("generator"))
    rows: dict[str, Any] = {role: table.layers for role, table in tables.items()}
    architecture = layers(
        **rows,
        image_shape=image_shape,
        image_range=image_range,
        z_size=z_size,
        classes=max(each.structure.classes for each in made),
    )
    if settings.z_prior is None and "generator" in tables:
        notes.append(
            Assumption(
                f"latent vectors from a {z_prior} distribution{because(settled, 'z_prior')}", {"z_prior": z_prior}
            )
        )
    if settings.image_range is None:
        low, high = image_range
        notes.append(Assumption(f"pixel values from {low:g} to {high:g}", {"image_range": [low, high]}))
    epochs = [each.epoch for each in chosen if each.epoch is not None]
    states: dict[Role, dict[str, Tensor]] = {
        role: {name: _values(name, array.tensor()) for name, array in table.arrays.items()}
        for role, table in tables.items()
    }
    sources = {role: table.sources for role, table in tables.items()}
    read = {each.role or "": f"{each.file.name}{': ' + each.key if each.key else ''}" for each in chosen}
    return ImportedWeights(
        architecture,
        states.get("generator"),
        states.get("discriminator"),
        tuple(dict.fromkeys(file for each in chosen for file in _read_files(each.file))),
        settings.batchnorm == "reestimate",
        settings.metadata(
            z_prior,
            epoch=max(epochs, default=0.0),
            provenance={"read": read, "arrays": sources, "assumed": [asdict(each) for each in notes]},
        ),
    )


def _read_files(path: Path) -> list[Path]:
    return sorted(path.glob("*.npy")) if path.is_dir() else [path]


_SIGMOID_BY_NAME = re.compile(r"(?:^|\.)gen\.\d\.0$")  # Lightning's bolts, without biases


def _ends_in_sigmoid(structure: Structure) -> bool:
    kernels = [each for each in structure.operations if isinstance(each, Weighted)]
    return all(each.bias is None and _SIGMOID_BY_NAME.search(each.name) for each in kernels)


def _with_eps(structure: Structure, settings: ReadSettings, channels_last: bool) -> Structure:
    """Put in eps of the normalisations: what was said, for all or one by one, or else the library's own."""
    eps = settings.of(structure.role).batchnorm_eps
    norms = [each for each in structure.operations if isinstance(each, Normalise)]
    if isinstance(eps, tuple) and len(eps) != len(norms):
        msg = (
            f"{structure.role}.batchnorm_eps lists {len(eps)} values, the {structure.role} has {len(norms)} "
            "normalisations."
        )
        raise ConfigError(msg)
    every = iter(eps if isinstance(eps, tuple) else (eps,) * len(norms))
    default = KERAS_EPS if channels_last else EPS
    operations = tuple(
        each if not isinstance(each, Normalise) else _filled(each, next(every), default)
        for each in structure.operations
    )
    return replace(structure, operations=operations)


def _filled(norm: Normalise, eps: float | None, default: float) -> Normalise:
    if eps is not None:
        return replace(norm, eps=eps)
    return norm if norm.eps is not None else replace(norm, eps=default, assumed=True)


def _values(name: str, values: Tensor) -> Tensor:
    return values.long().reshape(()) if name.endswith("num_batches_tracked") else values


def _range_of(table: LayerTable | None) -> tuple[float, float]:
    ends = table is not None and table.layers[-1].activation == "sigmoid"
    return (0.0, 1.0) if ends else (-1.0, 1.0)
