"""Clusters and their agreement with classes, against scikit-learn."""

import statistics

import pytest
import torch
from sklearn import metrics as peer
from sklearn.cluster import KMeans

from ranklight.metrics import (
    adjusted_mutual_information,
    evaluate_clustering,
    kmeans,
    kmeans_plusplus,
    normalized_mutual_information,
)
from ranklight.search import Embedded


def blobs(classes, each, spread, d=16):
    generator = torch.Generator().manual_seed(classes)
    centers = torch.nn.functional.normalize(torch.randn(classes, d, generator=generator), dim=1)
    labels = torch.arange(classes).repeat_interleave(each)
    noise = torch.randn(len(labels), d, generator=generator) / d**0.5
    return centers[labels] + spread * noise, labels


@pytest.mark.parametrize(
    ("n", "classes", "clusters"),
    [(1, 1, 1), (10, 1, 3), (10, 10, 10), (50, 4, 7), (200, 3, 150), (300, 20, 20)],
)
def test_information_agrees_with_scikit_learn(n, classes, clusters):
    generator = torch.Generator().manual_seed(n)
    labels = torch.randint(0, classes, (n,), generator=generator) + 2**24
    other = torch.randint(0, clusters, (n,), generator=generator)
    for assignments in (other, labels, labels + (other == 0), torch.zeros_like(other)):
        nmi = peer.normalized_mutual_info_score(labels, assignments)
        ami = peer.adjusted_mutual_info_score(labels, assignments)
        assert normalized_mutual_information(labels, assignments) == pytest.approx(nmi, abs=1e-9)
        assert adjusted_mutual_information(labels, assignments) == pytest.approx(ami, abs=1e-8)


def test_very_uneven_classes():
    labels = torch.cat([torch.zeros(900), torch.arange(1, 101)]).long()
    assignments = torch.arange(1000) % 30
    nmi = peer.normalized_mutual_info_score(labels, assignments)
    ami = peer.adjusted_mutual_info_score(labels, assignments)
    assert normalized_mutual_information(labels, assignments) == pytest.approx(nmi, abs=1e-9)
    assert adjusted_mutual_information(labels, assignments) == pytest.approx(ami, abs=1e-8)


@pytest.mark.parametrize(("classes", "each", "spread"), [(20, 30, 1.0), (200, 5, 0.8)])
def test_clusters_are_as_good_as_scikit_learns(classes, each, spread):
    embeddings, _ = blobs(classes, each, spread)
    theirs = [
        KMeans(classes, n_init=1, random_state=seed).fit(embeddings.numpy()).inertia_
        for seed in range(8)
    ]
    ours = [kmeans(embeddings, classes, seed).inertia for seed in range(8)]
    assert statistics.mean(ours) <= 1.02 * statistics.mean(theirs)


def test_the_sum_of_squares_is_that_of_the_assignments():
    embeddings, _ = blobs(8, 20, 1.0)
    clusters = kmeans(embeddings + 1000, 8)
    total = 0.0
    for cluster in clusters.assignments.unique():
        rows = embeddings[clusters.assignments == cluster].double()
        total += (rows - rows.mean(0)).square().sum().item()
    assert clusters.inertia == pytest.approx(total, rel=1e-4)


def test_the_seed_decides_and_restarts_do_not_hurt():
    rows = Embedded(*blobs(30, 8, 1.2))
    once, again = evaluate_clustering(rows), evaluate_clustering(rows)
    assert once == again
    more = evaluate_clustering(rows, restarts=4)
    assert more["inertia"] <= once["inertia"]


def test_well_separated_classes_are_found():
    embeddings, labels = blobs(40, 6, 0.05)
    scores = evaluate_clustering(Embedded(embeddings, labels + 2**24))
    assert scores["nmi"] == pytest.approx(1)
    assert scores["ami"] == pytest.approx(1)


def test_the_greedy_start_covers_separated_classes():
    embeddings, labels = blobs(64, 5, 0.01)
    rows = kmeans_plusplus(embeddings, 64, torch.Generator().manual_seed(0))
    assert len(labels[rows].unique()) == 64


def test_fewer_distinct_rows_than_clusters():
    clusters = kmeans(torch.ones(12, 3), 4)
    assert clusters.inertia == pytest.approx(0, abs=1e-9)
    assert kmeans(torch.randn(5, 3), 5).inertia == pytest.approx(0, abs=1e-6)


def test_says_what_is_wrong():
    with pytest.raises(ValueError, match="3 embeddings cannot form 4 clusters"):
        kmeans(torch.randn(3, 2), 4)
    with pytest.raises(ValueError, match="at least one start"):
        kmeans(torch.randn(3, 2), 2, restarts=0)
    with pytest.raises(ValueError, match="1 of 3 embeddings"):
        kmeans(torch.tensor([[0.0], [torch.nan], [1.0]]), 2)
    for spread in (1e19, 1e30):
        with pytest.raises(ValueError, match="scale them down"):
            kmeans(torch.randn(50, 4, generator=torch.Generator().manual_seed(0)) * spread, 3)
    with pytest.raises(ValueError, match="none were given"):
        normalized_mutual_information(torch.zeros(0).long(), torch.zeros(0).long())
