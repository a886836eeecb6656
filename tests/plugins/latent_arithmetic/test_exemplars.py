from __future__ import annotations

import json
from dataclasses import replace

import pytest
from dcgan_analysis_plugins.latent_arithmetic.exemplars import make_exemplars, read_expression

from dcgan_analysis.errors import AnnotationError

CONCEPTS = {"a smile": [5, 1], "no smile": [2, 3], "a hat": [0, 4]}


def test_exemplars_made_of_concepts_are_read_again(tiny_checkpoint, tmp_path):
    path = tmp_path / "mine.json"
    made = make_exemplars(tiny_checkpoint, 7, CONCEPTS)
    path.write_text(json.dumps(made.document()))
    read, where = read_expression(tiny_checkpoint, path)
    assert (read, where) == (made, path)
    assert read.expression == ("a smile", "no smile", "a hat")
    assert read.concepts["a smile"] == [1, 5]
    assert (read.seed, read.checkpoint_sha256) == (7, tiny_checkpoint.sha256("generator"))


def test_exemplars_beside_the_weights_are_found_without_being_named(tiny_checkpoint, tmp_path):
    beside = replace(tiny_checkpoint, path=tmp_path / "model.safetensors")
    assert read_expression(beside) is None
    (tmp_path / "exemplars.json").write_text(json.dumps(make_exemplars(tiny_checkpoint, 0, CONCEPTS).document()))
    read, where = read_expression(beside)
    assert where == tmp_path / "exemplars.json"
    assert set(read.concepts) == set(CONCEPTS)


def test_exemplars_without_an_expression_or_of_another_checkpoint_are_refused(tiny_checkpoint, tmp_path):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({"format": "dcgan-analysis exemplars", "concepts": {"a": [1]}}))
    with pytest.raises(AnnotationError, match="have no expression"):
        read_expression(tiny_checkpoint, path)
    other = make_exemplars(tiny_checkpoint, 0, CONCEPTS).document() | {"checkpoint_sha256": "0" * 64}
    path.write_text(json.dumps(other))
    with pytest.raises(AnnotationError, match=r"mine\.json"):
        read_expression(tiny_checkpoint, path)
