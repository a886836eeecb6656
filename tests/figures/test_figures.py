from __future__ import annotations

import io
import itertools

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

from dcgan_analysis import figures
from dcgan_analysis.errors import AnalysisError


def _pixels(figure):
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    return np.asarray(Image.open(stream).convert("RGB"))


def _texts(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def _examples():
    images = np.random.default_rng(0).integers(0, 256, (6, 3, 8, 8), dtype=np.uint8)
    line = figures.Series([1, 0.1], [0.6, 0.5], [0.5, 0.4], [0.7, 0.6], chosen=1)
    return {
        "matrix": figures.confusion_matrix(np.array([[8, 2], [1, 9]]), ["cat", "dog"]),
        "curve": figures.curve({"learned": line}, published={"paper": 0.8}),
        "bars": figures.bars(["a", "b"], [0.5, 0.6], markers={"published": [None, 0.7]}),
        "grid": figures.image_grid(images, 3, titles=list("abcdef")),
    }


@pytest.mark.parametrize("name", ["matrix", "curve", "bars", "grid"])
def test_the_same_figure_gives_the_same_small_file(name, tmp_path):
    first = figures.save_png(_examples()[name], tmp_path / "new" / "first.png")
    second = figures.save_png(_examples()[name], tmp_path / "second.png")
    assert first.read_bytes() == second.read_bytes()
    assert first.stat().st_size < 200_000
    with Image.open(first) as image:
        assert image.info.keys() <= {"dpi"}
    assert sorted(item.name for item in tmp_path.iterdir()) == ["new", "second.png"]


def test_the_users_matplotlib_settings_neither_enter_nor_change(tmp_path):
    plain = figures.save_png(_examples()["bars"], tmp_path / "plain.png").read_bytes()
    with mpl.rc_context({"font.size": 20, "axes.facecolor": "red", "savefig.transparent": True}):
        before = dict(mpl.rcParams)
        styled = figures.save_png(_examples()["bars"], tmp_path / "styled.png").read_bytes()
        assert dict(mpl.rcParams) == before
    assert styled == plain


def test_a_confusion_matrix_shows_the_share_of_each_true_class():
    figure = figures.confusion_matrix(np.array([[6, 2], [0, 5]]), ["cat", "dog"])
    (axes,) = figure.axes
    np.testing.assert_allclose(axes.images[0].get_array(), [[0.75, 0.25], [0, 1]])
    assert sorted(_texts(figure)) == ["100", "25", "75"]
    assert axes.get_ylabel() == "true class"


def test_a_class_without_images_is_left_out_without_a_warning():
    figure = figures.confusion_matrix(np.array([[0, 0], [1, 3]]), ["cat", "dog"])
    assert figure.axes[0].images[0].get_array().mask.tolist() == [[True, True], [False, False]]
    assert sorted(_texts(figure)) == ["25", "75"]


@pytest.mark.parametrize("size", [2, 20, 21, 100])
def test_a_confusion_matrix_names_all_its_classes_and_stays_within_the_report(size):
    classes = [f"class {position}" for position in range(size)]
    figure = figures.confusion_matrix(np.eye(size, dtype=int), classes)
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == classes
    assert max(figure.get_size_inches()) <= 11
    assert bool(_texts(figure)) == (size <= 20)


def test_a_cumulative_line_rises_from_the_least_value_to_the_largest():
    figure = figures.cumulative(
        {"samples": np.array([3.0, 1.0, 2.0]), "real": np.array([5.0, 5.0])}, x_label="distance"
    )
    x, y = figure.axes[0].lines[0].get_data()
    assert (x[0], x[-1], y[0], y[-1]) == (1, 3, 0, 1)
    assert x[np.searchsorted(y, 0.5)] == pytest.approx(2)


def test_a_curve_marks_the_chosen_setting_with_its_value():
    line = figures.Series([1, 0.01, 0.1], [0.65, 0.6, 0.7125], chosen=0.1)
    figure = figures.curve({"learned": line})
    (axes,) = figure.axes
    assert axes.get_xscale() == "log"
    np.testing.assert_array_equal(axes.lines[0].get_xydata(), [[0.01, 0.6], [0.1, 0.7125], [1, 0.65]])
    np.testing.assert_array_equal(axes.lines[1].get_xydata(), [[0.1, 0.7125]])
    assert _texts(figure) == ["C = 0.1: 71.2 %"]


def test_values_of_chosen_settings_that_would_cover_each_other_stand_above_and_below():
    grid = [1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2]
    learned = figures.Series(grid, [0.985, 0.988, 0.988, 0.992, 0.992, 0.992, 0.992], chosen=1e-3)
    twin = figures.Series(grid, [0.988, 0.988, 0.992, 0.992, 0.992, 0.992, 0.992], chosen=5e-4)
    figure = figures.curve({"learned": learned, "random": twin})
    figure.draw_without_rendering()
    first, second = (text.get_window_extent() for text in figure.axes[0].texts)
    assert not first.overlaps(second)
    assert first.y0 > second.y1


def test_the_value_of_the_chosen_setting_stands_off_its_line():
    best, least = figures.Series([1, 2, 3], [0.5, 0.7, 0.6], chosen=2), figures.Series([1, 2], [0.4, 0.2], chosen=2)
    axes = figures.curve({"accuracy": best, "error": least}).axes[0]
    above, below = ((text.xyann[1], text.get_va()) for text in axes.texts)
    assert above == (9, "baseline")
    assert below == (-9, "top")


def test_points_are_not_joined_and_their_axis_has_round_numbers():
    figure = figures.curve({"trials": figures.Series([3.3e-4, 1.72e-3, 9e-3], [0.3, 0.2, 0.4], line=False)})
    (axes,) = figure.axes
    assert axes.lines[0].get_linestyle() == "None"
    ticks = [tick for tick in axes.get_xticks() if 3e-4 < tick < 1e-2]
    np.testing.assert_allclose(ticks, [5e-4, 1e-3, 2e-3, 5e-3])


def test_an_axis_of_whole_numbers_has_whole_ticks():
    figure = figures.curve({"epochs": figures.Series([1, 2, 3, 4], [0.3, 0.2, 0.4, 0.1])}, log_x=False)
    assert all(float(tick).is_integer() for tick in figure.axes[0].get_xticks())


@pytest.mark.parametrize("shares", [[0.0, 0.0, 0.0], [0.0, 0.01, 0.5]])
def test_an_axis_of_shares_does_not_go_below_none(shares):
    axes = figures.curve({"worst": figures.Series([1, 2, 3], shares)}, log_x=False).axes[0]
    bottom, top = axes.get_ylim()
    ticks = [tick for tick in axes.get_yticks() if bottom <= tick <= top]
    assert bottom < 0 <= min(ticks)
    assert top > max(shares)


def test_bars_run_from_top_to_bottom_in_the_order_given():
    figure = figures.bars(["all", "conv1"], [0.75, 0.5], low=[0.7, 0.4], high=[0.8, 0.6])
    (axes,) = figure.axes
    assert [patch.get_width() for patch in axes.patches] == [0.75, 0.5]
    assert axes.get_ylim()[0] > axes.get_ylim()[1]
    assert _texts(figure) == ["75.0 %", "50.0 %"]


def test_a_bar_without_an_interval_has_none():
    figure = figures.bars(["ours", "paper"], [0.5, 0.6], low=[0.4, None], high=[0.75, None])
    (lines,) = figure.axes[0].collections
    np.testing.assert_allclose(lines.get_segments(), [[[0.4, 0], [0.75, 0]]])


def test_markers_stand_at_their_bars_only():
    figure = figures.bars(["a", "b"], [0.5, 0.6], markers={"published": [None, 0.75]})
    (marker,) = (line for line in figure.axes[0].lines if line.get_label() == "published")
    assert marker.get_xydata().tolist() == [[0.75, 1]]


@pytest.mark.parametrize(("channels", "height", "width", "columns"), [(3, 5, 7, 4), (1, 8, 8, 3)])
def test_every_pixel_of_an_image_grid_is_a_crisp_square(channels, height, width, columns):
    shape = (5, channels, height, width)
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    page = _pixels(figures.image_grid(images, columns, scale=3))
    assert page.shape == (2 * (3 * height + 8) + 8, columns * (3 * width + 8) + 8, 3)
    left = 8 + (3 * width + 8)  # the second image of the first row
    shown = page[8 : 8 + 3 * height, left : left + 3 * width]
    wanted = np.broadcast_to(images[1].transpose(1, 2, 0), (height, width, 3))
    np.testing.assert_array_equal(shown, wanted.repeat(3, axis=0).repeat(3, axis=1))


@pytest.mark.parametrize("columns", range(1, 24))
def test_an_image_grid_has_whole_dots_at_every_size(columns):
    images = np.zeros((columns, 1, 3, 3), np.uint8)
    figure = figures.image_grid(images, columns, scale=1)
    assert figure.canvas.get_width_height() == (11 * columns + 8, 19)


def test_a_border_surrounds_its_image_and_no_other():
    images = np.zeros((2, 3, 4, 4), np.uint8)
    page = _pixels(figures.image_grid(images, 2, scale=2, borders=["#ff0000", None]))
    assert page[7, 10].tolist() == [255, 0, 0]
    assert page[7, 26].tolist() == [255, 255, 255]


def test_a_long_title_is_cut_to_its_image():
    images = np.zeros((1, 3, 32, 32), np.uint8)
    (title,) = _texts(figures.image_grid(images, 1, titles=["a very long name of a class"]))
    assert title == "a very long\N{HORIZONTAL ELLIPSIS}"


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: figures.confusion_matrix(np.eye(3), ["a", "b"]), r"2 classes .* got \(3, 3\)"),
        (lambda: figures.curve({"x": figures.Series([1, 2], [1])}), "Line 'x'"),
        (lambda: figures.curve({"x": figures.Series([1], [1], chosen=2)}), "setting 2 is not"),
        (lambda: figures.bars([], []), "at least one bar"),
        (lambda: figures.bars(["a"], [0.1, 0.2]), "2 numbers for 'values'"),
        (lambda: figures.bars(["a"], [0.1], low=[0.1]), "lower and the upper"),
        (
            lambda: figures.bars(["a"], [1], markers={name: [1] for name in "abcd"}),
            "3 markers at most",
        ),
        (lambda: figures.image_grid(np.zeros((1, 3, 4, 4)), 1), "uint8 images .* float64"),
        (lambda: figures.image_grid(np.zeros((1, 2, 4, 4), np.uint8), 1), r"\(1, 2, 4, 4\)"),
        (lambda: figures.image_grid(np.zeros((1, 3, 4, 4), np.uint8), 0), "one column, got 0"),
        (
            lambda: figures.image_grid(np.zeros((1, 3, 4, 4), np.uint8), 1, titles=["a", "b"]),
            "1 images got 2 titles",
        ),
    ],
)
def test_parts_that_do_not_fit_are_named(draw, message):
    with pytest.raises(AnalysisError, match=message):
        draw()


def test_names_of_settings_on_a_logarithmic_axis_do_not_run_into_each_other():
    counts = [1_000, 10_000, 50_000, 100_000, 1_000_000, 10_000_000]
    figure = figures.curve({"samples": figures.Series(counts, [0.13, 0.08, 0.07, 0.06, 0.055, 0.05])})
    figure.draw_without_rendering()
    labels = [label for label in figure.axes[0].get_xticklabels() if label.get_text()]
    assert [label.get_text() for label in labels] == ["1,000", "10,000", "50,000", "1,000,000", "10,000,000"]
    extents = [label.get_window_extent() for label in labels]
    assert all(one.x1 < other.x0 for one, other in itertools.pairwise(extents))


def test_every_c_of_the_authors_grid_is_named():
    grid = [1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2]
    axes = figures.curve({"accuracy": figures.Series(grid, [0.5] * 7)}).axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == [f"{c:g}" for c in grid]


BAD = ["$\\bad{$", "$_{", "a$b$c", "%s {}"]
NAMED = {
    "curve": lambda: figures.curve({name: figures.Series([1, 2], [0.1, 0.2]) for name in BAD}, x_label=BAD[0]),
    "cumulative": lambda: figures.cumulative({name: np.array([1.0, 2.0]) for name in BAD}, x_label=BAD[0]),
    "bars": lambda: figures.bars(BAD, [0.1] * 4, x_label=BAD[0], baseline=(BAD[0], 0.5)),
    "confusion matrix": lambda: figures.confusion_matrix(np.eye(4, dtype=int), BAD),
    "image grid": lambda: figures.image_grid(np.zeros((4, 3, 8, 8), np.uint8), 2, titles=BAD),
    "image panels": lambda: figures.image_panels(
        {name: [[figures.Tile(np.zeros((3, 8, 8), np.uint8))]] for name in BAD}, labels=BAD[:1]
    ),
}


@pytest.mark.parametrize("kind", NAMED)
def test_a_name_is_no_formula(kind, tmp_path):
    assert figures.save_png(NAMED[kind](), tmp_path / "a.png").stat().st_size


def test_bars_of_nothing_begin_at_zero():
    (axes,) = figures.bars(["a", "b"], [0.0, 0.0], low=[0.0, 0.0], high=[0.0, 0.0]).axes
    assert axes.get_xlim() == (0, 1)
