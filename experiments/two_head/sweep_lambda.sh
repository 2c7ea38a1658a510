#!/bin/sh
# experiments/two_head/sweep_lambda.sh [SEED ...]
#
# λ of the ranking term on the long tail of digits: a table and a picture of macro accuracy against
# λ. Seeds are 0 1 2 unless given. Where runs are already there, remove them first.
set -eu
[ $# -gt 0 ] || set -- 0 1 2
experiment=two_head/sweep_lambda
for weight in 0 0.2 0.5 1 2; do
    for seed in "$@"; do
        ranklight fit -c experiments/two_head/digits_long_tail.yaml --test_after_fit true \
            --experiment "$experiment" --run "lambda_${weight}_seed_${seed}" \
            --model.init_args.weight "$weight" --seed_everything "$seed"
    done
done
ranklight compare "runs/$experiment" --metrics test/accuracy_macro test/recall@1 test/nmi \
    --against model.init_args.weight --plot "runs/$experiment/lambda.png"
