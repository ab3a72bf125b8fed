"""Ship emissions from AIS tracks and an incomplete register of engines, with intervals."""
