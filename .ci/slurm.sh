#!/usr/bin/env bash
# A real Slurm on this machine: slurmctld and several slurmd, from Debian's packages, without systemd or cgroups.
#   .ci/slurm.sh up       install what is missing, start, wait until all nodes are idle; writes $SLURM_ROOT/env.sh
#   .ci/slurm.sh down     stop what it started
#   .ci/slurm.sh status
# Environment: SLURM_ROOT (~/.cache/framework-slurm), SLURM_NODES (3), CPUS_PER_NODE (4), CTLPORT, DPORT
set -euo pipefail
root=${SLURM_ROOT:-$HOME/.cache/framework-slurm}
nodes=${SLURM_NODES:-3}
cpus=${CPUS_PER_NODE:-4}
controller_port=${CTLPORT:-16817}
node_port=${DPORT:-17000} # node i listens on node_port + i
host=$(hostname -s)
export PATH=$PATH:/usr/sbin SLURM_CONF=$root/etc/slurm.conf

fail() {
  echo "slurm: $*" >&2
  tail -n 20 "$root"/log/*.log >&2 2>/dev/null || true
  down
  exit 1
}

wait_for() { # seconds, what, command...
  local end=$((SECONDS + $1)) what=$2
  shift 2
  until timeout 10 "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $end ] || fail "no $what"
    sleep 0.1
  done
}

install_packages() {
  command -v slurmctld >/dev/null && command -v slurmd >/dev/null && command -v munged >/dev/null && return
  export DEBIAN_FRONTEND=noninteractive
  apt-get -o DPkg::Lock::Timeout=300 update -qq
  apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends slurm-wlm slurm-client munge \
    >"$root/log/apt.log" 2>&1 || fail "apt-get could not install slurm-wlm and munge: $root/log/apt.log"
}

configure() {
  cat >"$SLURM_CONF" <<CONF
ClusterName=ci
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$controller_port
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$root/run/munge.socket
CredType=cred/munge
StateSaveLocation=$root/state
SlurmdSpoolDir=$root/spool/%n
SlurmctldPidFile=$root/run/slurmctld.pid
SlurmdPidFile=$root/run/slurmd-%n.pid
SlurmctldLogFile=$root/log/slurmctld.log
SlurmdLogFile=$root/log/slurmd-%n.log
# a container has neither systemd nor cgroups of its own
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
SwitchType=switch/none
# virtual nodes may claim more than the host has
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
# tests should not wait for the scheduler's leisure
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,bf_interval=1,sched_interval=1,sched_min_interval=0
ReturnToService=2
SlurmctldTimeout=30
SlurmdTimeout=60
InactiveLimit=0
MinJobAge=300
KillWait=3
AccountingStorageType=accounting_storage/none
CONF
  local i
  for ((i = 1; i <= nodes; i++)); do
    echo "NodeName=n$i NodeHostname=$host NodeAddr=127.0.0.1 Port=$((node_port + i)) CPUs=$cpus RealMemory=4096" \
      "Boards=1 SocketsPerBoard=1 CoresPerSocket=$cpus ThreadsPerCore=1 State=UNKNOWN" >>"$SLURM_CONF"
  done
  echo "PartitionName=debug Nodes=n[1-$nodes] Default=YES MaxTime=60:00 State=UP OverSubscribe=NO" >>"$SLURM_CONF"
  printf 'export SLURM_CONF=%s\n' "$SLURM_CONF" >"$root/env.sh"
}

start_munge() {
  install -d -o munge -g munge -m 700 "$root/munge"
  install -d -o munge -g munge -m 755 "$root/run"
  if [ ! -f "$root/munge/munge.key" ]; then
    head -c 1024 /dev/urandom >"$root/munge/munge.key"
    chown munge:munge "$root/munge/munge.key"
    chmod 400 "$root/munge/munge.key"
  fi
  runuser -u munge -- munged --force --socket="$root/run/munge.socket" --key-file="$root/munge/munge.key" \
    --pid-file="$root/run/munged.pid" --log-file="$root/munge/munged.log" \
    --seed-file="$root/munge/munged.seed" 2>"$root/log/munged.log" || fail "munged did not start"
  wait_for 10 munge bash -c "munge -n -S $root/run/munge.socket | unmunge -S $root/run/munge.socket"
}

up() {
  [ "$(id -u)" -eq 0 ] || { echo "slurm: needs root (munge runs as its own user)" >&2; exit 1; }
  mkdir -p "$root"/{etc,run,log,state,spool}
  chmod 755 "$root" "$root/run" # munge's own user passes through
  install_packages
  configure
  start_munge
  slurmctld </dev/null || fail "slurmctld did not start"
  wait_for 30 slurmctld scontrol ping
  local i
  for ((i = 1; i <= nodes; i++)); do
    mkdir -p "$root/spool/n$i"
    slurmd -N "n$i" || fail "slurmd n$i did not start"
  done
  wait_for 60 "idle nodes" bash -c "[ \$(sinfo -h -N -t idle -o %N | wc -l) -eq $nodes ]"
  echo "slurm: $nodes nodes up after $SECONDS s; source $root/env.sh"
}

stop() { # pid file
  [ -f "$1" ] || return 0
  local pid end=$((SECONDS + 15))
  pid=$(cat "$1")
  kill "$pid" 2>/dev/null || true
  while kill -0 "$pid" 2>/dev/null; do
    [ $SECONDS -lt $end ] || kill -9 "$pid" 2>/dev/null || true
    sleep 0.1
  done
  rm -f "$1"
}

down() {
  if [ -f "$root/run/slurmctld.pid" ]; then
    timeout 10 scancel --user=root --quiet 2>/dev/null || true
    timeout 15 bash -c 'while [ -n "$(squeue -h -o %i)" ]; do sleep 0.2; done' 2>/dev/null || true
  fi
  local file
  for file in "$root"/run/slurmd-*.pid "$root/run/slurmctld.pid" "$root/run/munged.pid"; do stop "$file"; done
}

case ${1:-} in
  up) up ;;
  down) down && echo "slurm: down" ;;
  status) timeout 10 sinfo && timeout 10 squeue ;;
  *) echo "usage: $0 up|down|status" >&2 && exit 2 ;;
esac
