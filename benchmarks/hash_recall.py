"""Recall of the semantic hash on copies of each kind, and false pairs per million pairs, by bits and moves.

    python benchmarks/hash_recall.py                              # 5,000 bedrooms, 500 of them copied
    python benchmarks/hash_recall.py --dataset svhn --moves 0 1   # another dataset

The copies are those that ``dcgan-analyze dedup`` measures itself by, and one shifted by a single pixel. A false pair is
a mirror image whose hash is near that of another image: mirror images look like real ones and are no copies.
"""

from __future__ import annotations

import argparse

import numpy as np
from arguments import parse

from dcgan_analysis.data import load_dataset
from dcgan_analysis.data.curation.copies import PERTURBATIONS
from dcgan_analysis.data.curation.near_duplicates import learn_hash, move, moves_within


def nearest_bits(copies: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return in how many bits (N, M) the nearest of moved copies (V, N, 16) differs from each known hash (M, 16)."""
    signs = np.unpackbits(known, axis=1).astype(np.float32) * 2 - 1
    found = np.full((copies.shape[1], len(known)), 128.0, np.float32)
    for hashes in copies:
        mine = np.unpackbits(hashes, axis=1).astype(np.float32) * 2 - 1
        found = np.minimum(found, (128 - mine @ signs.T) / 2)
    return found


def main() -> None:
    """Print one row for each number of moves and bits."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="bedrooms64")
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--copied", type=int, default=500)
    parser.add_argument("--steps", type=int, default=600, help="minibatches that the hash is learned from")
    parser.add_argument("--bits", type=int, nargs="+", default=[0, 4, 8])
    parser.add_argument("--moves", type=int, nargs="+", default=[0, 1, 2])
    options = parse(parser, {"dataset": "digits", "images": 60, "copied": 6, "moves": [0], "steps": 2}, gpu=False)
    images = load_dataset(options.dataset).some("train", options.images, first=True).images
    chosen = np.random.default_rng(0).permutation(len(images))[: options.copied]
    kinds = {**PERTURBATIONS, "one pixel": lambda originals: move(originals, 1, 0)}
    changed = {name: change(images[chosen]) for name, change in kinds.items()}
    mirrored = np.ascontiguousarray(images[chosen][..., ::-1])
    hashed = learn_hash(images, steps=options.steps)
    hashes = hashed(images)
    print("moves  bits  " + "  ".join(f"{name:>10}" for name in changed) + "  false pairs per million")
    for moves in options.moves:
        by = moves_within(moves)
        right = {
            name: nearest_bits(np.stack([hashed(copy, moved=each) for each in by]), hashes[chosen]).diagonal()
            for name, copy in changed.items()
        }
        false = nearest_bits(np.stack([hashed(mirrored, moved=each) for each in by]), hashes)
        false[np.arange(len(chosen)), chosen] = np.inf
        for bits in options.bits:
            recall = "  ".join(f"{(distances <= bits).mean():>10.1%}" for distances in right.values())
            print(f"{moves:>5}  {bits:>4}  {recall}  {1e6 * (false <= bits).mean():.2f}", flush=True)


if __name__ == "__main__":
    main()
