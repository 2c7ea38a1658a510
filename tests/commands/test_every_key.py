"""Every key of models, modules, objective, memory, centers and rules does what it says in a run.

A key that a class takes has a `Turn` here, which says what turning it changes: one line each. Keys
of data modules are turned in test_every_data_key.py.
"""

import inspect
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, get_args, get_origin

import pytest
import timm
import torch
import torchvision

from ranklight import lightning_modules, models
from ranklight.lightning_modules import (
    InverseTimeLR,
    MetricLearning,
    MultiLabelClassification,
    TwoHeadClassification,
    WarmUpCosine,
)
from ranklight.models import (
    AttentionPool,
    Encoder,
    FeatureMap,
    GeM,
    LabelCount,
    LearnedThreshold,
    LinearHead,
    LoRA,
    LowResolution,
    MLDecoder,
    MultiScale,
    PerClassThreshold,
    Pixels,
    SmallConvNet,
    TimmTrunk,
    TopK,
    TorchvisionTrunk,
    TwoHeads,
)
from ranklight.pairs import ClassCenters, CrossBatchMemory, Objective
from tests.commands.command_line import HERE, CommandLine, Refusal, keys, part

STEPS, EPOCHS, RATE = 4, 2, 0.1


class Turn(NamedTuple):
    """A key of a class, and another value than its subject's configuration has.

    Attributes:
        sees: Given the run of the configuration and the run with the value, asserts what differs.
        beside: Keys of other parts that have to go with the value, as widths go with widths.
        given: Keys that both runs have, where the effect needs them.
    """

    key: str
    value: Any
    sees: Callable[..., None]
    beside: Mapping[str, Any] = MappingProxyType({})
    given: Mapping[str, Any] = MappingProxyType({})


class Subject(NamedTuple):
    """A class, a configuration with it, and where its keys stand there."""

    kind: type
    configuration: dict[str, Any]
    at: str
    turns: list[Turn]


SGD = part("torch.optim.SGD", lr=RATE)
ADAM = part("torch.optim.Adam", lr=RATE)
HALVED = part("torch.optim.lr_scheduler.StepLR", step_size=1, gamma=0.5)
SMALL = part("ranklight.models.SmallConvNet", width=8)
WIDE = part("ranklight.models.SmallConvNet", width=16)
SHOWN_PLACES = part("ranklight.models.SmallConvNet", width=8, coordinates=True)
CONTRASTIVE = "ranklight.losses.ContrastiveLoss"
DROPPED = part("ranklight.models.LinearHead", dropout=0.5)
DECODER = part("ranklight.models.MLDecoder", width=16, heads=2, hidden=8, dropout=0.0)
MEMORY = part("ranklight.pairs.CrossBatchMemory", size=16)
CENTERS = part("ranklight.pairs.ClassCenters", num_classes=4, embedding_dim=8)
PIXEL_CENTERS = part("ranklight.pairs.ClassCenters", num_classes=4, embedding_dim=256)
ENCODER = "model.init_args.encoder.init_args"
HEADS = "model.init_args.head.init_args"
FIRST_LAYER = "encoder.trunk.trunk.body.blocks.0.attn.qkv"
OBJECTIVE = "model.init_args.objective.init_args"
REFERENCES = f"{OBJECTIVE}.references.init_args"
DATA = "data.init_args"
MANY_CENTERS = {
    f"{OBJECTIVE}.loss": part("ranklight.losses.NormalizedSoftmaxLoss", temperature=1.0),
    f"{REFERENCES}.num_classes": 40,
}
SOFTMAX_OF_CENTERS = {
    f"{OBJECTIVE}.loss": "ranklight.losses.CosFaceLoss",
    f"{OBJECTIVE}.references": CENTERS,
}
PATH = {"subsample": 2, "kernel": 5, "stride": 2, "padding": 2, "channels": 4}
PATH |= {"pool": 3, "pool_stride": 3, "pool_padding": 1}


def encoder(**arguments):
    return part("ranklight.models.Encoder", **{"trunk": SMALL, "embedding_dim": 8, **arguments})


def objective(**arguments):
    return part(
        "ranklight.pairs.Objective",
        **{"loss": "ranklight.losses.MultiSimilarityLoss", **arguments},
    )


def configuration(module, data=None, **more):
    module["init_args"].setdefault("optimizer", SGD)
    trainer = {
        "max_steps": STEPS,
        "limit_val_batches": 0,
        "num_sanity_val_steps": 0,
        "accelerator": "cpu",
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    return {
        "model": module,
        "data": part("RandomImages", **(data or {})),
        "trainer": {**trainer, **more.pop("trainer", {})},
        "best": more.pop("best", {"monitor": None}),
        **more,
    }


def metric_learning(data=None, **arguments):
    parts = {"encoder": encoder(), "objective": objective(), **arguments}
    return configuration(part("ranklight.lightning_modules.MetricLearning", **parts), data)


def published(trunk, name):
    network = encoder(trunk=part(f"ranklight.models.{trunk}", name=name))
    return metric_learning(encoder=network, data={"channels": 3, "side": 32})


def multi_scale(*paths):
    small = {"deep": SMALL, "deep_dim": 32, "in_channels": 1, "image_size": 16}
    learnt = {"embedding_dim": 8, "dropout": 0.0}
    return part("ranklight.models.MultiScale", paths=[PATH, *paths], **small, **learnt)


def feature_map(trunk=SMALL):
    return part("ranklight.models.FeatureMap", trunk=trunk)


def low_rank():
    trunk = part("ranklight.models.TimmTrunk", name="test_vit")
    return part("ranklight.models.LoRA", trunk=trunk, rank=4)


def heads(trunk=SMALL):
    small = {"num_classes": 4, "image_shape": [1, 16, 16], "embedding_dim": 8}
    return part("ranklight.models.TwoHeads", trunk=trunk, **small)


def two_heads():
    module = part(
        "ranklight.lightning_modules.TwoHeadClassification",
        model=heads(),
        objective=objective(loss="ranklight.losses.TripletLoss"),
    )
    scored = {"evaluation": part("ranklight.callbacks.RetrievalEvaluation")}
    return configuration(module, trainer={"limit_val_batches": 1.0}, callbacks=scored)


def multi_label(decisions=None, **arguments):
    module = part(
        "ranklight.lightning_modules.MultiLabelClassification",
        **{"encoder": encoder(embedding_dim=None, normalize=False), **arguments},
        loss="ranklight.losses.BinaryCrossEntropyLoss",
        num_classes=4,
        decisions=decisions,
    )
    trainer = {"limit_val_batches": 1.0}
    callbacks = {"evaluation": part("ranklight.callbacks.LabelDecision")} if decisions else {}
    best = {"monitor": "val/map_macro" if decisions else None}
    return configuration(module, {"several": True}, trainer=trainer, callbacks=callbacks, best=best)


def other_weights(base, turned):
    """The seed is the same, so it is the key that the weights differ by."""
    assert set(base.start) == set(turned.start)
    assert not same(base.end, turned.end)


def same(one, other):
    """Whether two state dicts have the same tensors."""
    return one.keys() == other.keys() and all(
        torch.equal(one[name], other[name]) for name in one if isinstance(one[name], torch.Tensor)
    )


def shape(name, *size):
    """One tensor of the state dict has this shape, and had another."""

    def sees(base, turned):
        assert list(turned.end[name].shape) == list(size)
        assert list(base.end[name].shape) != list(size)

    return sees


def rate(wanted):
    """The learning rate after the last step."""

    def sees(base, turned):
        assert turned.trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(wanted)
        assert base.trainer.optimizers[0].param_groups[0]["lr"] != pytest.approx(wanted)

    return sees


def lengths(run):
    with torch.no_grad():
        return run.model.eval()(run.data.val[0].images).norm(dim=1)


def not_unit_vectors(base, turned):
    torch.testing.assert_close(lengths(base), torch.ones(8))
    assert (lengths(turned) - 1).abs().min() > 1e-3


def running_statistics_stay(base, turned):
    names = [name for name in turned.end if "running" in name]
    assert names
    for name in names:
        assert torch.equal(turned.start[name], turned.end[name])
        assert not torch.equal(base.start[name], base.end[name])


def rests(name):
    """A part of the trunk stays as it was, and learnt before."""

    def sees(base, turned):
        key = f"encoder.trunk.body.{name}"
        assert torch.equal(turned.start[key], turned.end[key])
        assert not torch.equal(base.start[key], base.end[key])

    return sees


def computes_again(base, turned):
    """It computes activations again, which moves statistics of batch norm twice."""
    assert turned.model.encoder.trunk.body.grad_checkpointing
    assert not base.model.encoder.trunk.body.grad_checkpointing


def weights_of(path):
    """The trunk starts with the weights of a file; it may lack the file's classifier."""

    def sees(base, turned):
        file = torch.load(path, weights_only=True)
        held = {f"encoder.trunk.body.{name}": value for name, value in file.items()}
        found = held.keys() & turned.start.keys()
        assert len(found) > len(held) - 3
        assert same(*({name: each[name] for name in found} for each in (held, turned.start)))
        assert not same(*({name: each[name] for name in found} for each in (held, base.start)))

    return sees


def one_hidden_layer(base, turned):
    assert "encoder.projection.weight" in base.end
    shapes = [list(turned.end[f"encoder.projection.{layer}.weight"].shape) for layer in (0, 2)]
    assert shapes == [[6, 8], [8, 6]]


def p_stays(base, turned):
    assert turned.end["encoder.pooling.p"] == 3
    assert base.end["encoder.pooling.p"] != 3


def without_fewer_updates(base, turned):
    counts = [sum("lora_A" in name for name in run.end) for run in (base, turned)]
    assert counts[0] < counts[1]


def updates_only(layer):
    def sees(base, turned):
        updated = {name.split(".")[-4] for name in turned.end if "lora_A" in name}
        assert updated == {layer}
        assert any(f"{FIRST_LAYER}.lora_A" in name for name in base.end)

    return sees


def embedding_head_rests(base, turned):
    name = "model.embedding_head.weight"
    assert torch.equal(turned.start[name], turned.end[name])
    assert not torch.equal(base.start[name], base.end[name])


def retrieves_by_pooled_features(base, turned):
    found = [run.trainer.callbacks[0].last.embeddings for run in (base, turned)]
    assert [embeddings.shape[1] for embeddings in found] == [8, 32]
    assert same(base.end, turned.end)


def rows_of_memory(*counts):
    def sees(base, turned):
        assert [len(run.model.objective.references) for run in (base, turned)] == list(counts)
        other_weights(base, turned)

    return sees


def centers_move_without_gradient(base, turned):
    name = "objective.references.centers"
    assert name in dict(base.model.named_parameters())
    assert name not in dict(turned.model.named_parameters())
    assert not torch.equal(turned.start[name], turned.end[name])


def few_centers_learn(base, turned):
    """At most 4 classes are in a batch of 8, so at most 4 others are drawn for each."""
    moved = [changed_centers(run) for run in (base, turned)]
    assert moved[0].all()
    assert 0 < moved[1].count_nonzero() <= 4 + 4 * STEPS


def other_centers_learn(base, turned):
    assert not torch.equal(changed_centers(base), changed_centers(turned))


def changed_centers(run):
    name = "objective.references.centers"
    return (run.start[name] != run.end[name]).any(1)


def learns_the_same_in_blocks(base, turned):
    assert turned.model.objective.references_per_block == 2
    torch.testing.assert_close(turned.end, base.end, rtol=1e-3, atol=1e-4)


def another_part(path):
    """A part is of the other class, and the encoder learns otherwise."""

    def sees(base, turned):
        assert type(base.model.get_submodule(path)) is not type(turned.model.get_submodule(path))
        shared = base.end.keys() & turned.end.keys()
        assert not same(*({name: run.end[name] for name in shared} for run in (base, turned)))

    return sees


def says_two_labels_and_learns_the_same(base, turned):
    batch = turned.data.val[0]
    assert "decision/top" not in base.model.predict_step(batch, 0)
    assert (turned.model.predict_step(batch, 0)["decision/top"].sum(1) == 2).all()
    assert same(base.end, {name: turned.end[name] for name in base.end})


def learns_by_adam(base, turned):
    assert type(turned.trainer.optimizers[0]) is torch.optim.Adam
    other_weights(base, turned)


SCHEDULED = {"model.init_args.lr_scheduler": HALVED}


def at_a_tenth(base, turned):
    """The only rate that is named is a tenth; all other groups keep theirs."""
    rates = [group["lr"] for group in turned.trainer.optimizers[0].param_groups]
    assert sorted(rates) == pytest.approx([RATE / 10, RATE])
    other_weights(base, turned)


def vectors_do_not_decay(base, turned):
    for run, decays in ((base, {2: 0.5, 1: 0.5}), (turned, {2: 0.5, 1: 0.0})):
        for group in run.trainer.optimizers[0].param_groups:
            for parameter in group["params"]:
                assert group["weight_decay"] == decays[min(parameter.ndim, 2)]


def one_chunk_at_a_time(base, turned):
    """The same weights to rounding, by other sums."""
    for name in base.end:
        if isinstance(base.end[name], torch.Tensor):
            torch.testing.assert_close(turned.end[name], base.end[name], rtol=1e-3, atol=1e-4)
    assert not same(base.end, turned.end)


DECAYS = {"model.init_args.optimizer": part("torch.optim.SGD", lr=RATE, weight_decay=0.5)}


def learning(trunk):
    return [
        Turn("rates", {trunk: 0.1}, at_a_tenth),
        Turn("decay_norms_and_biases", False, vectors_do_not_decay, given=DECAYS),
        Turn("chunk_size", 3, one_chunk_at_a_time),
    ]


WARM_UP = part("ranklight.lightning_modules.WarmUpCosine", total_steps=10)
SCHEDULE = [
    Turn("optimizer", ADAM, learns_by_adam),
    Turn("lr_scheduler", HALVED, rate(RATE / 2**EPOCHS)),
    Turn("lr_interval", "step", rate(RATE / 2**STEPS), given=SCHEDULED),
]

VIT = {f"{ENCODER}.trunk.init_args.name": "test_vit"}

SUBJECTS = [
    Subject(
        Encoder,
        metric_learning(encoder=encoder(trunk=part("NormedTrunk"))),
        ENCODER,
        [
            Turn(
                "trunk", part("NormedTrunk", channels=4), shape("encoder.projection.weight", 8, 4)
            ),
            Turn("embedding_dim", 4, shape("encoder.projection.weight", 4, 8)),
            Turn("pooling", "ranklight.models.MaxPool", other_weights),
            Turn("hidden", [6], one_hidden_layer),
            Turn("normalize", False, not_unit_vectors),
            Turn("freeze_batch_norm", True, running_statistics_stay),
        ],
    ),
    Subject(
        SmallConvNet,
        metric_learning(),
        f"{ENCODER}.trunk.init_args",
        [
            Turn(
                "in_channels",
                3,
                shape("encoder.trunk.layers.0.0.weight", 8, 3, 3, 3),
                beside={f"{DATA}.channels": 3},
            ),
            Turn("width", 16, shape("encoder.projection.weight", 8, 64)),
            Turn("coordinates", True, shape("encoder.trunk.layers.0.0.weight", 8, 3, 3, 3)),
        ],
    ),
    Subject(
        TorchvisionTrunk,
        published("TorchvisionTrunk", "shufflenet_v2_x0_5"),
        f"{ENCODER}.trunk.init_args",
        [
            Turn("name", "mnasnet0_5", shape("encoder.projection.weight", 8, 1280)),
            Turn("weights", "shufflenet.pt", weights_of("shufflenet.pt")),
            Turn("freeze", 1, rests("conv1.0.weight")),
            Turn("freeze", "whole", rests("conv5.0.weight")),
        ],
    ),
    Subject(
        TimmTrunk,
        published("TimmTrunk", "test_efficientnet"),
        f"{ENCODER}.trunk.init_args",
        [
            Turn("name", "test_vit", shape("encoder.projection.weight", 8, 64)),
            Turn("weights", "test_efficientnet.pt", weights_of("test_efficientnet.pt")),
            Turn("tokens", "both", shape("encoder.projection.weight", 8, 128), given=VIT),
            Turn("tokens", "class", other_weights, given=VIT),
            Turn("tokens", "pooled", other_weights, given=VIT),
            Turn("freeze", 1, rests("conv_stem.weight")),
            Turn("freeze", "whole", rests("conv_head.weight")),
            Turn("checkpointing", True, computes_again),
        ],
    ),
    Subject(
        GeM,
        metric_learning(encoder=encoder(pooling=part("ranklight.models.GeM"))),
        f"{ENCODER}.pooling.init_args",
        [
            Turn("p", 2.0, other_weights),
            Turn("learn", False, p_stays),
        ],
    ),
    Subject(
        AttentionPool,
        metric_learning(encoder=encoder(pooling=part("ranklight.models.AttentionPool"))),
        f"{ENCODER}.pooling.init_args",
        [Turn("heads", 4, other_weights)],
    ),
    Subject(
        FeatureMap,
        multi_label(encoder=feature_map(), head=DECODER),
        ENCODER,
        [Turn("trunk", WIDE, shape("head.places.weight", 16, 64))],
    ),
    Subject(
        LinearHead,
        multi_label(head=part("ranklight.models.LinearHead")),
        HEADS,
        [Turn("dropout", 0.5, other_weights)],
    ),
    Subject(
        MLDecoder,
        multi_label(encoder=feature_map(), head=DECODER),
        HEADS,
        [
            Turn("queries", 2, shape("head.query", 2, 16)),
            Turn("width", 8, shape("head.query", 4, 8)),
            Turn("heads", 4, other_weights),
            Turn("hidden", 6, shape("head.feed_forward.0.weight", 6, 16)),
            Turn("dropout", 0.5, other_weights),
        ],
    ),
    Subject(
        LoRA,
        metric_learning(encoder=encoder(trunk=low_rank()), data={"channels": 3, "side": 32}),
        f"{ENCODER}.trunk.init_args",
        [
            Turn(
                "trunk",
                part("ranklight.models.TimmTrunk", name="test_vit2"),
                without_fewer_updates,
            ),
            Turn("rank", 2, shape(f"{FIRST_LAYER}.lora_A.default.weight", 2, 64)),
            Turn("alpha", 32, other_weights),
            Turn("dropout", 0.5, other_weights),
            Turn("layers", ["fc1"], updates_only("fc1")),
        ],
    ),
    Subject(
        MultiScale,
        metric_learning(encoder=multi_scale()),
        ENCODER,
        [
            Turn("deep", SHOWN_PLACES, shape("encoder.deep.layers.0.0.weight", 8, 3, 3, 3)),
            Turn(
                "deep_dim", 64, shape("encoder.projection.weight", 8, 80), {f"{ENCODER}.deep": WIDE}
            ),
            Turn("paths", [], shape("encoder.projection.weight", 8, 32)),
            Turn(
                "in_channels",
                3,
                shape("encoder.paths.0.convolution.weight", 4, 3, 5, 5),
                {f"{ENCODER}.deep.init_args.in_channels": 3, f"{DATA}.channels": 3},
            ),
            Turn("image_size", 32, shape("encoder.projection.weight", 8, 68), {f"{DATA}.side": 32}),
            Turn("embedding_dim", 4, shape("encoder.projection.weight", 4, 48)),
            Turn("dropout", 0.5, other_weights),
        ],
    ),
    Subject(
        Pixels,
        metric_learning(
            encoder=part("ranklight.models.Pixels"), objective=objective(references=PIXEL_CENTERS)
        ),
        ENCODER,
        [Turn("normalize", False, not_unit_vectors)],
    ),
    Subject(
        TwoHeads,
        two_heads(),
        "model.init_args.model.init_args",
        [
            Turn("trunk", SHOWN_PLACES, shape("model.trunk.layers.0.0.weight", 8, 3, 3, 3)),
            Turn("num_classes", 5, shape("model.class_head.weight", 5, 32)),
            Turn(
                "image_shape",
                [1, 32, 32],
                shape("model.embedding_head.weight", 8, 512),
                {f"{DATA}.side": 32},
            ),
            Turn("embedding_dim", 4, shape("model.embedding_head.weight", 4, 128)),
        ],
    ),
    Subject(
        MetricLearning,
        metric_learning(),
        "model.init_args",
        [
            Turn("encoder", encoder(trunk=WIDE), shape("encoder.projection.weight", 8, 64)),
            Turn("objective", objective(loss=CONTRASTIVE), another_part("objective.loss")),
            *SCHEDULE,
            *learning("encoder.trunk"),
        ],
    ),
    Subject(
        TwoHeadClassification,
        two_heads(),
        "model.init_args",
        [
            Turn("model", heads(trunk=WIDE), shape("model.class_head.weight", 4, 64)),
            Turn("objective", None, embedding_head_rests),
            Turn("weight", 0.5, other_weights),
            Turn("retrieve_by", "pooled", retrieves_by_pooled_features),
            *SCHEDULE,
            *learning("model.trunk"),
        ],
    ),
    Subject(
        MultiLabelClassification,
        multi_label(),
        "model.init_args",
        [
            Turn(
                "encoder",
                encoder(trunk=WIDE, embedding_dim=None),
                shape("head.linear.weight", 4, 64),
            ),
            Turn("loss", "ranklight.losses.LSEPLoss", another_part("loss")),
            Turn("num_classes", 5, shape("head.linear.weight", 5, 32), {f"{DATA}.classes": 5}),
            Turn("head", DROPPED, other_weights),
            Turn(
                "decisions",
                {"top": part("ranklight.models.TopK", k=2)},
                says_two_labels_and_learns_the_same,
            ),
            *SCHEDULE,
            *learning("encoder.trunk"),
        ],
    ),
    Subject(
        InverseTimeLR,
        metric_learning(lr_scheduler=part("ranklight.lightning_modules.InverseTimeLR", decay=0.1)),
        "model.init_args.lr_scheduler.init_args",
        [Turn("decay", 0.5, rate(RATE / (1 + 0.5 * EPOCHS)))],
    ),
    Subject(
        WarmUpCosine,
        metric_learning(lr_scheduler=WARM_UP, lr_interval="step"),
        "model.init_args.lr_scheduler.init_args",
        [
            Turn("warm_up_steps", 8, rate(RATE * 5 / 8)),
            Turn("final", 1.0, rate(RATE)),
            Turn("total_steps", 4, rate(0.0)),
        ],
    ),
    Subject(
        Objective,
        metric_learning(),
        OBJECTIVE,
        [
            Turn("loss", CONTRASTIVE, another_part("objective.loss")),
            Turn("miner", "ranklight.miners.MultiSimilarityMiner", other_weights),
            Turn("references", MEMORY, another_part("objective.references")),
            Turn("relevance", f"{HERE}.OddAndEven", another_part("objective.relevance")),
            Turn("references_per_block", 2, learns_the_same_in_blocks, given=SOFTMAX_OF_CENTERS),
        ],
    ),
    Subject(
        CrossBatchMemory,
        metric_learning(objective=objective(references=MEMORY)),
        REFERENCES,
        [
            Turn("size", 8, rows_of_memory(16, 8)),
            Turn("start_step", 3, other_weights),
            Turn("weight", 0.5, other_weights),
            Turn("joined", True, other_weights),
        ],
    ),
    Subject(
        ClassCenters,
        metric_learning(objective=objective(references=CENTERS)),
        REFERENCES,
        [
            Turn("num_classes", 5, shape("objective.references.centers", 5, 8)),
            Turn(
                "embedding_dim",
                4,
                shape("objective.references.centers", 4, 4),
                {f"{ENCODER}.embedding_dim": 4},
            ),
            Turn("normalize", False, other_weights),
            Turn("centers_per_class", 2, shape("objective.references.centers", 8, 8)),
            Turn("center_learning_rate", 0.5, centers_move_without_gradient),
            Turn(
                "center_merging", 0.2, other_weights, given={f"{REFERENCES}.centers_per_class": 2}
            ),
            Turn("sampled_classes", 8, few_centers_learn, given=MANY_CENTERS),
            Turn(
                "seed",
                1,
                other_centers_learn,
                given={**MANY_CENTERS, f"{REFERENCES}.sampled_classes": 8},
            ),
        ],
    ),
]


class Rule(NamedTuple):
    """What a rule of a run learnt, and the labels that it says of validation."""

    state: dict[str, torch.Tensor]
    said: torch.Tensor


def rule(run, name):
    prefix = f"decisions.{name}."
    state = {key.removeprefix(prefix): run.end[key] for key in run.end if key.startswith(prefix)}
    outputs = [run.model.eval().predict_step(batch, 0) for batch in run.data.val]
    return Rule(state, torch.cat([output[f"decision/{name}"] for output in outputs]))


def learns_otherwise(base, turned):
    assert base.state.keys() == turned.state.keys()
    assert not same(base.state, turned.state)


def says_two_labels(base, turned):
    assert (turned.said.sum(1) == 2).all()
    assert not (base.said.sum(1) == 2).all()


def says_five_classes(base, turned):
    assert (base.said.shape[1], turned.said.shape[1]) == (4, 5)


def size(name, *wanted):
    def sees(base, turned):
        assert list(turned.state[name].shape) == list(wanted) != list(base.state[name].shape)

    return sees


RULE = {"hidden": [8], "steps": 20}
WIDER = {
    "model.init_args.num_classes": 5,
    f"{DATA}.classes": 5,
    "model.init_args.encoder": encoder(trunk=WIDE, embedding_dim=None, normalize=False),
}
HEAD = [
    Turn("num_classes", 5, says_five_classes, WIDER),
    Turn("num_features", 64, size("head.layers.0.weight", 8, 64), WIDER),
    Turn("hidden", [6], size("head.layers.0.weight", 6, 32)),
    Turn("inputs", "scores", size("head.layers.0.weight", 8, 4)),
    Turn("inputs", "both", size("head.layers.0.weight", 8, 36)),
    Turn("fit_on", "val", learns_otherwise),
    Turn("steps", 10, learns_otherwise),
]
RULES = {
    TopK: ({}, [Turn("k", 2, says_two_labels)]),
    PerClassThreshold: ({}, [Turn("num_classes", 5, says_five_classes, WIDER)]),
    LearnedThreshold: (RULE, HEAD),
    LabelCount: (
        RULE,
        [
            *HEAD,
            Turn("max_count", 2, size("head.layers.2.weight", 2, 8)),
            Turn("allow_zero", True, size("head.layers.2.weight", 5, 8)),
            Turn("loss", "poisson", size("head.layers.2.weight", 1, 8)),
            Turn("loss", "squared", learns_otherwise, given={"loss": "poisson"}),
        ],
    ),
}
PATH_TURNS = {
    "subsample": 4,
    "kernel": 3,
    "stride": 1,
    "padding": 1,
    "channels": 6,
    "pool": 2,
    "pool_stride": 2,
    "pool_padding": 0,
}


@pytest.fixture(scope="module")
def fit(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("keys"))
        write_weights(torchvision.models.shufflenet_v2_x0_5(), "shufflenet.pt")
        network = timm.create_model("test_efficientnet", num_classes=0)
        write_weights(network, "test_efficientnet.pt")
        yield CommandLine(patch)


def write_weights(network, path):
    torch.save({name: value + 1 for name, value in network.state_dict().items()}, path)


TURNS = [
    pytest.param(subject, turn, id=f"{subject.kind.__name__}.{turn.key}={turn.value}"[:60])
    for subject in SUBJECTS
    for turn in subject.turns
]


@pytest.mark.parametrize(("subject", "turn"), TURNS)
def test_turning_a_key(fit, subject, turn):
    base = fit(subject.configuration, turn.given)
    turned = fit(
        subject.configuration,
        {**turn.given, f"{subject.at}.{turn.key}": turn.value, **turn.beside},
    )
    for run in (base, turned):
        assert not isinstance(run, Refusal), run.words
    turn.sees(base, turned)


RULE_TURNS = [
    pytest.param(kind, turn, id=f"{kind.__name__}.{turn.key}={turn.value}")
    for kind, (_, turns) in RULES.items()
    for turn in turns
]


def rule_name(kind, turn, turned):
    """A rule's name among the decisions of a run; turns share one rule that is as it is."""
    told = {**turn.given, **({turn.key: turn.value} if turned else {})}
    return " ".join([kind.__name__, *(f"{key}={value}" for key, value in told.items())])


def decided(fit, turned, beside):
    """One run of all rules: as they are, or turned, those that need these keys beside them."""
    wide = {"num_classes": 5, "num_features": 64} if beside else {}
    decisions = {}
    for kind, turn in (param.values for param in RULE_TURNS):
        arguments = {"num_classes": 4, "num_features": 32, **RULES[kind][0], **turn.given}
        if turned:
            arguments |= {turn.key: turn.value, **wide}
        if not turned or turn.beside == beside:
            known = {key: value for key, value in arguments.items() if key in keys(kind)}
            name = rule_name(kind, turn, turned)
            decisions[name] = part(f"ranklight.models.{kind.__name__}", **known)
    run = fit(multi_label(decisions), beside)
    assert not isinstance(run, Refusal), run.words
    return run


@pytest.mark.parametrize(("kind", "turn"), RULE_TURNS)
def test_turning_a_key_of_a_rule(fit, kind, turn):
    base = rule(decided(fit, False, {}), rule_name(kind, turn, False))
    turned = rule(decided(fit, True, turn.beside), rule_name(kind, turn, True))
    turn.sees(base, turned)


@pytest.mark.parametrize("key", PATH_TURNS)
def test_turning_a_key_of_a_path(fit, key):
    paths = [{**PATH, name: value} for name, value in PATH_TURNS.items()]
    run = fit(metric_learning(encoder=multi_scale(*paths)))
    base, *turned = run.model.encoder.paths
    path = turned[list(PATH_TURNS).index(key)]
    shapes = [[list(each.shape) for each in one.parameters()] for one in (base, path)]
    if shapes[0] == shapes[1]:
        path.load_state_dict(base.state_dict())
        images = run.data.val[0].images
        assert base(images).shape != path(images).shape or not torch.equal(
            base(images), path(images)
        )


def turned_keys():
    """By class: the keys that are turned, and the values that they are given."""
    by_class = {subject.kind: (subject.turns, arguments_of(subject)) for subject in SUBJECTS}
    by_class |= {kind: (own, arguments) for kind, (arguments, own) in RULES.items()}
    paths = [Turn(key, value, None) for key, value in PATH_TURNS.items()]
    return by_class | {LowResolution: (paths, PATH)}


def arguments_of(subject):
    arguments = subject.configuration
    for name in subject.at.split("."):
        arguments = arguments[name]
    return arguments


@pytest.mark.parametrize("kind", turned_keys(), ids=lambda kind: kind.__name__)
def test_every_key_is_turned(kind):
    own, _ = turned_keys()[kind]
    schedule = kind in (InverseTimeLR, WarmUpCosine)
    known = keys(kind).keys() - {"optimizer", "last_epoch"} if schedule else keys(kind)
    assert {turn.key for turn in own} == set(known), "each key needs a Turn that shows its effect"


@pytest.mark.parametrize("kind", turned_keys(), ids=lambda kind: kind.__name__)
def test_every_choice_is_turned(kind):
    own, arguments = turned_keys()[kind]
    for key, parameter in keys(kind).items():
        if get_origin(parameter.annotation) is Literal:
            taken = {turn.value for turn in own if turn.key == key}
            taken |= {turn.given.get(key, parameter.default) for turn in own}
            assert set(get_args(parameter.annotation)) <= taken | {arguments.get(key)}


def test_every_class_is_here():
    public = {getattr(room, name) for room in (models, lightning_modules) for name in room.__all__}
    parts = (torch.nn.Module, torch.optim.lr_scheduler.LRScheduler)
    with_keys = {
        each for each in public if inspect.isclass(each) and issubclass(each, parts) and keys(each)
    }
    # Encoders make their inputs by their trunk.
    with_keys = with_keys - {models.Inputs} | {Objective, CrossBatchMemory, ClassCenters}
    assert with_keys == turned_keys().keys() - {LowResolution}


@pytest.mark.parametrize(
    "configuration",
    [metric_learning(objective=objective(references=MEMORY)), two_heads(), multi_label()],
    ids=["metric learning", "two heads", "multi-label"],
)
def test_without_a_turn_the_weights_are_the_same(fit, configuration):
    again = fit(configuration, {"seed_everything": 0})
    assert same(fit(configuration).end, again.end)
