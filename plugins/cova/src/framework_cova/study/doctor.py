"""`doctor` lines of the camera plugin."""

from __future__ import annotations

from importlib.util import find_spec

from framework.contracts import DoctorCheck

_PACKAGES = (
    ("torch", "torch", "students can be trained", "no student can be trained"),
    ("av", "video", "video files and streams can be read", "workload=camera_video is not available"),
    (
        "onnxruntime",
        "onnx",
        "backend/annotate=onnx runs a teacher from a file",
        "backend/annotate=onnx is not available",
    ),
)


def checks() -> list[DoctorCheck]:
    """Return a line for each optional package."""
    found = []
    for package, extra, there, lacking in _PACKAGES:
        present = find_spec(package) is not None
        fix = "" if present else f"pip install 'framework-cova[{extra}]'"
        found.append(DoctorCheck(f"cova: {package}", present, there if present else lacking, fix))
    vision = find_spec("torchvision") is not None
    detail = (
        "torchvision models run from weights on disk"
        if vision
        else "optional: models of torchvision as teacher and student"
    )
    found.append(DoctorCheck("cova: torchvision", True if vision else None, detail))
    return found
