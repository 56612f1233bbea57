#!/usr/bin/env bash
# Train on several machines, which all see the data and the folder of runs:
#
#     sbatch --nodes 2 train.slurm.sh paper
#
# The argument is a preset and the run's name. After a preemption or the time limit the same line goes on.
#SBATCH --job-name=train
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=64
#SBATCH --mem=256G
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --signal=TERM@120

set -euo pipefail
preset=${1:?name a preset}

head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
run=(--preset "$preset" --run "$preset")
if [ -e "runs/$preset/state.pt" ]; then
  run=(--resume "runs/$preset")
fi

# torchrun starts one process for each GPU of a machine, and the machines find each other at the first.
srun torchrun --nnodes "$SLURM_JOB_NUM_NODES" --nproc-per-node "$SLURM_GPUS_ON_NODE" \
  --rdzv-id "$SLURM_JOB_ID" --rdzv-backend c10d --rdzv-endpoint "$head:29500" \
  -m -- sr_train fit "${run[@]}"
