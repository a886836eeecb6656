from __future__ import annotations

from dcgan_analysis_plugins.latent_walk import LatentWalk
from PIL import Image

from dcgan_analysis.checkpoints.checkpoint import Checkpoint
from dcgan_analysis.checkpoints.sampling import with_sample_statistics
from dcgan_analysis.models.tables import dcgan28_conditional
from dcgan_analysis.testing import check_analysis

SHORT = {"points": 3, "steps": 3, "walks": 1, "bank": 4}


def test_latent_walk_keeps_the_contract_and_shows_an_animation(dcgan_context, unrendered):
    result = check_analysis(LatentWalk(), dcgan_context, SHORT)
    animation = next(figure for figure in result.figures if figure.name == "animation")
    with Image.open(dcgan_context.output_dir / "first" / "run" / animation.file) as read:
        assert read.n_frames == 7
    assert result.metrics["sharp_steps"].n == 6
    assert result.metrics["roughness"].n == 2


def test_a_memorising_generator_jumps_where_a_random_one_does_not(run, saved):
    result = run(LatentWalk(), None, points=3, steps=12, walks=1, bank=12)
    assert result.metrics["memorising_roughness"].value > 1.5 * result.metrics["roughness"].value
    steps = saved(result, "walks")
    assert (steps["memorising_perceptual"] == 0).any()
    assert (steps["linear_perceptual"] > 0).all()


def test_a_conditional_generator_walks_within_one_class(run):
    fresh = Checkpoint.random(dcgan28_conditional(width=2, hidden=8, image_size=8, z_size=5), seed=0)
    network = with_sample_statistics(fresh, batches=1)
    result = run(LatentWalk(), None, checkpoint=network, label=3, **SHORT)
    assert any("all images are of class 3" in note for note in result.notes)
