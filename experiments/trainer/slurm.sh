#!/bin/bash
# sbatch experiments/trainer/slurm.sh EXPERIMENT.yaml [-c VARIANT.yaml] [--key value ...]
#
# Adapt the numbers here and in slurm.yaml (tasks a node = trainer.devices). A step, and a
# validation if one is under way, must fit into the 300 seconds between SIGTERM and the end.
#SBATCH --job-name=ranklight
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=4
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=8
#SBATCH --time=24:00:00
#SBATCH --signal=TERM@300
#SBATCH --requeue
#SBATCH --open-mode=append

run="job-$SLURM_JOB_ID"
resume=()
if find runs -path "*/$run/checkpoints/last.ckpt" 2> /dev/null | grep -q .; then
  resume=(--ckpt_path last)
fi

srun --kill-on-bad-exit=0 ranklight fit -c "$1" -c experiments/trainer/gpus.yaml \
  -c experiments/trainer/slurm.yaml --run "$run" "${resume[@]}" "${@:2}"
code=$?
if [ "$code" -eq 143 ]; then
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
