"""The generated camera: exact boxes, repeatable, and what changes when."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from framework_cova.motion.motion_filter import MotionFilter
from framework_cova.motion.region_scores import RegionTally
from framework_cova.scene.generated_camera import GeneratedCamera
from framework_cova.scene.recipe import SceneRecipe

from framework.errors import ConfigError

STILL = SceneRecipe(noise=0, flicker=0, shadows=False, parked=0, traffic=0.5, lanes=3, frames=120)
CLEAN = SceneRecipe(noise=2, flicker=0, shadows=False, parked=0, traffic=0.4, lanes=3, frames=260)


@pytest.mark.parametrize("scene", [0, 1, 2])
def test_a_box_is_exactly_where_the_object_differs_from_the_empty_scene(scene: int) -> None:
    recipe = replace(STILL, scene=scene)
    camera, empty = GeneratedCamera(recipe), GeneratedCamera(replace(recipe, traffic=0))
    compared = 0
    for number in range(20, 120, 9):
        image, truth = camera.frame(number)
        different = (image != empty.frame(number)[0]).any(axis=2)
        covered = np.zeros(different.shape, bool)
        for x0, y0, x1, y1 in truth.xyxy.astype(int):
            covered[y0:y1, x0:x1] = True
            inside = different[y0:y1, x0:x1]
            alone = (different.sum() == inside.sum()) and len(truth) == 1
            if (
                alone
            ):  # tight: something differs at each side, but for pixels that happen to have the same colour
                compared += 1
                assert inside.any(axis=1).mean() > 0.9
                assert inside.any(axis=0).mean() > 0.9
        inner = np.s_[:, 30:-30]  # what is cut off at the border by more than two thirds is no truth yet
        assert (different & ~covered)[inner].sum() <= 0.02 * max(different.sum(), 1)
        if len(truth):
            assert different[covered].mean() > 0.3


def test_any_frame_is_the_same_whatever_was_asked_before() -> None:
    camera = GeneratedCamera(SceneRecipe(scene=3, frames=60))
    late = camera.frame(50)[0]
    camera.frame(2)
    assert (camera.frame(50)[0] == late).all()
    assert (GeneratedCamera(SceneRecipe(scene=3, frames=60)).frame(50)[0] == late).all()
    assert (GeneratedCamera(SceneRecipe(scene=4, frames=60)).frame(50)[0] != late).any()


def test_identities_move_along_and_parked_objects_never_do() -> None:
    camera = GeneratedCamera(SceneRecipe(scene=1, frames=80, parked=2))
    first, later = camera.frame(40)[1], camera.frame(46)[1]
    assert len(set(first.ident.tolist())) == len(first)
    shared = set(first.ident.tolist()) & set(later.ident.tolist())
    assert shared
    for ident in shared:
        before = first.chosen(first.ident == ident)
        after = later.chosen(later.ident == ident)
        assert bool(before.moving[0]) == (
            before.xyxy[0, 0] != after.xyxy[0, 0] or before.xyxy[0, 2] != after.xyxy[0, 2]
        )


def test_without_traffic_and_parked_objects_there_is_no_truth_and_no_motion() -> None:
    camera = GeneratedCamera(SceneRecipe(traffic=0, parked=0, frames=60))
    motion = MotionFilter()
    for number in range(60):
        image, truth = camera.frame(number)
        assert len(truth) == 0
        assert len(motion.regions(image)) == 0


@pytest.mark.parametrize("drift", ["night", "rain", "repaint", "moved"])
def test_a_scene_changes_at_the_frame_it_is_told_to(drift: str) -> None:
    usual = GeneratedCamera(SceneRecipe(frames=60))
    changed = GeneratedCamera(SceneRecipe(frames=60, drift=drift, drift_at=30))
    assert (usual.frame(29)[0] == changed.frame(29)[0]).all()
    assert (usual.frame(30)[0] != changed.frame(30)[0]).mean() > 0.1


def test_night_is_dark_and_a_cycle_reaches_it() -> None:
    day, night = (GeneratedCamera(SceneRecipe(frames=220, light=light)) for light in ("day", "night"))
    cycle = GeneratedCamera(SceneRecipe(frames=220, light="cycle"))
    assert night.frame(5)[0].mean() < 0.5 * day.frame(5)[0].mean()
    assert abs(cycle.frame(200)[0].mean() - night.frame(200)[0].mean()) < 5


@pytest.mark.parametrize(
    ("key", "value"),
    [("light", "noon"), ("drift", "flood"), ("width", 3), ("traffic", -1), ("fps", 0), ("color", 1)],
)
def test_a_wrong_recipe_is_one_line_that_names_the_key(key: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"workload.capture.{key}"):
        SceneRecipe.of({key: value})


def _tally(method: str, recipe: SceneRecipe) -> RegionTally:
    camera, motion, tally = GeneratedCamera(recipe), MotionFilter(method), RegionTally()
    for number in range(len(camera)):
        image, truth = camera.frame(number)
        regions = motion.regions(image)
        if number >= 50:
            tally.add(truth, regions, recipe.width, recipe.height)
    return tally


def test_mixture_of_gaussians_finds_what_moves_in_clean_scenes_and_the_mean_finds_less() -> None:
    by_method = {
        method: [_tally(method, replace(CLEAN, scene=scene)) for scene in range(6)]
        for method in ("mog2", "knn", "mean")
    }
    recall = {
        method: sum(one.found for one in tallies) / sum(one.objects for one in tallies)
        for method, tallies in by_method.items()
    }
    assert recall["mog2"] >= 0.95
    assert recall["knn"] >= 0.95
    assert recall["mean"] < recall["mog2"]


def test_a_filter_warms_up_in_silence_and_starts_anew_when_the_resolution_changes() -> None:
    motion = MotionFilter("mog2", warm_up=5)
    camera = GeneratedCamera(SceneRecipe(frames=40))
    assert all(len(motion.regions(camera.frame(number)[0])) == 0 for number in range(5))
    other = GeneratedCamera(SceneRecipe(frames=40, width=320, height=200))
    assert all(len(motion.regions(other.frame(number)[0])) == 0 for number in range(20, 25))
    with pytest.raises(ConfigError, match=r"backend\.filter\.method"):
        MotionFilter("magic")
