"""`ranklight study`: settings are searched with equal budgets, then tested once on fresh seeds."""

import signal
import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from ranklight.commands.recipes import find_recipe
from ranklight.commands.run_apart import run_apart
from ranklight.studies.check_space import check_arms
from ranklight.studies.ledger import Ledger
from ranklight.studies.search_space import RESERVED, Arm, read_space
from ranklight.studies.single_runs import Runs
from ranklight.studies.terms import agree, content_hash

_ABOUT = """Search settings with equal budgets, then test the chosen ones once, on fresh seeds.

Every arm of the space has as many trials. A trial is a setting, trained once for each fold of all
that is not for test; the best mean over the folds is chosen. Then each arm's choice is trained
with fresh seeds on the data's own training split, and one step tests all of these runs: the file
ledger.jsonl says when the test part was opened, and it is opened once.

Killed, it goes on by the same command, also in the middle of a run. Several processes on a shared
directory, such as a SLURM array of this command, share out the work.

What is not listed here is given to each run: --data.init_args.root DATA --trainer.devices 2 ..."""
_HELP = {
    "--config": "YAML of the base, as for fit; the later wins",
    "--space": "YAML of arms and ranges: docs/study.md",
    "--study": "name of the study (default: that of the space's file)",
    "--runs": "directory of all runs (default: runs)",
    "--trials": "settings that each arm tries (default: 50)",
    "--folds": "parts of all that is not for test, each once for validation; whole classes where "
    "the data holds out classes; 1: the data's own validation split (default: 4)",
    "--seeds": "fresh seeds of what was chosen, which are tested (default: 10)",
    "--metric": "score of validation that chooses settings and checkpoints (default: val/map@r)",
    "--mode": "whether its largest value is best, or its smallest (default: max)",
    "--test_metrics": "scores of the table (default: that of --metric, in test)",
    "--sampler": "tpe learns from the trials before, random does not (default: tpe)",
    "--sampler_seed": "another one tries other settings (default: 0)",
    "--no_prune": "train every trial on all folds, also one whose mean so far is below the median "
    "of the others; more work, and the curve over trials is exact then",
}


def main(arguments: Sequence[str]) -> None:
    """Run a study, or go on with it."""
    options, more = study_parser().parse_known_args(arguments)
    _check(options, more)
    signal.signal(signal.SIGTERM, _end)
    study(options, more)


def study_parser() -> ArgumentParser:
    """The options of `ranklight study`."""
    parser = ArgumentParser(
        "ranklight study",
        description=_ABOUT,
        formatter_class=RawDescriptionHelpFormatter,
        usage="ranklight study -c BASE.yaml --space SPACE.yaml [options] [--key value ...]",
        allow_abbrev=False,
    )

    def add(name: str, *other: str, **how: Any) -> None:
        parser.add_argument(*other, name, help=_HELP[name], **how)

    add("--config", "-c", action="append", required=True, metavar="FILE")
    add("--space", required=True, metavar="FILE")
    add("--study", metavar="NAME")
    add("--runs", default="runs", metavar="FOLDER")
    add("--trials", type=int, default=50)
    add("--folds", type=int, default=4)
    add("--seeds", type=int, default=10)
    add("--metric", default="val/map@r")
    add("--mode", choices=("max", "min"), default="max")
    add("--test_metrics", nargs="+", metavar="METRIC")
    add("--sampler", choices=("tpe", "random"), default="tpe")
    add("--sampler_seed", type=int, default=0)
    add("--no_prune", action="store_true")
    return parser


def study(options: Namespace, more: Sequence[str]) -> None:
    """Search, choose, fit fresh seeds, test once, and print the table.

    Args:
        options: Of `study_parser`.
        more: Words of every run.
    """
    files = [find_recipe(config) for config in options.config]
    arms = [
        arm._replace(configs=tuple(str(find_recipe(config)) for config in arm.configs))
        for arm in read_space(Path(options.space))
    ]
    directory = Path(options.runs) / "studies" / (options.study or Path(options.space).stem)
    base = [word for file in files for word in ("-c", str(file))]
    runs = Runs(directory, (*base, *more), options.metric, options.mode, run_apart)
    if not (directory / "study.json").exists():
        check_arms(arms, runs, options.folds)
    ledger = Ledger(directory / "ledger.jsonl")
    agree(directory, _terms(options, more, files, arms), ledger)
    _search_and_test(options, arms, runs, ledger)


def _search_and_test(options: Namespace, arms: list[Arm], runs: Runs, ledger: Ledger) -> None:
    # Here, since --help needs neither Optuna nor what it imports.
    from ranklight.plain_console import plain_console
    from ranklight.studies.final_runs import FinalRuns
    from ranklight.studies.study_report import results, write_search
    from ranklight.studies.trials import Search

    how = options.sampler, options.sampler_seed, not options.no_prune
    search = Search(runs, arms, options.trials, options.folds, *how)
    _watch("search", len(arms) * options.trials, search.run())
    write_search(search)
    seeds = range(1, options.seeds + 1)
    final = FinalRuns(runs, arms, search.choose(ledger), seeds, ledger)
    _watch("fresh seeds", len(arms) * len(seeds), final.fit())
    _watch("test", len(arms) * len(seeds), final.test())
    metrics = options.test_metrics or [options.metric.replace("val/", "test/", 1)]
    plain_console().print(results(search, final.scores(), metrics))
    print(f"all of it: {runs.directory}")


def _watch(stage: str, total: int, ended: Iterable[tuple[Arm, int]]) -> None:
    """Do a stage under a bar; where there is no terminal, a line for what ends."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()
    with Progress(*columns, disable=not sys.stdout.isatty()) as progress:
        task = progress.add_task(stage, total=total)
        for arm, number in ended:
            said = f"{stage}: {arm.name} {number} ended"
            progress.update(task, advance=1, description=said)
            if progress.disable:
                print(said, flush=True)


def _check(options: Namespace, more: Sequence[str]) -> None:
    try:
        import optuna  # noqa: F401
    except ImportError as error:
        raise ImportError("study needs Optuna: pip install 'ranklight[study]'") from error
    for name in ("trials", "folds", "seeds"):
        if getattr(options, name) < 1:
            raise ValueError(f"--{name} must be 1 or more; got {getattr(options, name)}")
    if not options.metric.startswith("val/") or options.metric == "val/":
        raise ValueError(f"--metric must be a score of validation, val/...; got {options.metric}")
    name = options.study
    if name is not None and (name in ("", ".", "..") or Path(name).name != name):
        raise ValueError(f"--study needs the name of one directory; got {name!r}")
    if Path(options.runs).exists() and not Path(options.runs).is_dir():
        raise FileExistsError(f"--runs {options.runs} is a file: name a folder")
    for word in more:
        key = word.removeprefix("--").split("=")[0]
        if word.startswith("--") and key in RESERVED:
            raise ValueError(f"--{key} is set by the study itself: leave it out")


def _terms(
    options: Namespace, more: Sequence[str], files: Sequence[Path], arms: Sequence[Arm]
) -> dict[str, Any]:
    """What all commands of one study must have in common."""
    configs = [*files, *(Path(config) for arm in arms for config in arm.configs)]
    kept = ("trials", "folds", "seeds", "metric", "mode", "sampler", "sampler_seed", "no_prune")
    return {
        "base": options.config,
        "options": list(more),
        **{name: getattr(options, name) for name in kept},
        "arms": [arm.name for arm in arms],
        "space": content_hash(Path(options.space)),
        "contents of the YAML files": content_hash(*configs),
    }


def _end(number: int, frame: FrameType | None) -> NoReturn:
    """So that the run that goes on saves, and ends as well."""
    sys.exit(128 + number)
