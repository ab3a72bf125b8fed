"""Stands where vLLM's interpreter would: answers the probe, and serves, hangs or dies as it is told.

Serves by `tests/support/stub_server.py`. `FAKE_ENGINE` names what it does when it is started as a server; the real
engine is used wherever it can produce the behaviour itself (test_real_engine.py).
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

from framework_vllm.engine.engine_probe import MARK

STUB = Path(__file__).parents[1] / "support" / "stub_server.py"
SWITCHES = (
    "enable_chunked_prefill", "enable_prefix_caching", "enforce_eager", "enable_lora", "enable_expert_parallel",
)  # fmt: skip
VALUES = (
    "max_num_seqs", "max_num_batched_tokens", "max_model_len", "num_gpu_blocks_override", "kv_cache_memory_bytes",
    "max_loras", "max_cpu_loras", "max_lora_rank", "lora_modules", "gpu_memory_utilization", "tensor_parallel_size",
    "pipeline_parallel_size", "data_parallel_size", "dtype",
)  # fmt: skip


def interpreter(folder: Path) -> str:
    """Write a program that can be named as `backend.python`; return its path."""
    file = folder / "python"
    file.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{__file__}" "$@"\n')
    file.chmod(0o755)
    return str(file)


def probe(question: str) -> dict[str, object]:
    if question == "identity":
        return {
            "distribution": "vllm",
            "version": os.environ.get("FAKE_ENGINE_VERSION", "0.0"),
            "installed": 0,
            "python": "fake",
        }
    flags = [
        *(
            {"options": [f"--{name}", f"--no-{name}"], "nargs": 0, "choices": None, "type": None}
            for name in SWITCHES
        ),
        *({"options": [f"--{name}"], "nargs": "+", "choices": None, "type": None} for name in VALUES),
    ]
    platform = os.environ.get("FAKE_ENGINE_PLATFORM", "cpu")
    return {"flags": json.loads(json.dumps(flags).replace("_", "-")), "platform": platform}


def serve(port: str, behaviour: str) -> None:
    if behaviour == "die":
        print(
            "(EngineCore pid=2) ERROR 01-02 03:04:05 [core.py:1] torch.OutOfMemoryError: CUDA out of memory."
        )
        print("(APIServer pid=1) RuntimeError: Engine core initialization failed. See root cause above.")
        sys.exit(1)
    if behaviour == "deaf":
        listener = socket.create_server(("127.0.0.1", int(port)))
        print("Starting vLLM server on", listener.getsockname(), flush=True)
        time.sleep(600)
    if behaviour == "die_soon":
        with subprocess.Popen([sys.executable, str(STUB), "--port", port, "--itl-ms", "50"]) as stub:
            time.sleep(float(os.environ["FAKE_ENGINE_LIFE_S"]))
            print("RuntimeError: CUDA error: an illegal memory access was encountered", flush=True)
            stub.kill()
        sys.exit(1)
    if behaviour == "shy" and not Path(os.environ["FAKE_ENGINE_TRIED"]).exists():
        Path(os.environ["FAKE_ENGINE_TRIED"]).write_text(port)
        print("OSError: [Errno 98] Address already in use", flush=True)
        sys.exit(1)
    os.execv(sys.executable, [sys.executable, str(STUB), "--port", port, "--ttft-ms", "5", "--itl-ms", "1"])


if __name__ == "__main__":
    arguments = sys.argv[1:]
    if arguments[0] == "-c":
        print(MARK + json.dumps(probe(arguments[2])))
    else:
        serve(arguments[arguments.index("--port") + 1], os.environ.get("FAKE_ENGINE", "serve"))
