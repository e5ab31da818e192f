"""Pieces of drawings as SVG text: pictures with boxes, words, bars and curves in colors of the theme."""

import math
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foolscope.inspection.tree.records import Box
from foolscope.reports.images import data_uri, encode_png
from foolscope.reports.text import one_line_text
from foolscope.reports.theme import light

__all__ = ["bar", "boxed_picture", "cropped", "curve", "picture", "text"]

Point = tuple[float, float]


def text(
    place: Point, words: str, color: str, size: float, *, bold: bool = False, anchor: str = "start"
) -> str:
    """Write words on one line in a color of the theme."""
    weight = "; font-weight: bold" if bold else ""
    return (
        f'<text x="{place[0]:g}" y="{place[1]:g}" text-anchor="{anchor}" '
        f'style="fill: {light(color)}; font-size: {size:g}px{weight}">{escape(one_line_text(words))}</text>'
    )


def bar(place: Point, size: Point, fraction: float, color: str, words: str) -> str:
    """Draw a bar that is filled to a fraction in [0, 1], from the left."""
    (x, y), (width, height) = place, size
    return (
        f"<g><title>{escape(one_line_text(words))}</title>"
        f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" style="fill: {light("faint")}"/>'
        f'<rect x="{x:g}" y="{y:g}" width="{width * min(1.0, max(0.0, fraction)):.2f}" height="{height:g}" '
        f'style="fill: {light(color)}"/></g>'
    )


def curve(start: Point, end: Point, color: str, width: float) -> str:
    """Draw a curve that leaves and arrives horizontally."""
    middle = (start[0] + end[0]) / 2
    look = f"stroke: {light(color)}; stroke-width: {width:.2f}"
    return (
        f'<path d="M {start[0]:g} {start[1]:g} C {middle:g} {start[1]:g} {middle:g} {end[1]:g} '
        f'{end[0]:g} {end[1]:g}" style="fill: none; {look}"/>'
    )


def picture(image: NDArray[Any], place: Point, side: float, words: str) -> str:
    """Draw an image into a square, each pixel sharp, with its proportions."""
    height, width = image.shape[-2:]
    factor = side / max(height, width)
    x, y = place[0] + (side - factor * width) / 2, place[1] + (side - factor * height) / 2
    shown = image if image.shape[0] in (1, 3) else image.mean(axis=0)
    return (
        f"<g><title>{escape(one_line_text(words))}</title>"
        f'<image x="{x:g}" y="{y:g}" width="{factor * width:g}" height="{factor * height:g}" '
        f'preserveAspectRatio="none" style="image-rendering: pixelated" '
        f'href="{data_uri(encode_png(shown, minimum_side=1))}"/>'
        f'<rect x="{x:g}" y="{y:g}" width="{factor * width:g}" height="{factor * height:g}" '
        f'style="fill: none; stroke: {light("rule")}"/></g>'
    )


def boxed_picture(image: NDArray[Any], box: Box, place: Point, side: float, words: str) -> str:
    """Draw an image into a square with a box around a part of it."""
    height, width = image.shape[-2:]
    factor = side / max(height, width)
    x = place[0] + (side - factor * width) / 2 + factor * box.left
    y = place[1] + (side - factor * height) / 2 + factor * box.top
    size = f'width="{factor * box.width:.2f}" height="{factor * box.height:.2f}"'
    frame = f'<rect x="{x:.2f}" y="{y:.2f}" {size} style="fill: none; stroke: {{}}; stroke-width: {{}}"/>'
    return (
        picture(image, place, side, words)
        + frame.format(light("paper"), 3)
        + frame.format(light("series-2"), 1.6)
    )


def cropped(image: NDArray[Any], box: Box) -> NDArray[Any]:
    """Return the pixels that a box touches.

    Example:
        >>> cropped(np.zeros((1, 8, 8)), Box(top=2.0, left=0.0, height=2.5, width=4.0)).shape
        (1, 3, 4)
    """
    bottom, right = math.ceil(box.top + box.height - 1e-6), math.ceil(box.left + box.width - 1e-6)
    return np.asarray(image[..., math.floor(box.top + 1e-6) : bottom, math.floor(box.left + 1e-6) : right])
