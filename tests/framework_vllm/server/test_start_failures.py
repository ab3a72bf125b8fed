"""Logs are excerpts of what vLLM 0.32 on a CPU wrote when it failed so; folders are shortened."""

from __future__ import annotations

import pytest

from framework_vllm.server.start_failures import (
    EngineOutOfMemoryError,
    EnginePortError,
    EngineStartError,
    death,
    root_cause,
    start_failure,
)

KV_TOO_SMALL = """\
(APIServer pid=8674) INFO 11-22 19:42:35 [model.py:733] Resolved architecture: LlamaForCausalLM
(EngineCore pid=8817) ERROR 11-22 19:57:01 [core.py:1225] EngineCore failed to start.
(EngineCore pid=8817) ERROR 11-22 19:57:01 [core.py:1225] Traceback (most recent call last):
(EngineCore pid=8817) ERROR 11-22 19:57:01 [core.py:1225]   File "vllm/v1/core/kv_cache_utils.py", line 700, in check
(EngineCore pid=8817) ERROR 11-22 19:57:01 [core.py:1225]     raise ValueError(
(EngineCore pid=8817) ERROR 11-22 19:57:01 [core.py:1225] ValueError: To serve at least one request with the model's \
max seq len (1024), (0.0 GiB KV cache is needed, which is larger than the available KV cache memory (0.0 GiB).
(EngineCore pid=8817) Process EngineCore:
(EngineCore pid=8817) Traceback (most recent call last):
(EngineCore pid=8817) ValueError: To serve at least one request with the model's max seq len (1024)
(APIServer pid=8674) Traceback (most recent call last):
(APIServer pid=8674)   File "vllm/v1/engine/utils.py", line 900, in wait_for_engine_startup
(APIServer pid=8674) RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}
warnings.warn('resource_tracker: There appear to be %d leaked semaphores')
"""

TOO_LONG = """\
Traceback (most recent call last):
  File "pydantic/_internal/_dataclasses.py", line 121, in __init__
    s.__pydantic_validator__.validate_python(ArgsKwargs(args, kwargs), self_instance=s)
pydantic_core._pydantic_core.ValidationError: 1 validation error for ModelConfig
  Value error, User-specified max_model_len (100000) is greater than the derived max_model_len (2048). \
[type=value_error, input_value=ArgsKwargs((), {'model': ...}), input_type=ArgsKwargs]
    For further information visit https://errors.pydantic.dev/2.14/v/value_error
"""

PORT = """\
Traceback (most recent call last):
  File "vllm/entrypoints/launchers/launcher.py", line 348, in create_server_socket
    sock.bind(addr)
OSError: [Errno 98] Address already in use
"""

ARGUMENT = """\
usage: api_server.py [-h] [--headless] [--dtype {auto,bfloat16}]
api_server.py: error: argument --dtype: invalid choice: 'bf16' (choose from 'auto', 'bfloat16')
"""

CUDA_MEMORY = """\
(EngineCore_0 pid=7) ERROR 01-02 03:04:05 [core.py:700] torch.OutOfMemoryError: CUDA out of memory. Tried \
to allocate 2.00 GiB. GPU 0 has a total capacity of 79.11 GiB of which 1.12 GiB is free.
(APIServer pid=1) RuntimeError: Engine core initialization failed. See root cause above.
"""

ADAPTER = """\
(APIServer pid=1) FileNotFoundError: [Errno 2] No such file or directory: 'adapters/y/adapter_config.json'
(APIServer pid=1)
(APIServer pid=1) During handling of the above exception, another exception occurred:
(APIServer pid=1) RuntimeError: Call to add_lora method failed
"""


@pytest.mark.parametrize(
    ("log", "kind", "cause"),
    [
        (KV_TOO_SMALL, EngineOutOfMemoryError, "ValueError: To serve at least one request"),
        (CUDA_MEMORY, EngineOutOfMemoryError, "torch.OutOfMemoryError: CUDA out of memory. Tried"),
        (TOO_LONG, EngineStartError, "User-specified max_model_len (100000) is greater than the derived"),
        (PORT, EnginePortError, "OSError: [Errno 98] Address already in use"),
        (ARGUMENT, EngineStartError, "argument --dtype: invalid choice: 'bf16'"),
        (ADAPTER, EngineStartError, "FileNotFoundError: [Errno 2] No such file or directory: 'adapters/y"),
        ("", EngineStartError, "it wrote no log"),
        ("loading\nSegmentation fault\n", EngineStartError, "Segmentation fault"),
    ],
)
def test_the_cause_is_the_first_exception_and_not_those_that_only_report_it(
    log: str, kind: type[Exception], cause: str
) -> None:
    error = start_failure("ended with status 1", log)
    assert type(error) is kind
    assert str(error).startswith(f"the engine ended with status 1 before it was ready: {cause}")
    assert "\n" not in str(error)
    assert "[type=" not in str(error)


def test_a_kill_without_a_word_is_taken_for_the_kernels() -> None:
    error = start_failure("was ended by SIGKILL", "loading weights\n")
    assert type(error) is EngineOutOfMemoryError
    assert "out-of-memory killer" in str(error)


def test_an_exception_named_in_passing_is_no_cause() -> None:
    assert (
        root_cause("WARNING: this can cause errors like `OSError: [Errno 24] Too many open files`.\n") is None
    )


def test_only_a_report_of_a_failure_is_better_than_nothing() -> None:
    assert root_cause("RuntimeError: Engine core initialization failed. See root cause above.\n") is not None


def test_a_death_in_the_run_names_the_server_and_what_it_said() -> None:
    assert (
        str(death("engine-0", "was ended by SIGKILL", ""))
        == "engine-0 was ended by SIGKILL in the middle of the run"
    )
    told = death("engine-1", "ended with status 1", "x\nRuntimeError: lost\n")
    assert str(told) == "engine-1 ended with status 1 in the middle of the run: RuntimeError: lost"
