"""`-c FILE`: a file, or the name of a recipe that ships."""

from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ActionConfigFile  # type: ignore[attr-defined]

from ranklight.commands.old_names import check_names
from ranklight.commands.recipes import find_recipe
from ranklight.running.run_directory import run_of_config
from ranklight.running.save_config import without_what_belongs_to_one_command


class ConfigFile(ActionConfigFile):
    """Finds a recipe from any folder, and refuses old class paths with their new names.

    Of the config.yaml of a run it takes what configures a run, not what belonged to the command
    that wrote it: its checkpoint, its name, its questions.
    """

    def __call__(self, parser: Any, cfg: Any, values: Any, option_string: Any = None) -> None:
        """Read one file."""
        try:
            file = find_recipe(values)
            content = yaml.safe_load(file.read_text(encoding="utf-8"))
            check_names(content, str(file))
        except yaml.YAMLError as error:
            parser.error(f"{file} is not YAML: {' '.join(str(error).split())}")
        except UnicodeDecodeError as error:
            parser.error(f"{file} is not YAML in UTF-8: {error}")
        except (OSError, ValueError) as error:
            parser.error(str(error))
        if not isinstance(content, dict):
            parser.error(f"{file} must hold keys and their values, got {content!r:.40}")
        if run_of_config(file) is None:
            self.apply_config(parser, cfg, self.dest, str(file))
            return
        kept = without_what_belongs_to_one_command(content)
        self.apply_config(parser, cfg, self.dest, yaml.safe_dump(kept, sort_keys=False))
        # In place of the text: it names the run, and the experiment.
        cfg[self.dest][-1] = Path(file)
