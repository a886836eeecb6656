from __future__ import annotations

import json

import pytest
import torch

from dcgan_analysis.annotations.exemplars import Exemplars, find_exemplars, read_exemplars
from dcgan_analysis.errors import AnnotationError

CONCEPTS = {"a": [1, 5], "b": [2], "c": [0]}
FORMAT = "dcgan-analysis exemplars"


@pytest.fixture
def write(tmp_path):
    def write(**document):
        path = tmp_path / "exemplars.json"
        path.write_text(json.dumps({"format": FORMAT, "concepts": CONCEPTS, **document}), encoding="utf-8")
        return path

    return write


def test_an_index_names_the_same_vector_however_many_are_drawn(tiny_checkpoint, write):
    exemplars = read_exemplars(write(seed=3))
    drawn = tiny_checkpoint.latents(100, seed=3)
    assert torch.equal(exemplars.latents("a", tiny_checkpoint), drawn[[1, 5]])


def test_vectors_are_taken_as_they_stand(tiny_checkpoint, write):
    exemplars = read_exemplars(write(concepts={"a": [[0.5] * 256, 4]}))
    exemplars.check(tiny_checkpoint, "e.json")
    assert torch.equal(exemplars.latents("a", tiny_checkpoint)[0], torch.full((256,), 0.5))


def test_what_is_saved_reads_back(tmp_path, tiny_checkpoint):
    exemplars = Exemplars(
        checkpoint_sha256=tiny_checkpoint.sha256("generator"), concepts=CONCEPTS, expression=("a", "b", "c")
    )
    exemplars.save(tmp_path / "e.json")
    assert read_exemplars(tmp_path / "e.json") == exemplars
    assert next(iter(exemplars.document())) == "format"
    assert "label" not in exemplars.document()


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"expression": ["a", "b", "d"]}, "the expression names 'd', of which there is no exemplar; concepts: a, b, c"),
        ({"expression": ["a"]}, "expression takes three concepts"),
        ({"sead": 1}, "sead: Extra inputs are not permitted, got 1"),
        ({"concepts": {"a": [-1]}}, "concepts.a.0"),
        ({"concepts": {"a": ["1"]}}, "concepts.a.0"),
        ({"concepts": {"a": [[]]}}, "concepts.a.0"),
        ({"concepts": {"a": [[float("nan")]]}}, "is not JSON: NaN is no number that may stand here"),
        ({"format": "dcgan-analysis boxes"}, "its format is 'dcgan-analysis boxes'"),
        ({"version": 2}, "format version 2, this release reads 1. Update"),
        ({"version": 0}, "version: Input should be greater than or equal to 1"),
    ],
)
def test_a_broken_file_is_refused_in_one_line(write, document, message):
    with pytest.raises(AnnotationError, match=message):
        read_exemplars(write(**document))


def test_an_absent_file_says_what_to_give(tmp_path):
    with pytest.raises(AnnotationError, match=r"none\.json' does not exist. Make one: dcgan-analyze annotate"):
        read_exemplars(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"checkpoint_sha256": "0123"}, "marks samples of checkpoint 0123, the generator of 'tiny' is"),
        ({"z_prior": "normal"}, "of the prior 'normal', 'tiny' has 'uniform'"),
        ({"concepts": {"a": [[0.0, 1.0]]}}, "a latent vector of 2 numbers; 'tiny' takes 256"),
    ],
)
def test_another_generator_is_refused(write, tiny_checkpoint, document, message):
    with pytest.raises(AnnotationError, match=message):
        read_exemplars(write(**document)).check(tiny_checkpoint, "e.json")


def test_the_beginning_of_the_hash_or_none_is_enough(write, tiny_checkpoint):
    for sha256 in (tiny_checkpoint.sha256(), tiny_checkpoint.sha256("generator")):
        read_exemplars(write(checkpoint_sha256=sha256[:8])).check(tiny_checkpoint, "e.json")
    read_exemplars(write()).check(tiny_checkpoint, "e.json")


def test_only_a_checkpoint_in_a_folder_has_exemplars_beside_it(tiny_checkpoint):
    assert find_exemplars(tiny_checkpoint) is None
