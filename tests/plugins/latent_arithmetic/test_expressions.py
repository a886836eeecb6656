from __future__ import annotations

import numpy as np
import pytest
from dcgan_analysis_plugins.latent_arithmetic.expressions import Expression, find_candidates, matches

from dcgan_analysis.errors import AnalysisError
from dcgan_analysis.latents.attributes import train_judge


class Judge:
    """Says of an image of two pixels: tall is the first, wide the second, less what is usual."""

    names = ("tall", "wide")
    binary = np.array([False, False])
    classes = ()

    def __init__(self, usual=0.0):
        self.usual = usual

    def each(self, images):
        return images.reshape(1, len(images), 2).astype(float) - self.usual

    def centred_on(self, margins):
        return Judge(margins.mean(axis=(0, 1)))

    def column(self, name):
        return self.names.index(name)


IMAGES = np.array([[0, 0], [10, 0], [0, 10], [10, 10], [10, 0]], np.uint8).reshape(5, 1, 1, 2)


def test_exemplars_are_samples_that_clearly_show_each_part():
    found = find_candidates(Judge(), IMAGES, moved="tall", contrast=["wide"], margin=3.0, needed=1)
    # The usual image is (6, 4): a is tall and narrow, b neither, c wide and not tall.
    assert {name: pool.tolist() for name, pool in found.named()} == {
        "more tall, less wide": [1, 4],
        "less tall, less wide": [0],
        "less tall, more wide": [2],
    }
    assert found.asked == "more tall, more wide"
    assert found.expression == Expression.of("tall", ["wide"])
    assert found.margins[0, 0].tolist() == [-6, -4]


def test_the_expression_with_most_exemplars_is_taken_where_none_is_asked_for():
    # 'wide' moved has (not tall, wide), (neither), (tall, not wide): the same pools, of 1, 1 and 2.
    found = find_candidates(Judge(), IMAGES, margin=3.0, needed=1)
    assert min(len(pool) for pool in found.pools) == 1


def test_too_few_exemplars_are_refused_with_what_can_be_done():
    with pytest.raises(AnalysisError, match="Only 1 of 5 samples clearly show 'less tall, less wide', 2 are needed"):
        find_candidates(Judge(), IMAGES, moved="tall", contrast=["wide"], margin=3.0, needed=2)


def test_an_expression_between_two_classes_moves_the_property(dcgan_context):
    asked = Expression.of("slant", ["disc", "rows"])
    assert asked.a == {"slant": True, "disc": True}
    assert asked.result == {"slant": True, "rows": True}
    judge = train_judge(dcgan_context, steps=1, networks=1)
    margins = np.array([[-1, 1, -1, 0, 2], [-1, 1, -1, 0, -2], [1, -1, -1, 0, 2]])
    assert matches(judge, margins, asked.result).tolist() == [True, False, False]
