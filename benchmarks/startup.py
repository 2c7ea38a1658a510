"""Seconds of CPU until a command has done what needs no training."""

import os
import subprocess
import sys

COMMANDS = (["--help"], ["--version"], ["compare", "--help"], ["recipes"])
SECONDS = 1.0
SECONDS_BEYOND_LIGHTNING = 1.5
REPEATS = 3


def main() -> bool:
    print("\n## Start-up: seconds of CPU\n\n| command | seconds | met |\n| --- | --- | --- |")
    for command in COMMANDS:
        _seconds("-m", "ranklight", *command)  # the disk's cache is warm
    met = [_row(" ".join(words), _least("-m", "ranklight", *words), SECONDS) for words in COMMANDS]
    beyond = _least("-m", "ranklight", "fit", "--help") - _least("-c", "import pytorch_lightning")
    name = "fit --help, beyond `import pytorch_lightning`"
    return all([*met, _row(name, beyond, SECONDS_BEYOND_LIGHTNING)])


def _row(name: str, seconds: float, at_most: float) -> bool:
    met = seconds <= at_most
    print(f"| {name} | {seconds:.2f} (≤ {at_most:g}) | {'yes' if met else '**no**'} |", flush=True)
    return met


def _least(*arguments: str) -> float:
    """The least of some: what else the machine does only adds."""
    return min(_seconds(*arguments) for _ in range(REPEATS))


def _seconds(*arguments: str) -> float:
    process = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"{' '.join(arguments)} ended with status {status}")
    return usage.ru_utime + usage.ru_stime
