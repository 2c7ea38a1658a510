"""Emoji of three vendors as data: python -m real_data.emoji data/npm/node_modules data/emoji.

The packages of package.json bring the pictures; they are copied as they are, drawings on
transparency of 64 or 256 pixels. Of them are made

    classes/<emoji>/<vendor>.*      retrieval: a class an emoji, an image a vendor
    vendors.csv                     the same images; in test one vendor's are queries, the others'
                                    the gallery
    parts/<vendor>/*, parts.csv     multi-label: what an emoji is put together of, such as
                                    woman|personal computer|skin-5
    LICENCES.txt
"""

import json
import sys
import unicodedata
from collections import Counter
from pathlib import Path
from typing import Any

from real_data.building import built_whole, copy, megabytes, split_of, write_table

LIST = "emoji-datasource-google/emoji.json"
VENDORS = {
    "google": "emoji-datasource-google/img/google/64/{}.png",
    "twitter": "emoji-datasource-twitter/img/twitter/64/{}.png",
    "fluent": "@lobehub/fluent-emoji-3d/assets/{}.webp",
}
QUERIES = "fluent"
IN_PARTS = ("google", "twitter")
JOINER, IN_COLOUR = "200d", "fe0f"
LEAST = 12
LICENCES = """\
The pictures are copied from npm packages without changes.

classes/*/google.png, parts/google: Noto Emoji, (c) Google LLC, Apache License 2.0,
    https://github.com/googlefonts/noto-emoji, from emoji-datasource-google 16.0.0
classes/*/twitter.png, parts/twitter: Twemoji, (c) Twitter, Inc and other contributors, CC BY 4.0,
    https://creativecommons.org/licenses/by/4.0/, https://github.com/jdecked/twemoji,
    from emoji-datasource-twitter 16.0.0
classes/*/fluent.webp: Fluent Emoji, (c) Microsoft Corporation, MIT,
    https://github.com/microsoft/fluentui-emoji, from @lobehub/fluent-emoji-3d 1.1.0
names and code points in the tables: emoji-data, (c) 2013 Cal Henderson, MIT,
    https://github.com/iamcal/emoji-data
"""


def main() -> None:
    """Build the folder that the command line names, of packages in another."""
    packages, root = map(Path, sys.argv[1:])
    if not (packages / LIST).is_file():
        sys.exit(f"{packages} has no {LIST}: `make real-data` fetches it by npm")
    emoji = json.loads((packages / LIST).read_text())
    with built_whole(root) as partial:
        said = [write_classes(emoji, packages, partial), write_parts(emoji, packages, partial)]
        (partial / "LICENCES.txt").write_text(LICENCES)
    print(f"{root}: {'; '.join(said)}; {megabytes(root)}")


def write_classes(emoji: list[dict[str, Any]], packages: Path, root: Path) -> str:
    """The folder of classes and the table of vendors; an emoji of one vendor is left out."""
    drawn = {each["short_name"]: pictures(packages, each["unified"].lower()) for each in emoji}
    rows = []
    for name, files in sorted(drawn.items()):
        if len(files) < 2:
            continue
        split = split_of(name, train=4)
        for vendor, file in files.items():
            image = f"classes/{name}/{vendor}{file.suffix}"
            copy(file, root / image)
            rows.append((image, split, name, _role(split, vendor), vendor))
    write_table(root / "vendors.csv", ("image", "split", "emoji", "role", "group"), rows)
    return f"{len(rows)} images of {len({row[2] for row in rows})} emoji"


def _role(split: str, vendor: str) -> str:
    if split == "train":
        return ""
    return "query" if vendor == QUERIES else "gallery"


def write_parts(emoji: list[dict[str, Any]], packages: Path, root: Path) -> str:
    """The table of parts and its pictures; a part of fewer than 12 emoji is no label."""
    parts = {code: made_of for code in _codes(emoji) if len(made_of := parts_of(code)) > 1}
    count = Counter(part for made_of in parts.values() for part in made_of)
    rows = []
    for code, made_of in sorted(parts.items()):
        labels = "|".join(part_name(part) for part in made_of if count[part] >= LEAST)
        files = pictures(packages, code)
        for vendor in files.keys() & set(IN_PARTS) if labels else ():
            image = f"parts/{vendor}/{files[vendor].name}"
            copy(files[vendor], root / image)
            rows.append((image, split_of(code, train=6), labels))
    write_table(root / "parts.csv", ("image", "split", "labels"), sorted(rows))
    kinds = sum(number >= LEAST for number in count.values())
    return f"{len(rows)} images with {kinds} labels"


def _codes(emoji: list[dict[str, Any]]) -> list[str]:
    """The code points of every emoji and its skin tones, but for flags: their parts are letters."""
    drawn = [each for each in emoji if each["category"] != "Flags"]
    forms = [form for each in drawn for form in (each, *each.get("skin_variations", {}).values())]
    return [form["unified"].lower() for form in forms]


def pictures(packages: Path, code: str) -> dict[str, Path]:
    """The file of each vendor that draws these code points."""
    found = {}
    for vendor, pattern in VENDORS.items():
        for name in (code.replace(f"-{IN_COLOUR}", ""), code):
            if (file := packages / pattern.format(name)).is_file():
                found[vendor] = file
    return found


def parts_of(code: str) -> list[str]:
    """The code points that are drawn, each once."""
    return sorted(set(code.split("-")) - {JOINER, IN_COLOUR})


def part_name(part: str) -> str:
    """What Unicode calls a code point; the five skin tones in short."""
    name = unicodedata.name(chr(int(part, 16))).lower()
    return name.replace("emoji modifier fitzpatrick type", "skin")


if __name__ == "__main__":
    main()
