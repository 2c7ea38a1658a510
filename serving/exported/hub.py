"""A model on the Hugging Face hub: uploaded from an exported folder, downloaded to one."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from ranklight.files.writing import naming, replacing_folder
from ranklight.serving.exported.contract import CARD, read_contract
from ranklight.serving.exported.folder import check_free
from ranklight.serving.exported.model_card import card_of
from ranklight.serving.exported.packages import check_installed
from ranklight.serving.exported.trust import check_classes
from ranklight.serving.stored import CONFIGURATION, CONTRACT

_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_LICENCE = re.compile(r"[a-z0-9][a-z0-9.-]*")
_OURS = [CONTRACT, CONFIGURATION, CARD, "model.*"]


def check_repository(repository: str) -> None:
    """Refuse what is no name of a model on the hub, and an environment that cannot reach it.

    Raises:
        ImportError: huggingface_hub is not installed.
        ValueError: It is not OWNER/NAME.
    """
    check_installed("the hub", "hub", "huggingface_hub", "safetensors")
    if not _REPOSITORY.fullmatch(repository):
        raise ValueError(f"a model on the hub is named OWNER/NAME; got {repository}")


def check_licence(licence: str) -> None:
    """Refuse what the hub does not take for a licence.

    Raises:
        ValueError: It is not one of its short names.
    """
    if not _LICENCE.fullmatch(licence):
        raise ValueError(
            "--licence takes a short name as the hub has them, such as mit, apache-2.0, cc-by-4.0 "
            f"or other; got {licence!r}"
        )


def push(
    folder: Path, repository: str, licence: str, private: bool = False, overwrite: bool = False
) -> str:
    """Upload an exported folder, with a card that is written from it.

    Args:
        folder: With no other files than an export wrote.
        repository: OWNER/NAME, made where it is not there.
        licence: By the hub's name of it, such as mit.
        private: Whether only its owner sees it.
        overwrite: Replace the model that is there.

    Returns:
        Its address.

    Raises:
        FileExistsError: There is one, and it is not to be replaced.
        OSError: The hub refuses, or cannot be reached.
    """
    from huggingface_hub import HfApi

    (folder / CARD).write_text(card_of(read_contract(folder), repository, licence), "utf-8")
    hub = HfApi(library_name="ranklight")
    with _in_a_sentence(f"{repository} could not be pushed"):
        there = hub.repo_exists(repository)
    if there and not overwrite:
        raise FileExistsError(
            f"{repository} is on the hub already: give another name, or --overwrite to replace it"
        )
    with _in_a_sentence(f"{repository} could not be pushed"):
        made = hub.create_repo(repository, private=private, exist_ok=True)
        hub.upload_folder(
            repo_id=repository,
            folder_path=folder,
            commit_message="Pushed by ranklight",
            # Also what an earlier push left there, such as a graph in another format.
            delete_patterns=_OURS,
        )
    return str(made)


def pull(
    repository: str,
    output: Path,
    revision: str | None = None,
    overwrite: bool = False,
    trust: bool = False,
) -> None:
    """Download a model to a folder that `ranklight.load` takes, all or nothing.

    Args:
        repository: OWNER/NAME.
        output: The folder.
        revision: A branch, tag or commit; None: the newest.
        overwrite: Replace a folder that an export or a pull wrote.
        trust: Take a configuration that names classes of packages that we do not know.

    Raises:
        FileExistsError: There is something already.
        OSError: The hub refuses, or cannot be reached.
        ValueError: It was not pushed by ranklight, files are damaged, or it names such classes.
    """
    from huggingface_hub import HfApi

    check_free(output, overwrite)
    with replacing_folder(output) as folder:
        with _in_a_sentence(f"{repository} could not be pulled"):
            HfApi(library_name="ranklight").snapshot_download(
                repository, revision=revision, local_dir=folder, allow_patterns=_OURS
            )
        with naming(output):
            shutil.rmtree(folder / ".cache", ignore_errors=True)
        _check_pulled(repository, folder)
        if not trust:
            check_classes(yaml.safe_load((folder / CONFIGURATION).read_text("utf-8")), repository)


def _check_pulled(repository: str, folder: Path) -> None:
    try:
        read_contract(folder)
    except (ValueError, FileNotFoundError) as error:
        words = str(error).replace(str(folder), repository)
        raise ValueError(
            f"what was pulled is not what `ranklight push` uploads: {words}"
        ) from error


@contextmanager
def _in_a_sentence(what: str) -> Iterator[None]:
    """The hub's errors, which have no kind of their own and several lines, as one of ours."""
    try:
        yield
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ConnectionError(
            f"{what}: {reason}. Without access, `hf auth login` or HF_TOKEN gives it"
        ) from error
