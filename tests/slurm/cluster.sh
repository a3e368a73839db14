#!/usr/bin/env bash
# Bring up, or take down, a SLURM of one node on loopback: cluster.sh start|stop
# Exits 3 with a reason on standard error where that is impossible.
set -euo pipefail
here=$(dirname "$0")
conf=/etc/slurm/slurm.conf
mark="# Crossover's tests"

impossible() { echo "$1" >&2; exit 3; }

ours() { [ -f "$conf" ] && grep -q "^$mark" "$conf"; }

stop() {
  ours && timeout 5 scancel --user="$(id -un)" 2>/dev/null && sleep 1
  for pid in /run/crossover-slurmd.pid /run/crossover-slurmctld.pid /run/munge/crossover.pid; do
    if [ -s "$pid" ]; then kill "$(cat "$pid")" 2>/dev/null || true; fi
  done
  if ours; then rm -f "$conf" /etc/slurm/gres.conf; fi
}

start() {
  [ "$(id -u)" = 0 ] || impossible "starting SLURM's daemons needs root"
  for program in munged slurmctld slurmd sbatch; do
    command -v "$program" >/dev/null || impossible "$program is not installed: apt-get install slurm-wlm munge"
  done
  if [ -f "$conf" ] && ! ours; then
    impossible "$conf belongs to a real cluster and is left alone"
  fi
  install -d -m 755 /etc/slurm /var/log/slurm /var/lib/slurm
  rm -rf /var/lib/slurm/crossover && install -d -m 755 /var/lib/slurm/crossover/node
  host=$(hostname -s)
  memory=$(awk '/^MemTotal/ {print int($2 / 1024)}' /proc/meminfo)
  sed -e "s/@HOST@/$host/g" -e "s/@CORES@/$(nproc)/" -e "s/@MEMORY@/$memory/" \
    "$here/slurm.conf" > "$conf"
  echo "NodeName=$host Name=gpu File=/dev/null" > /etc/slurm/gres.conf
  install -d -o munge -g munge -m 755 /run/munge
  runuser -u munge -- munged --pid-file=/run/munge/crossover.pid
  slurmctld
  slurmd
  for _ in $(seq 60); do
    if sinfo --noheader --format=%T 2>/dev/null | grep -q idle; then break; fi
    sleep 0.5
  done
  sinfo --noheader --format=%T | grep -q idle || impossible "the node did not come up: /var/log/slurm"
  if ! sinfo --noheader --format=%G | grep -q gpu; then
    scontrol update NodeName="$host" Gres=gpu:1
  fi
  sinfo --format="%P %T %c %m %G"
}

"$1"
