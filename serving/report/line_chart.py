"""A curve or two as a picture of lines, in the colours of the page around it."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

from ranklight.serving.report.markup import Html, element, number

Points = Sequence[tuple[float, float]]

_WIDTH, _HEIGHT = 320, 150
_LEFT, _RIGHT, _TOP, _BOTTOM = 8, 8, 18, 20
_MOST_POINTS = 300


def line_chart(title: str, lines: Mapping[str, Points]) -> Html:
    """Lines over one pair of axes, with the numbers at their ends.

    A line of more than 300 points is drawn as the means of 300 equal parts.

    Args:
        title: What is drawn.
        lines: Points (step, value) by the name of each line; the second and later are dashed.
    """
    drawn = {name: _thinned(points) for name, points in lines.items()}
    every = [point for points in drawn.values() for point in points]
    steps, values = zip(*every, strict=True)
    area = (min(steps), max(steps), min(values), max(values))
    told = "; ".join(_told(name, points) for name, points in lines.items())
    parts = [element("title", f"{title}: {told}"), *_labels(area)]
    for order, points in enumerate(drawn.values()):
        parts.append(_line(points, area, order))
    picture = element("svg", *parts, viewBox=f"0 0 {_WIDTH} {_HEIGHT}", role="img")
    return element("figure", picture, element("figcaption", title), class_="chart")


def _thinned(points: Points) -> Points:
    if len(points) <= _MOST_POINTS:
        return points
    edges = [part * len(points) // _MOST_POINTS for part in range(_MOST_POINTS + 1)]
    parts = [points[start:end] for start, end in pairwise(edges)]
    return [(part[0][0], sum(value for _, value in part) / len(part)) for part in parts]


def _told(name: str, points: Points) -> str:
    values = [value for _, value in points]
    return (
        f"{name}: {len(points)} values, {number(values[0])} first, {number(values[-1])} last, "
        f"{number(min(values))} least, {number(max(values))} greatest"
    )


def _line(points: Points, area: tuple[float, ...], order: int) -> Html:
    first, last, least, greatest = area
    across = (_WIDTH - _LEFT - _RIGHT) / ((last - first) or 1)
    up = (_HEIGHT - _TOP - _BOTTOM) / ((greatest - least) or 1)
    places = " ".join(
        f"{_LEFT + (step - first) * across:.1f},{_HEIGHT - _BOTTOM - (value - least) * up:.1f}"
        for step, value in points
    )
    return element("polyline", points=places, class_=f"line line{order}")


def _labels(area: tuple[float, ...]) -> list[Html]:
    first, last, least, greatest = area
    bottom = _HEIGHT - _BOTTOM
    return [
        element("path", d=f"M{_LEFT} {_TOP}V{bottom}H{_WIDTH - _RIGHT}", class_="axes"),
        element("text", number(greatest), x=_LEFT, y=_TOP - 5),
        element("text", number(least), x=_LEFT + 4, y=bottom - 4),
        element("text", f"step {number(first)}", x=_LEFT, y=_HEIGHT - 5),
        element("text", number(last), x=_WIDTH - _RIGHT, y=_HEIGHT - 5, text_anchor="end"),
    ]
