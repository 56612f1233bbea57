#!/usr/bin/env bash
# Upscale a folder on several machines, which all see it:
#
#     sbatch --nodes 4 upscale.slurm.sh photos/ large/
#
# What is done stays done: after a preemption or the time limit the same line goes on.
#SBATCH --job-name=upscale
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --mem=64G
#SBATCH --time=04:00:00
#SBATCH --requeue

set -euo pipefail
photos=${1:?name the folder of photos}
results=${2:?name the folder of results}

# One task on each machine starts Ray there; the first machine runs the command and stops Ray after it.
head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
# Without the token others in the network could run programs on these machines.
RAY_AUTH_TOKEN=$(python -c 'import secrets; print(secrets.token_hex(32))')
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN RAY_USAGE_STATS_ENABLED=0

srun ray symmetric-run --address "$head:6379" --min-nodes "$SLURM_JOB_NUM_NODES" \
  --num-cpus "$SLURM_CPUS_PER_TASK" --num-gpus "${SLURM_GPUS_ON_NODE:-0}" -- \
  python -m sr_runtime.distributed upscale "$photos" -o "$results" --resume
