#!/bin/sh
# experiments/digits/ablations.sh [SEED ...]
#
# The ablations of RESULTS.md: what mining and weighting, the parameters of both and the size of the
# embedding are worth, on a network of width 8, at three times the quickstart's rate. Seeds are 0 1 2
# unless given. Where runs are already there, remove them first.
set -eu
seeds=${*:-0 1 2}
objective=--model.init_args.objective.init_args
encoder=--model.init_args.encoder.init_args
rate="--model.init_args.optimizer.init_args.lr 3e-3 --model.init_args.lr_scheduler.init_args.max_lr 3e-3"
# All pairs that are mined weigh the same: slope 1 for each.
same_weight="$objective.loss ranklight.losses.ContrastiveLoss $objective.loss.init_args.negative_margin=-1.0"
run() { # arm, more
    arm=$1
    shift
    for seed in $seeds; do
        ranklight fit -c experiments/digits/multi_similarity.yaml --experiment "digits/narrow$arm" \
            $encoder.trunk.init_args.width 8 --callbacks.baselines null $rate \
            --seed_everything "$seed" --run "seed$seed" --test_after_fit true "$@"
    done
}
run ""
run /mining_only $same_weight
run /weighting_only $objective.miner ranklight.miners.KeepAll
run /neither $same_weight $objective.miner ranklight.miners.KeepAll
for size in 8 32; do run /size_$size $encoder.embedding_dim $size; done
for alpha in 1 8; do run /alpha_$alpha $objective.loss.init_args.alpha $alpha.0; done
for beta in 10 80; do run /beta_$beta $objective.loss.init_args.beta $beta.0; done
for base in 0 1; do run /lambda_$base $objective.loss.init_args.base $base.0; done
for epsilon in 0 1; do run /epsilon_$epsilon $objective.miner.init_args.epsilon $epsilon.0; done
