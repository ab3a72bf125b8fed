"""mAP by hand-computed cases; teachers; alike cameras."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from framework_cova.annotate.http_endpoint import HttpAnnotator
from framework_cova.annotate.oracle import OracleAnnotator
from framework_cova.boxes import Boxes, iou, matches
from framework_cova.scene.generated_camera import GeneratedCamera
from framework_cova.scene.recipe import SceneRecipe
from framework_cova.specialize.alike import adjusted_rand, appearance, groups
from framework_cova.specialize.detection_scores import score
from framework_cova.specialize.labelled import annotate
from framework_cova.specialize.rehearsal import rehearsed
from framework_cova.stages import Frame, TeacherError

from framework.errors import ConfigError, InputError, RunFailedError

TWO = Boxes.of([[10, 10, 50, 50], [100, 20, 140, 60]])


def frames(count: int = 6) -> list[Frame]:
    camera = GeneratedCamera(SceneRecipe(frames=400, scene=1))
    return [Frame(number, number / 10, *camera.frame(number)) for number in range(40, 40 + 30 * count, 30)]


def test_perfect_detections_have_a_map_of_one() -> None:
    found = score([TWO, TWO], [TWO, TWO])
    assert (found.map, found.map50, found.recall) == pytest.approx((1, 1, 1))


def test_one_miss_of_two_halves_recall_and_leaves_the_precision_of_the_found_half() -> None:
    found = score([TWO], [TWO.chosen([0])])
    # COCO's 101 recall points 0, .01 … 1: precision is 1 at the 51 points up to .5, 0 at the others
    assert found.map50 == pytest.approx(51 / 101)
    assert found.recall == pytest.approx(0.5)


def test_a_second_box_on_the_same_object_is_a_false_alarm() -> None:
    twice = Boxes.of([[10, 10, 50, 50], [10, 10, 50, 50], [100, 20, 140, 60]], 0, [0.9, 0.8, 0.7])
    # precision 1 up to recall .5, then 2 of 3
    assert score([TWO], [twice]).map50 == pytest.approx((51 + 50 * 2 / 3) / 101, abs=1e-6)


def test_a_box_of_iou_two_thirds_counts_at_four_of_ten_thresholds() -> None:
    one = Boxes.of([[0, 0, 50, 60]])
    shifted = Boxes.of([[0, 10.2, 50, 70.2]])
    assert float(iou(one.xyxy, shifted.xyxy)[0, 0]) == pytest.approx(49.8 / 70.2, abs=1e-4)  # 0.709
    assert score([one], [shifted]).map == pytest.approx(5 / 10)  # .5 .55 .6 .65 .7


def test_nothing_to_find_has_no_score_and_nothing_found_is_zero() -> None:
    assert score([Boxes()], [TWO]).map is None
    assert score([TWO], [Boxes()]).map == 0
    assert score([TWO], [Boxes.of(TWO.xyxy, 1)]).map == 0  # another class
    with pytest.raises(ValueError, match="2 frames"):
        score([TWO, TWO], [TWO])


def test_each_box_is_matched_once() -> None:
    assert len(matches(TWO, Boxes.of([TWO.xyxy[0], TWO.xyxy[0]]))) == 1
    assert matches(TWO, Boxes()) == []


def test_an_oracle_without_noise_tells_the_truth_and_more_noise_tells_less() -> None:
    shown = frames()
    truth = [frame.truth for frame in shown if frame.truth is not None]
    heard = [
        score(truth, [OracleAnnotator(noise).label(frame) for frame in shown]).map or 0
        for noise in (0.0, 0.1, 0.4)
    ]
    assert heard[0] == pytest.approx(1)
    assert heard[0] > heard[1] > heard[2]
    same = [OracleAnnotator(0.4).label(shown[2]).xyxy for _ in range(2)]
    assert (same[0] == same[1]).all()


def test_labels_that_are_unsure_or_of_another_class_are_left_out_and_noise_is_counted() -> None:
    shown = frames()
    labelled = annotate(shown, OracleAnnotator(noise=0), 0.0, [1])
    assert all((boxes.label == 1).all() for boxes in labelled.labels)
    assert annotate(shown, OracleAnnotator(noise=0.3), 1.0, None).labels[0].xyxy.shape == (0, 4)
    noise = annotate(shown, OracleAnnotator(misses=0.5, jitter=0, flips=0, extra=0), 0.0, None).noise()
    assert noise is not None
    assert 0.2 < noise[0] < 0.8
    assert noise[1] == 0


def test_a_teacher_that_fails_now_and_then_is_counted_and_one_that_always_fails_ends_the_run() -> None:
    labelled = annotate(frames(11), OracleAnnotator(failing=0.4), 0.3, None)
    assert 0 < labelled.left_out["teacher failed"] < 11
    assert labelled.calls == 11
    assert len(labelled.frames) == 11 - labelled.left_out["teacher failed"]
    with pytest.raises(RunFailedError, match="labelled none of 6 frames"):
        annotate(frames(), OracleAnnotator(failing=1), 0.3, None)


def test_old_frames_make_up_their_share_and_few_new_ones_are_repeated() -> None:
    shown = frames(8)
    images, labels = [frame.image for frame in shown], [frame.truth or Boxes() for frame in shown]
    for new, expected in (
        (3, (50, 5)),
        (2, (50, 6)),
    ):  # a tenth of all; of the old ones there are no more than these
        found, told = rehearsed(images[:new], labels[:new], images[new:], labels[new:], 0.1, 0)
        own = [image for image in found if any(image is one for one in images[:new])]
        assert (len(own), len(found) - len(own)) == expected
        assert all(
            any(one is a and two is b for a, b in zip(images, labels, strict=True))
            for one, two in zip(found, told, strict=True)
        )
    assert len(rehearsed(images * 10, labels * 10, images, labels, 0.05, 0)[0]) == 84  # 80 and 4


class Endpoint(BaseHTTPRequestHandler):
    reply = b""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        assert body.startswith(b"\x89PNG")
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.reply)

    def log_message(self, *words: object) -> None:
        pass


@pytest.fixture
def endpoint() -> object:
    server = HTTPServer(("127.0.0.1", 0), Endpoint)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_endpoint_labels_frames_and_a_wrong_reply_or_no_answer_is_a_teacher_that_failed(
    endpoint: str,
) -> None:
    frame = frames(1)[0]
    Endpoint.reply = json.dumps({"boxes": [[1, 2, 30, 40]], "labels": [1], "scores": [0.8]}).encode()
    found = HttpAnnotator(endpoint).label(frame)
    assert found.xyxy.tolist() == [[1, 2, 30, 40]]
    Endpoint.reply = b'{"boxes": [[1, 2, 3, 4]], "labels": [], "scores": []}'
    with pytest.raises(TeacherError, match="reply"):
        HttpAnnotator(endpoint).label(frame)
    with pytest.raises(TeacherError, match="refused"):
        HttpAnnotator("http://127.0.0.1:9/", tries=1).label(frame)
    with pytest.raises(ConfigError, match=r"backend\.annotate\.url"):
        HttpAnnotator("somewhere")


def test_a_detector_in_an_onnx_file_labels_frames_with_our_classes(
    tmp_path: Path, detector_file: Callable[..., str]
) -> None:
    from framework_cova.annotate.weight_files import OnnxAnnotator

    file = detector_file(tmp_path / "detector.onnx", [[5, 6, 70, 80], [1, 1, 9, 9]], [3, 77])
    teacher = OnnxAnnotator(file, [1, 3, 8])
    found = teacher.label(frames(1)[0])
    assert found.label.tolist() == [1]
    assert found.xyxy.tolist() == [[5, 6, 70, 80]]
    assert len(teacher.identity()["digest"]) == 16
    (tmp_path / "torn.onnx").write_bytes(b"not a model")
    with pytest.raises(InputError, match=r"torn\.onnx"):
        OnnxAnnotator(str(tmp_path / "torn.onnx"))
    with pytest.raises(InputError, match="no file"):
        OnnxAnnotator(str(tmp_path / "none.onnx"))


def test_cameras_of_one_site_are_found_to_look_alike() -> None:
    seen, sites = [], [number % 3 for number in range(7)]
    for number, site in enumerate(sites):
        camera = GeneratedCamera(SceneRecipe(site=900 + site, camera=number, frames=160))
        shown = [camera.frame(frame) for frame in range(30, 160, 30)]
        seen.append(appearance([image for image, _ in shown], [boxes for _, boxes in shown]))
    assert adjusted_rand(sites, groups(seen, 0.45)) == 1
    assert len(set(groups(seen, 1.0))) == 7
    assert len(set(groups(seen, 0.0))) == 1


def test_the_adjusted_rand_index_is_one_for_the_same_and_low_for_a_crossed_grouping() -> None:
    assert adjusted_rand([0, 0, 1, 1], [1, 1, 0, 0]) == 1
    assert adjusted_rand([0, 0, 1, 1], [0, 1, 0, 1]) == pytest.approx(-0.5)
