#!/usr/bin/env bash
# Measure on a machine with one NVIDIA GPU what only a GPU can tell, within 8 minutes, and leave one folder for `import`.
#
#     bash benchmarks/gpu_session.sh OUT [PYTHON]
#     python -m framework import OUT            # where the framework is installed
#
# Needs a copy of the sources, an interpreter with PyTorch, and for the last part `ncu`; neither network, nor vLLM, nor the
# framework's own packages. What is missing is left out and named in OUT/session.log. Parts:
#   sensors.csv          NVML's fields ten times a second over everything below, and nvidia-smi.csv beside it
#   kernels_MODEL.csv    matrix products, decode and prefill attention over the shapes of six models
#   ncu.csv              Nsight Compute's counters and stalls of decode attention at batches of 1, 64 and 512
# Environment: SESSION_DEVICE=cpu tries the script without a GPU (its numbers say nothing); SESSION_POINT_S (0.4) is the time
# of a point, SESSION_IDLE_S (5) of the idle stretch; SESSION_MODELS, SESSION_BATCHES, SESSION_CONTEXTS and SESSION_PREFILL replace the sweep.
set -u
out=${1:?usage: bash benchmarks/gpu_session.sh OUT [PYTHON]}
python=${2:-python3}
here=$(cd "$(dirname "$0")" && pwd)
device=${SESSION_DEVICE:-cuda}
point_s=${SESSION_POINT_S:-0.4}
models=${SESSION_MODELS:-opt-1.3b opt-2.7b llama-2-7b llama-2-13b llama-3.1-8b opt-125m}
read -r -a batches <<<"${SESSION_BATCHES:-1 16 64 256 512}"
read -r -a contexts <<<"${SESSION_CONTEXTS:-330 2048}"
read -r -a prefill <<<"${SESSION_PREFILL:-512 2048 8192}"
limit_s=470 # of 8 minutes
began=$SECONDS

mkdir -p "$out" || exit 2
log=$out/session.log
: >"$log"
say() { echo "[$((SECONDS - began)) s] $*" | tee -a "$log"; }
left() { echo $((limit_s - (SECONDS - began))); }

"$python" -c 'import torch' 2>>"$log" || { say "no PyTorch in $python"; exit 2; }
if [ "$device" = cuda ]; then
    "$python" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' || { say "PyTorch sees no GPU"; exit 2; }
fi
say "$("$python" -c 'import sys, torch
print("python", sys.version.split()[0], "torch", torch.__version__,
      "gpu", torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none")')"

background=()
finish() { for pid in "${background[@]}"; do kill -TERM "$pid" 2>/dev/null; done; wait; background=(); }
trap finish EXIT

if command -v nvidia-smi >/dev/null; then
    nvidia-smi -q >"$out/nvidia-smi.txt" 2>>"$log"
    nvidia-smi --format=csv -lms 200 --query-gpu=timestamp,index,name,power.draw,utilization.gpu,clocks.sm,clocks.mem,temperature.gpu,memory.used \
        >"$out/nvidia-smi.csv" 2>>"$log" &
    background+=($!)
else
    say "left out: nvidia-smi is not installed"
fi
"$python" "$here/gpu_sensors.py" "$out/sensors.csv" >>"$log" 2>&1 &
background+=($!)
sleep "${SESSION_IDLE_S:-5}" # idle, before anything runs

for model in $models; do
    [ "$(left)" -gt 120 ] || { say "left out: kernels of $model (time)"; continue; }
    say "kernels of $model"
    timeout "$(($(left) - 100))" "$python" "$here/gpu_decode_kernels.py" --device "$device" --model "$model" \
        --kinds decode matmul prefill --batches "${batches[@]}" --contexts "${contexts[@]}" \
        --prefill-lengths "${prefill[@]}" --seconds "$point_s" --out "$out/kernels_$model.csv" >>"$log" 2>&1 ||
        say "left out: kernels of $model (see above)"
done
finish

if ! command -v ncu >/dev/null; then
    say "left out: ncu is not installed"
elif [ "$(left)" -lt 20 ]; then
    say "left out: ncu (time)"
else
    say "counters of decode attention"
    timeout "$(left)" ncu --csv --page raw --clock-control none --kernel-name 'regex:flash|fmha|attention|splitkv' \
        --section SpeedOfLight --section SpeedOfLight_RooflineChart --section MemoryWorkloadAnalysis --section WarpStateStats \
        --log-file "$out/ncu.csv" "$python" "$here/gpu_decode_kernels.py" --device "$device" --model opt-1.3b \
        --kinds decode --batches 1 64 512 --contexts 330 --once >>"$log" 2>&1 || say "left out: ncu failed (see above)"
fi

OUT=$out "$python" - <<'END' 2>>"$log"
import csv, json, os, pathlib, time

out = pathlib.Path(os.environ["OUT"])
kinds = {"nvidia-smi.csv": "nvidia-smi", "sensors.csv": "gpu-series", "ncu.csv": "nsight"}
files = {}
for path in sorted(out.glob("*.csv")):
    kind = "nsight" if path.name.startswith("kernels_") else kinds.get(path.name)
    with path.open(newline="", encoding="utf-8", errors="replace") as stream:
        rows = [row for row in csv.reader(stream) if row and not row[0].startswith("==")]
    if kind and len(rows) > 2:
        files[path.name] = kind
    if path.name == "ncu.csv":  # the tool's own lines come before the table
        text = [line for line in path.read_text(errors="replace").splitlines() if not line.startswith("==")]
        path.write_text("\n".join(text) + "\n")
index = {"made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "files": files}
(out / "import.json").write_text(json.dumps(index, indent=1) + "\n")
END
say "done: python -m framework import $out"
