"""An objective on prefixes of the embedding, so that each can be used for itself."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn

from ranklight.kernels.checks import check_counts, check_vectors
from ranklight.kernels.eager import without_autocast
from ranklight.kernels.masked import at_least_float32
from ranklight.pairs.objective import Objective, ObjectiveOutput
from ranklight.pairs.references import References


def prefix_of(
    embeddings: Float[Tensor, "n d"], size: int, normalize: bool = True
) -> Float[Tensor, "n k"]:
    """The first numbers of each embedding, by default as vectors of length 1 again.

    Raises:
        TypeError: Embeddings are no tensor of floats.
        ValueError: They are shorter.

    Example:
        >>> prefix_of(torch.tensor([[3.0, 4.0, 12.0]]), 2)
        tensor([[0.6000, 0.8000]])
    """
    check_vectors(embeddings=embeddings)
    if size > embeddings.shape[1]:
        raise ValueError(
            f"a prefix of {size} needs embeddings of as many dimensions; got {embeddings.shape[1]}"
        )
    prefix = embeddings[:, :size]
    return _of_length_1(prefix) if normalize else prefix


def _of_length_1(vectors: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    with without_autocast(vectors):
        wide = at_least_float32(vectors)
        # Whatever its scale, a vector's direction is the same; squares of large numbers overflow.
        largest = wide.detach().abs().amax(1, keepdim=True)
        return F.normalize(wide / torch.where(largest > 0, largest, 1))


class Matryoshka(nn.Module):
    """Σ_k w_k L(z[:, :k]) over prefixes of the embedding, against the same prefixes of references.

    The first k numbers of an embedding then rank by themselves: one index, cut to what a search can
    afford. It stands around the objective and not in a loss, for a loss sees similarities, of which
    a prefix has its own. References are found once, so that a memory and class centers hold whole
    vectors. Elsewhere: MatryoshkaLoss.

    Kusupati et al.: Matryoshka Representation Learning, NeurIPS 2022, arXiv 2205.13147, w_k = 1 as
    theirs; they halve the size down to 8. `RetrievalEvaluation` scores each prefix as it is
    trained, `val/d64/recall@1`; to use one, cut embeddings by `prefix_of`.

    Args:
        objective: What each prefix is trained for.
        prefixes: Sizes k; the whole is one of them, if it shall be trained, too.
        weights: w_k, one a prefix. None: 1.
        normalize: Make each prefix a unit vector, as losses of angles want them. False leaves them
            as they are.

    Raises:
        ValueError: There are no prefixes, sizes come twice, there is not one weight a prefix, or an
            embedding is shorter than a prefix.

    Example:
        >>> from ranklight.losses import ContrastiveLoss
        >>> objective = Matryoshka(Objective(ContrastiveLoss()), prefixes=[1, 2])
        >>> embeddings = torch.tensor([[0.6, 0.8], [0.6, -0.8]])
        >>> objective(embeddings, torch.tensor([0, 0]))  # 1 − 1, and 1 − (0.36 − 0.64)
        tensor(1.2800)
    """

    def __init__(
        self,
        objective: Objective,
        prefixes: Sequence[int],
        weights: Sequence[float] | None = None,
        normalize: bool = True,
    ) -> None:
        super().__init__()
        if not prefixes or len(set(prefixes)) < len(prefixes):
            raise ValueError(f"prefixes must be one size or more, all different; got {prefixes}")
        check_counts(**{f"prefixes[{place}]": size for place, size in enumerate(prefixes)})
        weights = [1.0] * len(prefixes) if weights is None else weights
        if len(weights) != len(prefixes):
            raise ValueError(f"{len(prefixes)} prefixes need as many weights, got {len(weights)}")
        self.objective = objective
        self.prefixes = tuple(prefixes)
        self.weights = tuple(weights)
        self.normalize = normalize

    def forward(
        self,
        embeddings: Float[Tensor, "n d"],
        labels: Shaped[Tensor, "n ..."] | None = None,
        index: Int[Tensor, " n"] | None = None,
        **given: Tensor | None,
    ) -> Float[Tensor, ""]:
        """The loss of a batch; what is given is what the objective takes."""
        return self.evaluate(embeddings, labels, index, **given).loss

    def evaluate(
        self,
        embeddings: Float[Tensor, "n d"],
        labels: Shaped[Tensor, "n ..."] | None = None,
        index: Int[Tensor, " n"] | None = None,
        **given: Tensor | None,
    ) -> ObjectiveOutput:
        """The loss of a batch, and its terms, named after their sizes."""
        found = self.objective.find(embeddings, labels, index, **given)
        alone = found._replace(penalty=None)
        terms = {
            str(size): self.objective.against(*self._cut(alone, embeddings, size), labels)
            for size in self.prefixes
        }
        losses = [w * term.loss for w, term in zip(self.weights, terms.values(), strict=True)]
        if found.penalty is not None:
            losses.append(found.penalty)
        return ObjectiveOutput(torch.stack(losses).sum(), terms=terms)

    def cut(self, embeddings: Float[Tensor, "n d"], size: int) -> Float[Tensor, "n k"]:
        """A prefix of embeddings as it is trained.

        Raises:
            ValueError: Embeddings are shorter.
        """
        return prefix_of(embeddings, size, self.normalize)

    def check_labels(self, labels: Tensor) -> None:
        """Refuse labels that the objective does not take, before they leave the CPU."""
        self.objective.check_labels(labels)

    def _cut(self, found: References, embeddings: Tensor, size: int) -> tuple[References, Tensor]:
        # References that are the anchors stay so, which halves the work on similarities.
        anchors = self.cut(embeddings, size)
        themselves = found.embeddings is embeddings
        references = anchors if themselves else self.cut(found.embeddings, size)
        memory = found.memory
        if memory is not None:
            memory = memory._replace(embeddings=self.cut(memory.embeddings, size))
        return found._replace(embeddings=references, memory=memory), anchors
