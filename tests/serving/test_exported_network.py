"""Each kind of model as a graph in both formats: batches of any size, the model's own answers."""

import subprocess
import sys

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ranklight.lightning_modules import (
    MetricLearning,
    MultiLabelClassification,
    TwoHeadClassification,
)
from ranklight.losses import LSEPLoss, MultiSimilarityLoss
from ranklight.models import (
    Encoder,
    Examples,
    GeM,
    GlobalThreshold,
    LabelCount,
    LearnedThreshold,
    LowResolution,
    MaxPool,
    MultiScale,
    PerClassThreshold,
    SmallConvNet,
    TimmTrunk,
    TopK,
    TwoHeads,
)
from ranklight.pairs import Objective
from ranklight.serving.exported.formats import OnnxFormat, TorchFormat, program_of
from ranklight.serving.exported.network import ExportedNetwork

OBJECTIVE = Objective(MultiSimilarityLoss())
FORMATS = (TorchFormat(), OnnxFormat())
RULES = {
    "top": TopK(2),
    "threshold": GlobalThreshold(),
    "thresholds": PerClassThreshold(),
    "count": LabelCount(max_count=3, steps=20),
    "poisson": LabelCount(loss="poisson", inputs="both", steps=20),
    "learned": LearnedThreshold(steps=20),
}


def small_net():
    return SmallConvNet(width=8)


def metric_learning(encoder):
    return MetricLearning(encoder, OBJECTIVE, torch.optim.SGD).eval()


def two_heads(retrieve_by="embedding"):
    model = TwoHeads(small_net(), 3, (1, 16, 16), embedding_dim=4)
    return TwoHeadClassification(model, torch.optim.SGD, retrieve_by=retrieve_by).eval()


@torch.no_grad()
def multi_label(*rules):
    torch.manual_seed(1)
    encoder = Encoder(small_net(), None, MaxPool(), normalize=False)
    chosen = {name: RULES[name] for name in rules}
    module = MultiLabelClassification(
        encoder, LSEPLoss(), torch.optim.SGD, num_classes=6, decisions=chosen
    ).eval()
    scores, features = module.scores_and_features(pictures(64, seed=2))
    for rule in module.decisions.values():
        rule.fit(Examples(scores, features, (torch.rand(64, 6) < 0.4).float()))
    return module


def pictures(count, channels=1, side=16, seed=1):
    draw = torch.Generator().manual_seed(seed)
    shape = (count, channels, side, side)
    return torch.randint(256, shape, dtype=torch.uint8, generator=draw)


def graphs(network, folder, example):
    """The network, read from the files of both formats."""
    program = program_of(network, example)
    outputs = list(network(example))
    for kind in FORMATS:
        path = folder / kind.file
        kind.write(program, outputs, path)
        yield kind.open(path)


def same(said, expected, tolerance=1e-5):
    assert said.keys() == expected.keys()
    for name, values in expected.items():
        assert said[name].dtype == values.numpy().dtype
        np.testing.assert_allclose(said[name], values.numpy(), rtol=0, atol=tolerance, err_msg=name)


def multi_scale():
    deep, path = SmallConvNet(width=8, coordinates=True), LowResolution(2, 5, 2, 2, 4, 3, 3, 1)
    return MultiScale(deep, 32, [path], 1, 16, embedding_dim=8, dropout=0.5)


ENCODERS = {
    "multi_scale": (multi_scale, 1, 16),
    "timm": (lambda: Encoder(TimmTrunk("test_vit"), 8), 3, 160),
}


@pytest.mark.parametrize("name", ENCODERS)
def test_an_encoder_answers_alike_in_both_formats_for_any_number_of_pictures(name, tmp_path):
    build, channels, side = ENCODERS[name]
    module = metric_learning(build())
    shown = pictures(5, channels, side)
    with torch.no_grad():
        expected = module(shown)
    for graph in graphs(ExportedNetwork(module), tmp_path, shown):
        for count in (1, 2, 5):
            same(graph(shown[:count].numpy()), {"embeddings": expected[:count]})


def test_two_heads_give_probabilities_and_the_embedding_that_was_evaluated():
    module, shown = two_heads("pooled").requires_grad_(False), pictures(5)
    output = module.model(shown)
    scores = output.logits.softmax(1)
    for retrieve_by, vectors in (
        ("pooled", F.normalize(output.pooled)),
        ("embedding", output.embeddings),
    ):
        module.retrieve_by = retrieve_by
        said = program_of(ExportedNetwork(module), shown).module()(shown)
        same(
            {name: values.numpy() for name, values in said.items()},
            {"embeddings": vectors, "scores": scores},
        )


class EveryRule(nn.Module):
    """What each rule alone would put into its graph, in one, which takes a sixth of the time."""

    def __init__(self, module):
        super().__init__()
        self.networks = nn.ModuleDict({name: ExportedNetwork(module, name) for name in RULES})

    def forward(self, images):
        return {name: network(images)["decided"] for name, network in self.networks.items()}


def test_every_rule_decides_in_the_graph_as_in_the_run(tmp_path):
    module, shown = multi_label(*RULES), pictures(40)
    with torch.no_grad():
        scores, features = module.scores_and_features(shown)
        decided = {name: rule(scores, features) for name, rule in module.decisions.items()}
    for graph in graphs(EveryRule(module), tmp_path, shown):
        same(graph(shown.numpy()), decided)
    assert all(0 < said.float().mean() < 1 for said in decided.values())


def test_equal_scores_go_by_index_the_batch_has_a_name_and_no_file_tells_its_source(tmp_path):
    module = multi_label("top")
    for parameter in module.head.parameters():
        nn.init.zeros_(parameter)
    for graph in graphs(ExportedNetwork(module, "top"), tmp_path, pictures(3)):
        decided = graph(pictures(3).numpy())["decided"]
        assert decided.tolist() == [[True, True, False, False, False, False]] * 3
    graph = onnx.load(tmp_path / "model.onnx").graph
    values = (*graph.input, *graph.output)
    assert {value.type.tensor_type.shape.dim[0].dim_param for value in values} == {"batch"}
    for kind in FORMATS:
        assert b"top_k.py" not in (tmp_path / kind.file).read_bytes()


def test_the_module_stays_as_it_is():
    module = multi_label("threshold").train()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    ExportedNetwork(module, "threshold", half=True)
    assert module.training
    assert before.keys() == module.state_dict().keys()
    assert all(parameter.requires_grad for parameter in module.encoder.parameters())


def test_half_precision_is_near_and_answers_and_decides_in_whole(tmp_path):
    module, shown = multi_label("count"), pictures(40)
    whole, half = ExportedNetwork(module, "count"), ExportedNetwork(module, "count", half=True)
    assert {weight.dtype for weight in half.module.head.parameters()} == {torch.float16}
    assert half.module.decisions["count"].head.mean.dtype == torch.float32
    expected = whole(shown)
    for graph, kind in zip(graphs(half, tmp_path, shown), FORMATS, strict=True):
        said = graph(shown.numpy())
        assert said["embeddings"].dtype == said["scores"].dtype == np.float32
        for name in ("embeddings", "scores"):
            difference = np.abs(said[name] - expected[name].numpy()).max()
            assert 0 < difference < 2e-3 * expected[name].abs().max(), kind.file


def test_what_is_widened_on_the_way_does_not_hinder_half_precision():
    module = metric_learning(Encoder(small_net(), 4, GeM(), hidden=[8]))
    shown = pictures(5)
    expected = ExportedNetwork(module)(shown)["embeddings"]
    said = program_of(ExportedNetwork(module, half=True), shown).module()(shown)["embeddings"]
    assert 0 < (said - expected).abs().max() < 2e-3


def test_a_fresh_process_needs_torch_alone(tmp_path):
    module, shown = two_heads(), pictures(3)
    network = ExportedNetwork(module)
    TorchFormat().write(program_of(network, shown), [], tmp_path / "model.pt2")
    np.save(tmp_path / "shown.npy", shown.numpy())
    code = (
        "import sys, numpy, torch\n"
        f"network = torch.export.load('{tmp_path}/model.pt2').module()\n"
        f"said = network(torch.from_numpy(numpy.load('{tmp_path}/shown.npy')))\n"
        f"numpy.save('{tmp_path}/said.npy', said['embeddings'].numpy())\n"
        "assert 'ranklight' not in sys.modules"
    )
    subprocess.run([sys.executable, "-I", "-c", code], check=True, timeout=300, cwd=tmp_path)
    same(
        {"embeddings": np.load(tmp_path / "said.npy")}, {"embeddings": network(shown)["embeddings"]}
    )


class LooksAtValues(nn.Module):
    """An encoder that a graph cannot hold."""

    def forward(self, images):
        vectors = images.float().flatten(1)
        return vectors if vectors.sum() > 0 else -vectors


class OneSize(nn.Module):
    """An encoder of batches of three."""

    def forward(self, images):
        return images.float().reshape(3, -1)


@pytest.mark.parametrize("encoder", [LooksAtValues(), OneSize()])
def test_a_network_without_a_graph_is_refused_in_one_sentence(encoder):
    with pytest.raises(ValueError, match="no graph that takes batches of any size"):
        program_of(ExportedNetwork(metric_learning(encoder)), pictures(3))
