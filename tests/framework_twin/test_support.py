"""The verb `support`: provider, evidence and band of a model on a GPU; unknown ones are refused by name."""

from __future__ import annotations

import pytest

from framework.errors import ConfigError
from framework_twin.validation.support_verb import run_support


def test_support_names_provider_evidence_and_band(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_support("Qwen/Qwen3-235B-A22B", "mi300x", 8) == 0
    said = capsys.readouterr().out
    assert "235.09 B parameters" in said
    assert "provider: roofline (no operator tables of MI300X)" in said
    assert "80 % band of the time per token" in said
    assert "KV cache: " in said
    assert run_support("Qwen/Qwen3-235B-A22B", "mi300x", 1) == 0
    assert "does not start: KV cache can't hold one request" in capsys.readouterr().out
    assert run_support("llama-2-7b", "h100-64gb", 1) == 0
    assert "fitted on" in capsys.readouterr().out


def test_what_is_unknown_is_refused() -> None:
    with pytest.raises(ConfigError, match="acme/none"):
        run_support("acme/none", "b200", 1)
    with pytest.raises(ConfigError, match="gpu: unknown gpu 'b2000'"):
        run_support("Qwen/Qwen3-8B", "b2000", 1)
