"""What papers claim, and what came out here."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import yaml

from ranklight.files.text import read_text_file

STATES = ("holds", "does not hold", "undecided", "needs data that is not here")


class Claim(NamedTuple):
    """One claim of a paper.

    Args:
        id: A letter of its paper and a number.
        claim: In one sentence.
        experiment: Where it was tried, from experiments/ on; "" for nowhere.
        state: One of `STATES`.
        because: What came out, or what is missing.
        numbers: Each in words, FOLDER ROW METRIC or FOLDER ROW METRIC BASE, of the runs that are
            committed in a folder.
        command: What makes it; "" where nothing here does.
    """

    id: str
    claim: str
    state: str
    because: str
    experiment: str = ""
    numbers: Sequence[str] = ()
    command: str = ""


def read_claims(path: Path) -> dict[str, list[Claim]]:
    """The claims by paper, from a YAML file.

    Raises:
        ValueError: It is no mapping from papers to claims, a state is not known, or an id is there
            twice; names the claim.
    """
    text = read_text_file(path, "file of claims")
    try:
        given = yaml.safe_load(text)
        papers = {str(paper): [Claim(**claim) for claim in of] for paper, of in given.items()}
    except (yaml.YAMLError, AttributeError, TypeError) as error:
        raise ValueError(f"{path} must map papers to lists of claims ({error})") from error
    claims = [claim for of in papers.values() for claim in of]
    for claim in claims:
        if claim.state not in STATES:
            raise ValueError(f"{path}: {claim.id} is {claim.state!r}, not {', '.join(STATES)}")
        if [other.id for other in claims].count(claim.id) > 1:
            raise ValueError(f"{path}: {claim.id} is there twice; give each claim its own id")
    return papers


def claims_lines(
    papers: Mapping[str, Sequence[Claim]], number: Callable[[str], str]
) -> Iterator[str]:
    """How many claims are in each state, and for each paper its claims and what decides them.

    Args:
        papers: From `read_claims`.
        number: From the words of one of a claim's `numbers` to what they stand for.
    """
    states = [claim.state for of in papers.values() for claim in of]
    counts = ", ".join(f"{states.count(state)} {state}" for state in STATES)
    yield f"{len(states)} claims: {counts}."
    for paper, claims in papers.items():
        yield from ("", f"## {paper}", "", "| | claim | state | what came out, or is missing |")
        yield "| --- | --- | --- | --- |"
        for claim in claims:
            counted = f" {'; '.join(map(number, claim.numbers))}." if claim.numbers else ""
            where = f" In `experiments/{claim.experiment}`." if claim.experiment else ""
            came = f"{claim.because}{counted}{where}"
            yield f"| {claim.id} | {claim.claim} | {claim.state} | {came} |"
        commands = dict.fromkeys(claim.command for claim in claims if claim.command)
        yield from [""] if commands else []
        for command in commands:
            ids = ", ".join(claim.id for claim in claims if claim.command == command)
            yield f"- {ids}: `{command}`"
