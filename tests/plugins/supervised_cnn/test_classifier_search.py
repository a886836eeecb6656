from __future__ import annotations

from types import SimpleNamespace

from dcgan_analysis_plugins.supervised_cnn.classifier import ClassifierSettings
from dcgan_analysis_plugins.supervised_cnn.classifier_search import trials_table


def trial(error, errors, best, **settings):
    trained = SimpleNamespace(errors=errors, best_epoch=best)
    return SimpleNamespace(error=error, trained=trained, task=SimpleNamespace(settings=ClassifierSettings(**settings)))


def test_the_best_trial_comes_first_under_the_number_it_was_drawn_with():
    table = trials_table([trial(0.5, [0.6, 0.4, 0.5], 1, batch=32), trial(0.25, [0.2], 0, shift=3)])
    rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    assert [row["trial"] for row in rows] == [2, 1]
    assert [row["validation error"] for row in rows] == [0.25, 0.5]
    assert [row["epoch kept"] for row in rows] == ["1 of 1", "2 of 3"]
    assert (rows[0]["shift"], rows[1]["batch"]) == (3, 32)
