"""One page with everything in it: no script, nothing from elsewhere."""

from collections.abc import Iterable, Mapping, Sequence
from string import Template
from typing import NamedTuple

from ranklight.serving.report.markup import Html, element, html, joined

Rows = Sequence[Sequence[object]]
MARK = '<meta name="generator" content="ranklight report">'
"""By which a page is known as one of ours."""


class Section(NamedTuple):
    """A part of the page.

    Attributes:
        name: Of the place in the page.
        title: Its heading.
        body: What stands below.
        lists: The whole of what is shown in part, by the name of a CSV file: its header and rows.
    """

    name: str
    title: str
    body: Html
    lists: Mapping[str, tuple[Sequence[str], Rows]] = {}


def page(title: str, sections: Iterable[Section]) -> str:
    """The text of an HTML file."""
    sections = list(sections)
    links = (
        element("li", element("a", section.title, href=f"#{section.name}")) for section in sections
    )
    parts = [
        element("nav", element("ul", *links), aria_label="Sections"),
        element("main", element("h1", title), *map(_section, sections)),
    ]
    return _PAGE.substitute(mark=MARK, title=html(title), style=_STYLE, body=joined(parts))


def _section(section: Section) -> Html:
    heading = element("h2", section.title, id=f"{section.name}-title")
    whole = [
        element("p", "All of them: ", element("a", name, href=name), class_="note")
        for name in section.lists
    ]
    return element(
        "section",
        heading,
        section.body,
        *whole,
        id=section.name,
        aria_labelledby=f"{section.name}-title",
    )


_STYLE = """
:root { color-scheme: light dark; --ink: #1c2024; --paper: #fff; --faint: #5b6470;
  --rule: #d5dae0; --shade: #f3f5f7; --right: #1a7f37; --wrong: #c62828; --link: #0b5cad;
  --line0: #0b5cad; --line1: #b35900 }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e7eb; --paper: #15181c; --faint: #a3adb8;
  --rule: #3a424b; --shade: #20252b; --right: #4cc46a; --wrong: #ff7b72; --link: #79b8ff;
  --line0: #79b8ff; --line1: #ffab5e } }
* { box-sizing: border-box }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere }
main, nav { max-width: 70rem; margin: 0 auto; padding: 0 1rem }
nav ul { display: flex; flex-wrap: wrap; gap: .25rem 1rem; margin: 0; padding: .75rem 0;
  list-style: none; border-bottom: 1px solid var(--rule) }
a { color: var(--link) }
h1 { font-size: 1.6rem; line-height: 1.25 } h2 { font-size: 1.25rem; margin-top: 2.5rem }
h3 { font-size: 1rem; margin: 1.25rem 0 .25rem }
.note, figcaption, caption { color: var(--faint); font-size: .875rem }
.missing { border-left: 4px solid var(--line1); padding: .5rem .75rem; background: var(--shade) }
code, pre { font-family: ui-monospace, monospace; font-size: .875em }
pre { background: var(--shade); padding: .75rem; overflow-x: auto; overflow-wrap: normal }
.wide { overflow-x: auto; margin: .75rem 0 }
table { border-collapse: collapse; overflow-wrap: normal }
caption { text-align: left; padding-bottom: .25rem }
th, td { border-bottom: 1px solid var(--rule); padding: .25rem .75rem .25rem 0; text-align: left;
  vertical-align: top; font-weight: normal }
thead th { color: var(--faint); font-size: .875rem }
.number { text-align: right; font-variant-numeric: tabular-nums }
figure { margin: 0 } .pictures { display: flex; flex-wrap: wrap; gap: .75rem; margin: .25rem 0;
  padding: 0; list-style: none }
.pictures figure { width: 132px }
img, .no-picture { display: block; border: 2px solid var(--rule); max-width: 132px; height: auto }
.enlarged { image-rendering: pixelated }
.no-picture { padding: .5rem; color: var(--faint); font-size: .8rem; min-height: 5rem }
.right img { border-color: var(--right) } .wrong img { border-color: var(--wrong) }
.right b { color: var(--right) } .wrong b { color: var(--wrong) }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 18rem), 1fr));
  gap: 1rem }
svg { width: 100%; height: auto; display: block } svg text { fill: var(--faint); font-size: 11px }
.axes { fill: none; stroke: var(--rule) } .line { fill: none; stroke-width: 1.75 }
.line0 { stroke: var(--line0) } .line1 { stroke: var(--line1); stroke-dasharray: 5 3 }
"""

_PAGE = Template(
    """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
$mark
<title>$title</title>
<style>$style</style>
</head>
<body>
$body
</body>
</html>
"""
)
