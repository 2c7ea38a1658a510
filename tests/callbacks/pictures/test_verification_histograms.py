import numpy as np
import pytest

from ranklight.callbacks import VerificationEvaluation, VerificationHistograms
from tests.callbacks.pictures.worlds import ByGrey, Data, Greys, drawn, trainer

# one class is dark and one bright, but for one picture of each
DATA = Greys([10, 20, 30, 200, 220, 230, 240, 25], [0, 0, 0, 0, 1, 1, 1, 1])


def test_both_kinds_have_the_area_1_and_the_threshold_a_line(tmp_path):
    evaluation = VerificationEvaluation(bootstrap=0)
    run = trainer(tmp_path, evaluation, VerificationHistograms())
    pictures = drawn(run, "validate", ByGrey(), Data(DATA))
    assert list(pictures) == ["verification-val"]
    (axes,) = pictures["verification-val"].axes
    different, same = (patch.get_data() for patch in axes.patches)
    for values, edges, _ in (same, different):
        assert (values * np.diff(edges)).sum() == pytest.approx(1)
    alike = [a == b for i, a in enumerate(DATA.labels) for b in DATA.labels[:i]]
    greys = DATA.greys.double() / 255
    similarity = np.array(
        [1 - (greys[i] - b).square().item() / 2 for i in range(8) for b in greys[:i]]
    )
    expected, _ = np.histogram(similarity[np.array(alike)], same.edges, density=True)
    assert same.values == pytest.approx(expected)
    (line,) = axes.lines
    threshold = run.callback_metrics["val/threshold"].item()
    assert line.get_xdata() == pytest.approx([threshold] * 2)
    words = [text.get_text() for text in axes.get_legend().get_texts()]
    assert words[:2] == ["different: 16 pairs", "same: 12 pairs"]
    assert words[2].startswith("threshold 0.")


def test_a_test_without_a_threshold_has_no_line(tmp_path):
    run = trainer(tmp_path, VerificationEvaluation(bootstrap=0), VerificationHistograms())
    pictures = drawn(run, "test", ByGrey(), Data(DATA))
    assert not pictures["verification"].axes[0].lines


def test_it_needs_an_evaluation(tmp_path):
    run = trainer(tmp_path, VerificationHistograms())
    with pytest.raises(ValueError, match="VerificationHistograms needs VerificationEvaluation"):
        run.test(ByGrey(), datamodule=Data(DATA), verbose=False)
