"""Gains between runs that belong together: what an interval counts, which cameras a curve compares, when it pays."""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import files
from inspect import signature

import pytest
import yaml
from framework_cova.findings.arm_tables import arm_table, sharing_gains, verdict, watching_gains
from framework_cova.findings.camera_runs import CameraRun, over_cameras, relative_gains, scores_by_camera
from framework_cova.findings.claim_gains import computations
from framework_cova.findings.cova_advisor import comparable, front
from framework_cova.findings.pay_curves import break_even, pay_curves

from framework.contracts import ReportScope
from framework.errors import NotEvaluatedError

MAIN = {"backend.labels": "50", "backend.annotate.noise": "0.05", "backend.steps": "100"}


def run(arm: str, scene: int, score: float, seed: int = 0, **changed: str) -> CameraRun:
    params = MAIN | {"backend.arm": arm, "workload.capture.scene": str(scene), "workload.seed": str(seed)}
    params |= {name.replace("__", "."): value for name, value in changed.items()}
    metrics = {"detection_map": score, "teacher_calls": float(params["backend.labels"])}
    metrics |= {
        "student_ms_per_frame": 1 + score % 0.01 * 30,
        "student_j_per_frame": 0.01,
    }  # the same work, timed
    return CameraRun(f"{arm}-{scene}-{seed}-{changed}", params, metrics)


def study(seeds: int = 3) -> list[CameraRun]:
    """Four cameras whose gain is 10, 30, 50 and 70 %."""
    found = []
    for scene, gain in enumerate((0.1, 0.3, 0.5, 0.7)):
        for seed in range(seeds):
            found += [run("generic", scene, 0.4, seed), run("generic_more", scene, 0.42, seed)]
            found.append(run("specialized", scene, 0.4 * (1 + gain), seed))
    return found


def test_more_seeds_of_the_same_cameras_do_not_narrow_the_interval() -> None:
    def gain(runs: list[CameraRun]) -> tuple[float, float | None, float | None]:
        new = scores_by_camera(runs, lambda one: one.arm == "specialized")
        base = scores_by_camera(runs, lambda one: one.arm == "generic")
        found = over_cameras(relative_gains(new, base))
        return found.value, found.low, found.high

    once, thrice = gain(study(1)), gain(study(3))
    assert once == pytest.approx(thrice)
    # mean 0.4, standard deviation of the four 0.2582; Student's t with 3 degrees of freedom 3.1824
    assert thrice == pytest.approx((0.4, 0.4 - 3.1824 * 0.2582 / 2, 0.4 + 3.1824 * 0.2582 / 2), abs=1e-4)
    assert "40.0 (-1.1 to 81.1)" in str(arm_table(study()).rows[2])


def test_seeds_of_a_single_camera_give_no_interval() -> None:
    scores = scores_by_camera(
        [run("generic", 0, 0.3 + seed / 10, seed) for seed in range(3)], lambda one: True
    )
    assert over_cameras(scores).value == pytest.approx(0.4)
    assert over_cameras(scores).low is None


def test_a_curve_compares_the_same_cameras_and_seeds_at_each_of_its_values() -> None:
    runs = study()
    runs += [run("specialized", scene, 0.3, backend__labels="5") for scene in (0, 1)]
    runs += [run("specialized", scene, 0.3, backend__labels="5", backend__steps="20") for scene in (2, 3)]
    five, fifty = pay_curves(runs)["labels"]
    assert (five.value, fifty.value) == ("5", "50")
    assert len(five.runs) == len(fifty.runs) == 2
    assert fifty.gain is not None
    assert fifty.gain.value == pytest.approx(0.2)  # of the cameras with 10 and 30 %, not of all four
    assert "steps" not in pay_curves(runs)


def test_where_the_gain_is_used_up_lies_between_the_values_around_zero_and_is_said() -> None:
    runs = study()
    for noise, gain in (("0.2", 0.2), ("0.4", -0.2)):
        for scene in range(4):
            score = 0.4 * (1 + gain + (0.01 if scene % 2 else -0.01))
            runs.append(run("specialized", scene, score, backend__annotate__noise=noise))
    assert break_even(pay_curves(runs)["label noise"]) == pytest.approx(0.3)
    text = verdict(runs)
    assert "4 cameras, 12 pairs, 0 of them no better" in text
    assert "does not pay with label noise 0.4 (-20 %)" in text
    assert "used up at label noise 0.3" in text


def test_what_may_not_pay_is_told_apart_from_what_does_not() -> None:
    runs = study()
    runs += [run("specialized", scene, 0.4 + (scene - 1) / 10, backend__labels="2") for scene in range(4)]
    assert "may not pay (interval reaches 0): labels 2" in verdict(runs)


def test_policies_and_ways_of_sharing_are_paired_by_everything_else() -> None:
    def of(key: str, scores: dict[str, float]) -> list[CameraRun]:
        return [
            run("", scene, score + scene / 10, **{key: value})
            for value, score in scores.items()
            for scene in (0, 1)
        ]

    shared = sharing_gains(of("backend__sharing", {"none": 0.4, "sites": 0.5}))
    assert sorted(shared.values()) == pytest.approx([0.2, 0.25])
    again = watching_gains(of("backend__policy", {"once": 0.2, "on_drift": 0.3}))
    assert sorted(again.values()) == pytest.approx([1 / 3, 0.5])


def test_the_front_keeps_what_no_other_setting_beats_on_cameras_that_all_were_run_on() -> None:
    runs = study(1)
    for labels, factor in (("5", 0.9), ("25", 1.01), ("200", 0.95)):
        runs += [run("specialized", scene, 0.5 * factor, backend__labels=labels) for scene in range(3)]
    options = comparable(runs)
    assert {len(one.runs) for one in options} == {3}
    kept = [dict(one.settings)["backend.labels"] for one in front(options)]
    assert kept == ["50", "25", "5"]


def test_claims_are_computed_from_the_runs_that_they_name(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = study()
    for scene in range(4):
        runs.append(run("generic", scene, 0.4, workload__capture__parked="0"))
        runs.append(run("specialized", scene, 0.44, workload__capture__parked="0"))
        for arm, looks, gflop in (("specialized", "PackedRegions", 0.01), ("generic", "PackedRegions", 0.01)):
            one = run(arm, scene, 0.2, backend__inference___target_=f"framework_cova.inference.looks.{looks}")
            runs.append(replace(one, metrics=one.metrics | {"student_gflop_per_frame": gflop * (1 + scene)}))
    whole = {"backend.inference._target_": "framework_cova.inference.looks.WholeFrames"}
    runs = [
        replace(one, params=whole | {"workload.capture.parked": "2"} | one.params)
        if "PackedRegions" in str(one.params)
        else replace(
            one,
            params={"workload.capture.parked": "2"} | one.params | whole,
            metrics=one.metrics | {"student_gflop_per_frame": 0.24},
        )
        for one in runs
    ]
    monkeypatch.setattr("framework_cova.findings.claim_gains.camera_runs", lambda *words: runs)
    scope = ReportScope(store=None, experiment="", run_ids=[])  # type: ignore[arg-type]
    known = computations(scope)
    assert known["map_gain"]("specialized", "generic").value == pytest.approx(40)
    assert known["map_gain"]("specialized", "generic", parked=0).value == pytest.approx(10)
    assert known["map_points"]("specialized", "generic").value == pytest.approx(16)
    assert known["packing_gflop_ratio"]().value == pytest.approx(24 / 24**0.25)  # 24 over 1, 2, 3 and 4
    with pytest.raises(NotEvaluatedError, match="arms random and generic"):
        known["map_gain"]("random", "generic")
    card = files("framework_cova").joinpath("experiments/cova_specialization/claims.yaml").read_text()
    for claim in yaml.safe_load(card)["claims"]:
        if quantity := claim.get("quantity"):
            name = quantity.pop("name")
            signature(known[name]).bind(**quantity)
