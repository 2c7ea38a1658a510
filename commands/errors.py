"""Which errors a user can mend, and how each kind ends a command.

The rule, in the order in which it is asked:

1. Ctrl-C ends with code 130, and says nothing more.
2. **A user's**: what our code refuses (ValueError, TypeError, ImportError, FloatingPointError that
   is raised in a file of this package), what files, disks and networks refuse (OSError), and what
   Lightning refuses of a configuration (MisconfigurationException, a ValueError in a file of its
   own, and what its early stopping says of a score that nothing logs), wherever they are raised: in
   a constructor, in `setup`, in a worker process, on another rank. Before the first batch also what
   the constructors of others refuse, for all they know is the configuration.
   One sentence on stderr, code 2. `--debug true` shows the traceback as well.
3. **The program's**: everything else, RuntimeError and AssertionError of torch and of ours
   included. The traceback stays, and a line asks for a report.

Of an error that was raised from others, the sentence is ours if one of them is: what our code says
when it catches (`raise ... from`) counts, not what it caught; of what others wrapped, the first.
"""

import os
import re
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple, NoReturn

_PACKAGE = Path(__file__).resolve().parents[1]
_ROOMS = {file.parent.name for file in _PACKAGE.glob("*/__init__.py")}
_OURS = _ROOMS | {file.name for file in _PACKAGE.glob("*.py")}
_OF_CONFIGURATION = ("ValueError", "TypeError", "ImportError", "ModuleNotFoundError")
_OF_OURS = (*_OF_CONFIGURATION, "OSError", "FloatingPointError")
_FROM_WORKER = re.compile(r"^Caught \w+ in .*\nOriginal Traceback", re.DOTALL)
_FRAME = re.compile(r'^ *File "(?P<file>[^"]+)", line \d+', re.MULTILINE)
_LAST_LINES = re.compile(r"^(?P<kind>[A-Za-z_][\w.]*): (?P<words>(?:.|\n)*)\Z", re.MULTILINE)
_TRACEBACK = "Traceback (most recent call last)"


class Command:
    """What is known of a command when it fails.

    Args:
        name: The verb.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.debug = False
        self.building = True
        self.run: Path | None = None


class _Raised(NamedTuple):
    kinds: list[str]
    file: Path | None
    words: str


@contextmanager
def one_sentence(command: Command) -> Iterator[None]:
    """End the process as the rule has it when what is within raises."""
    try:
        yield
    except SystemExit as ended:
        if isinstance(ended.__context__, KeyboardInterrupt):
            sys.exit(130)
        raise
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        _end(error, command)


def sentence_of(error: BaseException, building: bool = False) -> str | None:
    """What a user is told of an error that he can mend; None for an error of the program.

    Args:
        error: What was raised.
        building: Whether it was raised before anything ran, by what the configuration names.
    """
    chain = [error]
    while (cause := chain[-1].__cause__) is not None and cause not in chain:
        chain.append(cause)
    raised = [_look_at(link) for link in chain]
    for one in raised:
        if _is_ours(one.file) and _named(one, _OF_OURS):
            return one.words
    first = raised[-1] if building else raised[0]
    of_early_stopping = first.file is not None and first.file.name == "early_stopping.py"
    of_lightning = first.file is not None and "pytorch_lightning" in first.file.parts
    if of_early_stopping or (of_lightning and _named(first, ("ValueError",))):
        return first.words
    if _named(first, ("OSError", "MisconfigurationException")):
        return first.words
    if building and _named(first, (*_OF_CONFIGURATION, "ZeroDivisionError")):
        return first.words
    return None


def refuse(sentence: str, command: str) -> NoReturn:
    """End a command with one sentence and code 2."""
    print(f"ranklight {command}: error: {sentence}", file=sys.stderr, flush=True)
    sys.exit(2)


def _end(error: Exception, command: Command) -> NoReturn:
    sentence = sentence_of(error, command.building)
    if command.debug:
        traceback.print_exc()
    if sentence is not None:
        sentence = re.sub(r"\s*\n\s*", " ", sentence.strip()) or type(error).__name__
        if _is_first_to_say(sentence, command.run):
            refuse(sentence, command.name)
        sys.exit(2)
    if _another_rank_said(command.run):
        sys.exit(2)
    if not command.debug:
        traceback.print_exc()
    record = f" and {command.run / 'run.json'}" if command.run is not None else ""
    print(
        f"ranklight {command.name}: this is an error of the program, not of your configuration. "
        f"Please report it, with the lines above{record}",
        file=sys.stderr,
        flush=True,
    )
    sys.exit(1)


def _look_at(error: BaseException) -> _Raised:
    words = str(error)
    if _FROM_WORKER.match(words):
        told = words[words.rindex(_TRACEBACK) :]
        frames, last = _FRAME.findall(told), _LAST_LINES.search(told)
        kind, words = (last["kind"], last["words"]) if last else (type(error).__name__, words)
        kinds = [kind.rpartition(".")[2], *(base.__name__ for base in type(error).__mro__)]
        return _Raised(kinds, Path(frames[-1]) if frames else None, words)
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    file = Path(frame.tb_frame.f_code.co_filename) if frame is not None else None
    return _Raised([base.__name__ for base in type(error).__mro__], file, words)


def _is_ours(file: Path | None) -> bool:
    if file is None or not file.resolve().is_relative_to(_PACKAGE):
        return False
    return file.resolve().relative_to(_PACKAGE).parts[0] in _OURS


def _named(raised: _Raised, kinds: tuple[str, ...]) -> bool:
    return any(kind in kinds for kind in raised.kinds)


def _is_first_to_say(sentence: str, run: Path | None) -> bool:
    """Of several ranks one says it: the first, wherever a file can tell who that is."""
    if not _are_several():
        return True
    if run is None or not run.is_dir():
        return os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0")) == "0"
    try:
        (run / f".said-{sha256(sentence.encode()).hexdigest()[:8]}").touch(exist_ok=False)
    except FileExistsError:
        return False
    except OSError:
        return True
    return True


def _another_rank_said(run: Path | None) -> bool:
    """Whether this rank fails because another did, which may be just about to say why."""
    if not _are_several() or run is None:
        return False
    for _ in range(20):
        if any(run.glob(".said-*")):
            return True
        time.sleep(0.1)
    return False


def _are_several() -> bool:
    tasks = os.environ.get("WORLD_SIZE", os.environ.get("SLURM_NTASKS", "1"))
    return int(tasks) > 1
