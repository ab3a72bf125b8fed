"""A trace that is given to `import` is told to be a load, by the rule that the workload detects it with."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from framework.errors import InputError
from framework.run.importing import import_file

TRACES = {
    "azure": "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.6805900,374,44\n",
    "vidur": "arrived_at,num_prefill_tokens,num_decode_tokens\n0.0,10,20\n",
    "burstgpt": "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n5,ChatGPT,472,18,490,x\n",
    "mooncake": '{"timestamp": 0, "input_length": 600, "output_length": 5, "hash_ids": [0, 1]}\n',
    "qwen": '{"chat_id": 1, "parent_chat_id": -1, "timestamp": 0.1, "input_length": 16, "output_length": 2, '
    '"hash_ids": [3]}\n',
    "servingsim": '{"arrival_time_ns": 5, "input_toks": 3, "output_toks": 4}\n',
    "custom": '{"prompt": "made up", "output_tokens": 9}\n',
    "sharegpt": '[{"id": "a", "conversations": [{"from": "human", "value": "made up"}]}]',
}


@pytest.mark.parametrize("name", TRACES)
def test_a_published_trace_is_told_to_be_a_load(name: str, tmp_path: Path) -> None:
    file = tmp_path / "some.file"
    file.write_text(TRACES[name])

    with pytest.raises(InputError) as refused:
        import_file(None, file, str(tmp_path / "o"))

    assert f"a load, not a result: workload=trace_{name} workload.file={file}" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_our_own_columns_and_a_models_configuration_are_told_too(tmp_path: Path) -> None:
    own, model = tmp_path / "t", tmp_path / "m"
    own.write_bytes(gzip.compress("arrival_s;input_tokens;output_tokens\n0;1;2\n".encode("utf-16")))
    model.write_text('{"architectures": ["LlamaForCausalLM"], "model_type": "llama"}')

    for file, words in ((own, "a load, not a result: workload=trace workload.file="), (model, "model.path=")):
        with pytest.raises(InputError, match=words):
            import_file(None, file, str(tmp_path / "o"))
