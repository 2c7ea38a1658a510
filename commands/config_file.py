"""`-c FILE`: a file, or the name of a recipe that ships."""

from typing import Any

import yaml
from jsonargparse import ActionConfigFile  # type: ignore[attr-defined]

from ranklight.commands.old_names import check_names
from ranklight.commands.recipes import find_recipe


class ConfigFile(ActionConfigFile):
    """Finds a recipe from any folder, and refuses old class paths with their new names."""

    def __call__(self, parser: Any, cfg: Any, values: Any, option_string: Any = None) -> None:
        """Read one file."""
        try:
            file = find_recipe(values)
            check_names(yaml.safe_load(file.read_text(encoding="utf-8")), str(file))
        except yaml.YAMLError as error:
            parser.error(f"{file} is not YAML: {error}")
        except (OSError, ValueError) as error:
            parser.error(str(error))
        self.apply_config(parser, cfg, self.dest, str(file))
