"""Who learns how fast, through the command line."""

import math
import weakref

import numpy as np
import pytest
import timm
import torch
from pytorch_lightning import Callback
from torch import nn

from ranklight.lightning_modules import Rate, WarmUpCosine
from ranklight.lightning_modules.chunks import check_chunks, in_chunks
from ranklight.lightning_modules.rates import parameter_groups, rates_of
from tests.commands.command_line import HERE, CommandLine, Refusal, part

RATES = "model.init_args.rates"
TRUNK, PROJECTION, CENTERS = (
    "encoder.trunk.layers.0.weight",
    "encoder.projection.weight",
    "objective.references.centers",
)


class FrozenSeen(Callback):
    """What rests after each step: gradients, and statistics that stay."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, bool, torch.Tensor]] = []

    def on_train_batch_end(self, trainer, pl_module, *_):
        trunk = pl_module.encoder.trunk.layers
        self.seen.append(
            (trainer.current_epoch, trunk[0].weight.grad is None, trunk[1].running_mean.clone())
        )


def configuration(steps=1, **trainer):
    encoder = part("ranklight.models.Encoder", trunk=f"{HERE}.NormedTrunk", embedding_dim=8)
    objective = part(
        "ranklight.pairs.Objective",
        loss="ranklight.losses.ProxyAnchorLoss",
        references=part("ranklight.pairs.ClassCenters", num_classes=4, embedding_dim=8),
    )
    module = part(
        "ranklight.lightning_modules.MetricLearning",
        encoder=encoder,
        objective=objective,
        optimizer=part("torch.optim.SGD", lr=0.01),
    )
    quiet = {"accelerator": "cpu", "logger": False, "enable_progress_bar": False}
    quiet |= {"enable_model_summary": False, "limit_val_batches": 0, "num_sanity_val_steps": 0}
    trainer = {**quiet, "max_steps": steps, **trainer}
    return {
        "model": module,
        "data": part("RandomImages"),
        "trainer": trainer,
        "best": {"monitor": None},
    }


@pytest.fixture(scope="module")
def fit(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("rates"))
        yield CommandLine(patch)


def ran(run):
    assert not isinstance(run, Refusal), run.words
    return run


def moved(run, name):
    return run.end[name] - run.start[name]


def test_the_first_steps_are_in_proportion_to_the_rates(fit):
    rates = {"encoder.trunk": 0.1, "objective.references": {"factor": 100}}
    base, run = ran(fit(configuration())), ran(fit(configuration(), {RATES: rates}))
    for name, factor in ((TRUNK, 0.1), (PROJECTION, 1), (CENTERS, 100)):
        assert moved(base, name).abs().max() > 0
        torch.testing.assert_close(
            moved(run, name), factor * moved(base, name), rtol=1e-3, atol=1e-7
        )


def test_the_run_begins_with_the_table_of_rates(fit, capsys):
    rates = {"encoder.trunk": 0.1, "objective.references": 100}
    ran(fit(configuration(2), {RATES: rates}))
    lines = capsys.readouterr().out.splitlines()
    rows = {line.split()[0]: line.split() for line in lines if line.strip()}
    heading = next(line for line in lines if "part" in line and "rate" in line)
    assert [word for word in heading.split() if word in ("parameters", "learning", "rate")] == [
        "parameters",
        "learning",
        "rate",
    ]
    centers = 4 * 8
    for part_name, learning, rate in (
        ("encoder.trunk", 8 * 9 + 8 + 8 + 8, 0.001),
        ("encoder.projection", 8 * 8 + 8, 0.01),
        ("objective.references", centers, 1.0),
    ):
        _, _, parameters, learns, at, *_ = rows[part_name]
        assert (int(parameters), int(learns), float(at)) == (learning, learning, rate)


def test_a_name_that_matches_nothing_is_refused_with_those_that_exist(fit):
    refusal = fit(configuration(), {RATES: {"encoder.trnk": 0.1}})
    for word in ("encoder.trnk", "encoder.trunk", "encoder.projection", "objective.references"):
        assert word in refusal.words


def test_a_schedule_that_sets_one_rate_for_all_is_refused(fit):
    one = part("torch.optim.lr_scheduler.OneCycleLR", max_lr=0.1, total_steps=4)
    options = {RATES: {"encoder.trunk": 0.1}, "model.init_args.lr_scheduler": one}
    assert "OneCycleLR sets the same rate" in fit(configuration(), options).words


def test_norms_and_biases_do_not_decay():
    network = nn.Sequential(nn.Linear(3, 3), nn.LayerNorm(3))
    decays = {"0": Rate(weight_decay=0.3)}
    groups = parameter_groups(network, decays, decay_norms_and_biases=False)
    assert [(g.part, g.weight_decay, len(g.parameters)) for g in groups] == [
        ("0", 0.3, 1),
        ("0", 0.0, 1),
        ("", 0.0, 2),
    ]


def test_layers_decay_as_timm_says():
    network = nn.ModuleDict({"trunk": timm.create_model("test_vit", num_classes=0)})
    rates = rates_of({"trunk": Rate(factor=0.5, layer_decay=0.5)})
    found = {
        id(parameter): group.factor
        for group in parameter_groups(network, rates, True)
        for parameter in group.parameters
    }
    wanted = timm.optim.param_groups_layer_decay(network["trunk"], layer_decay=0.5)
    assert len(wanted) > 4
    for group in wanted:
        assert {found[id(each)] for each in group["params"]} == {0.5 * group["lr_scale"]}


def test_layers_of_another_network_are_refused():
    with pytest.raises(ValueError, match="Linear"):
        parameter_groups(
            nn.ModuleDict({"trunk": nn.Linear(2, 2)}), {"trunk": Rate(layer_decay=0.5)}, True
        )


def test_a_frozen_part_rests_with_its_batch_norm_for_its_epochs(fit):
    watched = {"trainer.callbacks": [f"{FrozenSeen.__module__}.FrozenSeen"]}
    options = {RATES: {"encoder.trunk": {"frozen_epochs": 1}}, **watched}
    run = ran(fit(configuration(-1, max_epochs=2), options))
    (watcher,) = (each for each in run.trainer.callbacks if type(each).__name__ == "FrozenSeen")
    assert [(epoch, resting) for epoch, resting, _ in watcher.seen] == [(0, True)] * 2 + [
        (1, False)
    ] * 2
    statistics = [mean for *_, mean in watcher.seen]
    assert torch.equal(statistics[1], run.start["encoder.trunk.layers.1.running_mean"])
    assert not torch.equal(statistics[2], statistics[1])
    assert not torch.equal(run.end[TRUNK], run.start[TRUNK])


def test_freezing_all_is_refused(fit):
    rates = {"encoder": {"frozen_epochs": 1}, "objective": {"frozen_epochs": 2}}
    assert "something has to learn" in fit(configuration(), {RATES: rates}).words


def test_warm_up_and_cosine_are_as_long_as_the_run(fit):
    schedule = part("ranklight.lightning_modules.WarmUpCosine", warm_up_steps=2, final=0.1)
    options = {"model.init_args.lr_scheduler": schedule, "model.init_args.lr_interval": "step"}
    run = ran(fit(configuration(6), options))
    assert run.trainer.lr_scheduler_configs[0].scheduler.total_steps == 6
    (group,) = run.trainer.optimizers[0].param_groups
    assert group["lr"] == pytest.approx(0.01 * 0.1)
    assert (
        "set lr_interval to step"
        in fit(configuration(6), {**options, "model.init_args.lr_interval": "epoch"}).words
    )


def test_warm_up_and_cosine_equation():
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], 1.0)
    schedule, rates = WarmUpCosine(optimizer, 3, 0.2, total_steps=10), []
    for _ in range(10):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    cosine = [0.2 + 0.8 * 0.5 * (1 + math.cos(math.pi * (t - 3) / 7)) for t in range(3, 10)]
    assert rates == pytest.approx([1 / 3, 2 / 3, 1, *cosine])


class Kept(nn.Module):
    """Dropout, and a product that keeps an array of each chunk; counts what is kept at once."""

    def __init__(self):
        super().__init__()
        self.layer, self.dropout, self.kept, self.most = nn.Linear(6, 5), nn.Dropout(0.3), [], 0

    def forward(self, images):
        array = np.full((len(images), 5), 2.0)
        self.kept.append(weakref.ref(array))
        self.most = max(self.most, sum(each() is not None for each in self.kept))
        return self.dropout(self.layer(images.flatten(1)) * torch.from_numpy(array)).tanh()


def test_chunks_have_the_gradient_of_the_batch_and_hold_one_at_a_time():
    torch.manual_seed(0)
    network, images = Kept().double(), torch.rand(12, 1, 2, 3, dtype=torch.float64)

    def gradient(embed):
        torch.manual_seed(1)
        network.zero_grad()
        embeddings = embed()
        (embeddings @ embeddings.T).exp().mean().backward()
        return [parameter.grad.clone() for parameter in network.parameters()]

    # Chunk by chunk with one graph, so that dropout draws the same.
    wanted = gradient(lambda: torch.cat([network(each) for each in images.split(4)]))
    assert network.most == 3
    network.kept, network.most = [], 0
    found = gradient(lambda: in_chunks(network, images, 4))
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-14)
    assert len(network.kept) == 6
    assert network.most == 1


def test_chunks_of_every_module_give_the_gradients_of_one_piece(fit):
    config = configuration(3)
    config["model"]["init_args"]["encoder"]["init_args"]["freeze_batch_norm"] = True
    whole, chunks = (ran(fit(config, {"model.init_args.chunk_size": size})) for size in (8, 3))
    for name in (TRUNK, PROJECTION, CENTERS):
        torch.testing.assert_close(chunks.end[name], whole.end[name])


def test_chunks_refuse_batch_norm_that_learns(fit):
    assert (
        "would take its statistics from a chunk"
        in fit(configuration(), {"model.init_args.chunk_size": 4}).words
    )
    with pytest.raises(ValueError, match="1 or more"):
        check_chunks(nn.Linear(1, 1), 0)


def test_a_part_within_a_part_takes_null(fit):
    run = ran(fit(configuration(), {"model.init_args.encoder.init_args.embedding_dim": None}))
    assert isinstance(run.model.encoder.projection, nn.Identity)


def test_something_must_learn(fit):
    plain = configuration()
    plain["model"]["init_args"] |= {
        "encoder": "ranklight.models.Pixels",
        "objective": part("ranklight.pairs.Objective", loss="ranklight.losses.ContrastiveLoss"),
    }
    assert "nothing learns" in fit(plain).words
