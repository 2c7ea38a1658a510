from pathlib import Path

import pytest

from ranklight.running.experiment_name import experiment_name

BASE = "experiments/lsep/digit_scenes.yaml"
VARIANT = "experiments/lsep/digit_scenes/bce.yaml"
TRAINER = "experiments/trainer/gpus.yaml"


@pytest.mark.parametrize(
    ("files", "name"),
    [
        ([BASE], "lsep/digit_scenes"),
        ([BASE, VARIANT], "lsep/digit_scenes/bce"),
        ([BASE, VARIANT, TRAINER], "lsep/digit_scenes/bce"),
        ([TRAINER, BASE], "lsep/digit_scenes"),
        ([BASE, "experiments/mine.yaml"], "mine"),
        ([BASE, "elsewhere/mine.yaml"], "mine"),
        (["elsewhere/trainer/mine.yaml"], "mine"),
        (["/experiments/of/me/ranklight/experiments/lsep/voc2007.yaml"], "lsep/voc2007"),
        (["/somewhere/experiments/trainer/gpus.yaml", f"../{BASE}"], "lsep/digit_scenes"),
        ([TRAINER], "unnamed"),
        ([], "unnamed"),
    ],
)
def test_the_last_file_that_is_not_a_trainers_names_the_run(files, name):
    assert experiment_name([Path(file) for file in files]) == name
