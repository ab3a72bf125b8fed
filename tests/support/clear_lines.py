"""What a user is told: one line that names the culprit."""

from __future__ import annotations


def assert_one_clear_line(text: str, culprit: str = "") -> None:
    assert text.strip()
    assert "\n" not in text
    assert len(text) < 500
    assert culprit in text
