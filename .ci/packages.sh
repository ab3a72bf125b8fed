#!/usr/bin/env bash
# Debian packages that the integration tests drive: a browser, SLURM, a JDK. Nothing is done where they are present.
set -euo pipefail
declare -A packages=([chromium]=chromium [slurmctld]=slurm-wlm [munged]=munge [javac]=openjdk-17-jdk-headless)
missing=()
for program in "${!packages[@]}"; do
  PATH=$PATH:/usr/sbin command -v "$program" >/dev/null || missing+=("${packages[$program]}")
done
[ ${#missing[@]} -eq 0 ] && exit 0
sudo=$([ "$(id -u)" -eq 0 ] || echo sudo)
$sudo apt-get update -q
DEBIAN_FRONTEND=noninteractive $sudo apt-get install -q -y --no-install-recommends "${missing[@]}"
