"""Whether a space fits its YAML is asked before anything is trained."""

from collections.abc import Sequence

from ranklight.studies.search_space import Arm
from ranklight.studies.single_runs import Runs, last_words


def check_arms(arms: Sequence[Arm], runs: Runs, folds: int) -> None:
    """Let `fit` read the configuration of every arm: at both ends of ranges, and of each choice.

    Args:
        arms: To check.
        runs: How runs are made.
        folds: Of a trial.

    Raises:
        ValueError: A key is not one of the YAML's classes, or a value cannot be; says which.
    """
    fold = [f"--data.init_args.fold=[0,{folds}]"] if folds > 1 else []
    for arm in arms:
        probes = [(key, of.probes()) for key, of in arm.ranges.items()]
        for turn in range(max((len(values) for _, values in probes), default=1)):
            drawn = {key: values[min(turn, len(values) - 1)] for key, values in probes}
            words = runs.words(arm.configs, {**arm.values, **drawn})
            said = _refusal(runs, arm.name, [*words, *fold])
            if said and fold and not _refusal(runs, arm.name, words):
                raise ValueError(
                    f"--folds {folds} needs a data module with the key fold: give --folds 1, for "
                    f"its own validation split ({said})"
                )
            if said:
                raise ValueError(f"the arm {arm.name} cannot be built: {said}")


def _refusal(runs: Runs, arm: str, words: Sequence[str]) -> str | None:
    log = runs.directory / "logs" / f"check-{arm}.txt"
    log.unlink(missing_ok=True)
    ended = runs.command_line(["fit", *words, "--print_config"], log)
    return last_words(log) if ended else None
