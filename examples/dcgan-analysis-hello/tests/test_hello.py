"""Tests of the example; the fixtures come from dcgan-analysis, which is installed."""

from __future__ import annotations

import numpy as np
import pytest
from dcgan_analysis_hello import Hello, brightness, brightness_gap

from dcgan_analysis.testing import check_analysis


def test_brightness_is_0_for_black_and_1_for_white():
    images = np.stack([np.full((3, 4, 4), -1.0), np.full((3, 4, 4), 1.0)])
    np.testing.assert_allclose(brightness(images, low=-1, high=1), [0, 1])


def test_pixels_and_the_same_images_in_the_generators_range_are_equally_bright():
    pixels = np.random.default_rng(0).integers(0, 256, (5, 3, 4, 4), dtype=np.uint8)
    scaled = pixels.astype(np.float32) / 127.5 - 1
    expected = brightness(pixels, low=0, high=255)
    np.testing.assert_allclose(brightness(scaled, low=-1, high=1), expected, atol=1e-6)


def test_equal_images_have_no_gap():
    values = np.array([0.2, 0.4, 0.6])
    metric = brightness_gap(values, values)
    assert metric.value == 0
    assert metric.low == 0


def test_the_gap_and_its_interval_are_those_computed_by_hand():
    metric = brightness_gap(np.array([0.4, 0.6]), np.array([0.1, 0.3]))
    # Means 0.5 and 0.2; variances 0.02 each, so the error is sqrt(0.01 + 0.01).
    assert metric.value == pytest.approx(0.3)
    assert metric.low == pytest.approx(0.3 - 1.96 * 0.02**0.5)
    assert metric.high == pytest.approx(0.3 + 1.96 * 0.02**0.5)
    assert metric.n == 2


def test_hello_is_registered(dcgan_registry):
    assert "hello" in dcgan_registry.names()


def test_hello_keeps_the_contract(dcgan_context):
    check_analysis(Hello(), dcgan_context)


def test_hello_runs_from_the_command_line(run_cli):
    outcome = run_cli("run", "hello", "--dataset", "digits", "--limit", "20")
    outcome.assert_success()
    metric = outcome.result.metrics["brightness_gap"]
    assert 0 <= metric.low <= metric.value <= metric.high <= 1
