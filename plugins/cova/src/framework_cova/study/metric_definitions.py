"""What the metrics of a camera's run mean."""

from __future__ import annotations

from framework.contracts import MetricDefinition

CAMERA_METRICS = (
    MetricDefinition(
        "detection_map",
        "",
        "mAP over IoU .5 to .95 (COCO) on later frames of the camera.",
        "higher",
        headline=True,
    ),
    MetricDefinition("detection_map50", "", "mAP at IoU .5 on the same frames.", "higher"),
    MetricDefinition(
        "detection_recall", "", "Recall over IoU .5 to .95, at most 100 detections a frame.", "higher"
    ),
    MetricDefinition(
        "generic_scenes_map", "", "mAP on scenes of other cameras: what was forgotten.", "higher"
    ),
    MetricDefinition(
        "teacher_calls", "", "Frames that the teacher was asked to label.", "lower", headline=True
    ),
    MetricDefinition(
        "label_missed_share", "", "Objects that the labels lack or give another class.", "lower"
    ),
    MetricDefinition("label_wrong_share", "", "Labels that fit no object.", "lower"),
    MetricDefinition("labels_left_out", "", "Frames that the teacher couldn't label."),
    MetricDefinition("motion_recall", "", "Moving objects that have a region with IoU ≥ .5.", "higher"),
    MetricDefinition("motion_precision", "", "Regions of motion that fit such an object.", "higher"),
    MetricDefinition("motion_area_share", "", "Share of the frame that regions of motion cover."),
    MetricDefinition("frames_kept_share", "", "Frames in which something moves."),
    MetricDefinition("filter_ms_per_frame", "ms", "Time of the motion filter.", "lower"),
    MetricDefinition("student_ms_per_frame", "ms", "CPU time of the student.", "lower", headline=True),
    MetricDefinition("student_gflop_per_frame", "GFLOP", "Arithmetic of the student on one frame.", "lower"),
    MetricDefinition(
        "student_j_per_frame", "J", "Estimate: arithmetic times backend.joules_per_gflop.", "lower"
    ),
    MetricDefinition(
        "student_pixels_share", "", "Pixels that the student looked at, of all pixels.", "lower"
    ),
    MetricDefinition("train_cpu_s", "s", "CPU time of the specialisation.", "lower"),
    MetricDefinition(
        "resumed_at_step", "", "Step at which a killed training was taken up again; 0: none was."
    ),
    MetricDefinition("retrainings", "", "Specialisations after the first.", "lower"),
    MetricDefinition(
        "agreement_mean", "", "Mean F1 of the student against the teacher on sampled frames.", "higher"
    ),
    MetricDefinition("fleet_groups", "", "Groups of cameras that share a student."),
    MetricDefinition("fleet_groups_rand", "", "Adjusted Rand index of groups against true sites.", "higher"),
)
