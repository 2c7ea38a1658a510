"""Equations by blocks of rows, and derivatives by hand, against plain autograd."""

import pytest
import torch

from ranklight.kernels import chunks
from ranklight.kernels.rowwise import by_rows, in_row_blocks, with_derivative


def equation(similarity, weight):
    return (similarity * weight).exp().sum(1).log()


def equation_of_terms(similarity, weight, columns):
    there = columns >= 0
    table = similarity.unsqueeze(1) - similarity.gather(1, columns.clamp(min=0)).unsqueeze(2)
    return torch.where(there, (table * weight.unsqueeze(1)).sin().sum(2), 0).sum(1)


@pytest.fixture(params=[1, 20, 1 << 17])
def block_elements(request, monkeypatch):
    monkeypatch.setitem(chunks._BLOCK_ELEMENTS, "cpu", request.param)


@pytest.fixture
def inputs():
    torch.manual_seed(0)
    return torch.randn(5, 7, dtype=torch.float64), torch.randn(5, 7, dtype=torch.float64)


@pytest.mark.usefixtures("block_elements")
def test_an_equation_has_the_gradient_of_plain_autograd(inputs, value_and_gradient):
    similarity, weight = inputs
    found = value_and_gradient(lambda s: in_row_blocks(equation, s, weight), similarity)
    expected = value_and_gradient(lambda s: equation(s, weight), similarity)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.usefixtures("block_elements")
def test_a_sum_over_terms_has_the_gradient_of_plain_autograd(inputs, value_and_gradient):
    similarity, weight = inputs
    terms = torch.where(torch.rand(5, 4) < 0.7, torch.randint(7, (5, 4)), -1)
    found = value_and_gradient(
        lambda s: in_row_blocks(equation_of_terms, s, weight, terms=terms), similarity
    )
    expected = value_and_gradient(lambda s: equation_of_terms(s, weight, terms), similarity)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.usefixtures("block_elements")
def test_a_kernel_has_the_gradient_that_it_says_and_what_it_counts(inputs, value_and_gradient):
    def kernel(similarity, weight):
        return 2 * similarity * weight, (similarity.square() * weight).sum(1), (weight > 0).sum(1)

    similarity, weight = inputs
    cost, count = with_derivative(kernel, similarity, weight)
    found = value_and_gradient(lambda s: with_derivative(kernel, s, weight)[0], similarity)
    expected = value_and_gradient(lambda s: (s.square() * weight).sum(1), similarity)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(cost, expected[0])
    assert torch.equal(count, (weight > 0).sum(1))


@pytest.mark.usefixtures("block_elements")
def test_rows_of_a_function(inputs):
    similarity, weight = inputs
    assert torch.equal(by_rows(torch.lt, similarity, weight), similarity < weight)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("terms", [None, torch.zeros(5, 1, dtype=torch.int64)])
def test_compiled_as_one_graph_it_is_the_same(inputs, terms, value_and_gradient):
    similarity, weight = inputs
    of_blocks = equation if terms is None else equation_of_terms

    def cost(similarity):
        return in_row_blocks(of_blocks, similarity, weight, terms=terms)

    torch._dynamo.reset()
    compiled = torch.compile(cost, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(
        value_and_gradient(compiled, similarity), value_and_gradient(cost, similarity)
    )


def test_twice_is_refused(inputs):
    similarity, weight = inputs
    cost = in_row_blocks(equation, similarity.requires_grad_(), weight).sum()
    with pytest.raises(RuntimeError, match="differentiable once"):
        cost.backward(create_graph=True)
