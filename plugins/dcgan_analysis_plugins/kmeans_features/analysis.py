"""kmeans-features: how well do K-means on image patches and a linear classifier do, without any network?

1. A dictionary is learned from random 6x6 patches of the training images, without labels: contrast normalisation (the
   patch's mean subtracted, divided by the root of its variance + 10), ZCA whitening (0.1 added to the eigenvalues),
   K-means (scikit-learn's ``MiniBatchKMeans``) with 1,600 centroids.
2. Every patch of an image, one pixel apart, is encoded by "triangle" activation, max(0, mean distance - distance), and
   the codes are summed over the quadrants of the image: 4 x K features.
3. They are standardised by mean and deviation of the training images and probed as in svm-cifar: C on held-out training
   images, refit on all, the test set once; and with few labels per class. No test image and no label takes part in
   dictionary and standardisation.
4. The control: the same with centroids of random directions, which shows what K-means adds to the encoding.

Consumes a labelled dataset with a training and a test split; no checkpoint. Dictionary and features are kept in the
cache by content. Features beyond 2 GiB are read block by block: memory does not grow with the number of images.
Produces ``accuracy``, ``few_label_accuracy``, ``random_accuracy``, ``random_few_label_accuracy``, predictions.npz and
draws.npz.

Reference: Coates, Lee, Ng, "An Analysis of Single-Layer Networks in Unsupervised Feature Learning", AISTATS 2011; the
row "1 layer K-means" of arXiv 1511.06434, Table 1. Patches, epochs of K-means, grid of C: this project's choices.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from pydantic import Field, PositiveFloat, PositiveInt

from dcgan_analysis.api import Demo, Metric, Needs
from dcgan_analysis.probing import ProbeSettings, images_and_draws, run_study, save_class_figures

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from dcgan_analysis.api import Result, RunContext
    from dcgan_analysis.linear import RowSource
    from dcgan_analysis.probing import Draws, LabelledImages
    from dcgan_analysis_plugins.kmeans_features.patches import PatchDictionary, PatchSpec

KMEANS, RANDOM = "K-means centroids", "random centroids"
_CIFAR = "cifar10"
# Accuracy by the number of centroids, and with 400 labels per class: Coates et al. 2011 and arXiv 1511.06434, Table 1.
_PUBLISHED = {1600: 0.779, 4000: 0.796, 4800: 0.806}
_PUBLISHED_FEW, _PUBLISHED_FEW_CENTROIDS, _PUBLISHED_LABELS = 0.637, 4800, 400
_SOURCE = "Coates, Lee, Ng 2011; for 4,800 centroids Radford et al. 2016, Table 1"
# Added to the variance of each feature, on the scale of summed codes, as in the authors' own pipeline.
_ADDED_VARIANCE = 0.01
_SHOWN_CENTROIDS = 100


class KmeansFeaturesConfig(ProbeSettings):
    """Settings; the probe's are those of svm-cifar, on a grid for standardised features."""

    C: tuple[PositiveFloat, ...] = Field(
        default=(3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2), min_length=1, description="grid of C"
    )
    centroids: int = Field(default=1600, ge=2, description="K; the paper's strongest one-layer baseline has 4800")
    patch: int = Field(default=6, ge=2, description="patches are so many pixels wide and high")
    patches: PositiveInt = Field(
        default=400_000, description="random training patches that the dictionary is learned from"
    )
    epochs: PositiveInt = Field(default=10, description="how often K-means sees each of them")
    control: bool = Field(default=True, description="whether random centroids are tried beside the learned ones")

    def spec(self) -> PatchSpec:
        """Return the specification of the dictionary."""
        from dcgan_analysis_plugins.kmeans_features.patches import PatchSpec

        return PatchSpec(size=self.patch, centroids=self.centroids, patches=self.patches, epochs=self.epochs)


def centroid_images(centroids: np.ndarray, channels: int) -> np.ndarray:
    """Show centroids (K, C x S x S) as bytes (K, C, S, S): zero is gray, the largest value of each black or white.

    Example:
        >>> import numpy as np
        >>> centroid_images(np.array([[0.0, 2.0, -2.0, 1.0]]), 1).ravel().tolist()
        [128, 255, 0, 191]
    """
    import numpy as np

    side = round((centroids.shape[1] / channels) ** 0.5)
    largest = np.abs(centroids).max(axis=1, keepdims=True).clip(1e-12)
    shown: np.ndarray = np.rint(127.5 + 127.5 * (centroids / largest)).clip(0, 255).astype(np.uint8)
    return shown.reshape(-1, channels, side, side)


class KmeansFeatures:
    """Linear classification on codes of patches, learned centroids beside random ones."""

    name = "kmeans-features"
    summary = "L2-SVM on K-means codes of image patches, one layer: no network at all (Table 1)"
    question = "How well are the classes of images told apart on features that K-means learned from patches?"
    reference = "Coates, Lee, Ng 2011; Radford, Metz, Chintala 2016, Table 1: https://arxiv.org/abs/1511.06434"
    config_type = KmeansFeaturesConfig
    needs = Needs(dataset=_CIFAR, splits=("train", "test"), labels=True)
    demo = Demo(dataset="digits", settings={"centroids": 64, "patches": 20_000, "epochs": 2, "draws": 3}, limit=500)

    def requires(self, config: KmeansFeaturesConfig) -> Needs:
        """Return what it consumes under these settings."""
        return config.needs(self.needs)

    def checks(self, context: RunContext, config: KmeansFeaturesConfig) -> list[Callable[[], object]]:
        """Draw the subsets that may not be there, and lay patches into the images."""
        return [
            partial(images_and_draws, context, config),
            lambda: config.spec().check(context.split("train").image_shape),
        ]

    def run(self, context: RunContext, config: KmeansFeaturesConfig) -> Result:
        """Learn a dictionary, probe its features, then those of random centroids."""
        images, draws = images_and_draws(context, config)
        dictionary = learn(context, config, images)
        dictionaries = {KMEANS: dictionary}
        if config.control:
            dictionaries[RANDOM] = dictionary.twin(context.rng("random centroids"))
        features = {name: encode_images(context, name, codes, images) for name, codes in dictionaries.items()}
        studies = run_study(context, config, features, images, draws)
        with context.stage("figures"):
            _save_centroids(context, dictionary, images)
            studies.save(context)
            save_class_figures(context, images, studies.predictions[KMEANS])
        metrics: dict[str, Metric] = {}
        for prefix, name in zip(("", "random_"), features, strict=False):
            published = _published(context, config, draws, name)
            metrics |= studies.metrics(name, prefix=prefix, published=published, source=_SOURCE)
        return context.result(
            title=f"K-means features + L2-SVM on {context.dataset.name}",
            headline="accuracy",
            metrics=metrics,
            tables=studies.tables(),
        )


def learn(context: RunContext, config: KmeansFeaturesConfig, images: LabelledImages) -> PatchDictionary:
    """Learn the dictionary on the training images, or take it from the cache."""
    from dcgan_analysis_plugins.kmeans_features.patch_features import cached_dictionary

    with context.stage(f"dictionary of {config.centroids:,} centroids from {config.patches:,} patches") as stage:
        seed = int(context.rng("dictionary").integers(2**62))
        dictionary, cached = cached_dictionary(images.train, config.spec(), seed, context.cache_dir, context.progress)
        stage.note = "was in the cache already" if cached else "learned"
    return dictionary


def encode_images(
    context: RunContext, name: str, dictionary: PatchDictionary, images: LabelledImages
) -> tuple[RowSource, RowSource]:
    """Encode training and test images, and standardise the codes by the training images'."""
    from dcgan_analysis.linear import learn_standardisation
    from dcgan_analysis_plugins.kmeans_features.patch_features import PatchExtraction

    with context.stage(f"{name}: features") as stage:
        extraction = PatchExtraction(dictionary, context.cache_dir, context.progress)
        train, test = extraction.store("train", images.train), extraction.store("test", images.test)
        stage.note = extraction.summary()
    with context.stage(f"{name}: standardisation"):
        scaling = learn_standardisation(train.rows(), _ADDED_VARIANCE)
    return scaling(train.rows()), scaling(test.rows())


def _published(
    context: RunContext, config: KmeansFeaturesConfig, draws: Draws, name: str
) -> tuple[float | None, float | None]:
    """Return the accuracy, with all and with few labels, that was published for the same settings, or None."""
    if name != KMEANS or context.dataset.name != _CIFAR or context.limit is not None or config.test != "test":
        return None, None
    same = config.centroids == _PUBLISHED_FEW_CENTROIDS and draws.per_class == _PUBLISHED_LABELS
    return _PUBLISHED.get(config.centroids), _PUBLISHED_FEW if same else None


def _save_centroids(context: RunContext, dictionary: PatchDictionary, images: LabelledImages) -> None:
    from dcgan_analysis import figures

    shown = centroid_images(dictionary.centroids[:_SHOWN_CENTROIDS], images.train.image_shape[0])
    context.save_figure(
        figures.image_grid(shown.repeat(4, axis=2).repeat(4, axis=3), 20),
        "centroids",
        "Centroids",
        f"The first {len(shown)} of {len(dictionary.centroids):,}, among whitened patches; gray is zero.",
    )
