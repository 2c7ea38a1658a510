#!/bin/sh
# experiments/cross_batch_memory/digits.sh [SEED ...]
#
# The runs of RESULTS.md: three losses, each without a memory, with one of a quarter of the 721
# training images and with one of all of them; and how far embeddings drift at a constant rate.
# Seeds are 0 1 2 unless given. Where runs are already there, remove them first.
set -eu
seeds=${*:-0 1 2}
objective=--model.init_args.objective.init_args
run() { # experiment, seed, more
    experiment=$1 seed=$2
    shift 2
    ranklight fit -c experiments/cross_batch_memory/digits.yaml --experiment "$experiment" \
        --seed_everything "$seed" --run "seed$seed" --test_after_fit true "$@"
}
for seed in $seeds; do
    for loss in contrastive triplet multi_similarity; do
        case $loss in
            contrastive) set -- ;;
            triplet) set -- $objective.loss ranklight.losses.TripletLoss ;;
            multi_similarity) set -- $objective.loss ranklight.losses.MultiSimilarityLoss \
                $objective.miner ranklight.miners.MultiSimilarityMiner ;;
        esac
        name=cross_batch_memory/digits
        run $name/${loss}_none "$seed" "$@" $objective.references ranklight.pairs.InBatch
        run $name/${loss}_quarter "$seed" "$@" $objective.references.init_args.size 180
        # Contrastive, the whole: the experiment as it is.
        [ $loss = contrastive ] || name=$name/${loss}_whole
        run $name "$seed" "$@"
    done
    for steps in 110 1500; do
        run cross_batch_memory/digits/drift_${steps}_steps "$seed" --trainer.max_steps $steps \
            --model.init_args.lr_scheduler null --callbacks.drift ranklight.callbacks.EmbeddingDrift
    done
done
