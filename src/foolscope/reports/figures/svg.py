"""SVG text for a page: theme variables, unique ids, no external references."""

import hashlib
import re

from foolscope.reports.theme import COLORS

__all__ = ["inline_svg", "rename_ids", "standalone_svg", "themed_svg"]

_NAMES = {values[0]: name for name, values in COLORS.items()}
_TAG = re.compile(r"<[^>]*>")
_STYLE = re.compile(r'style="([^"]*)"')
_COLOR = re.compile(r"#[0-9a-f]{6}\b")
_VARIABLE = re.compile(r"var\(--[a-z0-9-]+, (#[0-9a-f]{6})\)")
_DECIMALS = re.compile(r"-?\d+\.\d{3,}")
_FAMILY = re.compile(r" ?font-family: [^;\"]*;?")
_REFERENCE = re.compile(r'url\(#([^)"]+)\)|href="#([^"]+)"')
_ROOT = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}" width="{width}" height="{height}" '
    'class="drawing" style="stroke-linejoin: round; font-family: var(--figure-font, system-ui, sans-serif)">'
)


def themed_svg(svg: str) -> str:
    """Turn what matplotlib writes into one ``<svg>`` element that follows the page's light or dark theme.

    Each light theme color becomes a CSS variable with that color as its fallback, so that the drawing also
    works alone.

    Args:
        svg: the file matplotlib wrote, drawn in colors of :data:`foolscope.reports.theme.COLORS`.

    Returns:
        The element, with ids derived from its content.
    """
    body = svg[svg.index("<svg") :]
    opening = _TAG.match(body)
    box = re.search(r'viewBox="([^"]+)"', body)
    assert opening is not None
    assert box is not None
    body = body[opening.end() :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r"<!--.*?-->", "", body, flags=re.DOTALL)
    body = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", body, flags=re.DOTALL)
    body = _TAG.sub(lambda match: _themed_tag(match[0]), body)
    body = re.sub(r">\s+<", "><", body)
    width, height = box[1].split()[2:]
    root = _ROOT.format(box=box[1], width=width, height=height)
    return rename_ids(root + body.strip(), "f" + hashlib.sha256(body.encode()).hexdigest()[:8])


def rename_ids(svg: str, prefix: str) -> str:
    """Rename each referenced id of a drawing under ``prefix``, and drop the others."""
    used = sorted({first or second for tag in _TAG.findall(svg) for first, second in _REFERENCE.findall(tag)})
    names = {name: f"{prefix}-{position}" for position, name in enumerate(used)}

    def rename(tag: str) -> str:
        tag = re.sub(
            r' id="([^"]*)"', lambda match: f' id="{names[match[1]]}"' if match[1] in names else "", tag
        )
        tag = re.sub(r"url\(#([^)]+)\)", lambda match: f"url(#{names[match[1]]})", tag)
        return re.sub(r'href="#([^"]+)"', lambda match: f'href="#{names[match[1]]}"', tag)

    return _TAG.sub(lambda match: rename(match[0]), svg)


def inline_svg(svg: str, prefix: str, attributes: str) -> str:
    """Prepare a drawing for an HTML page: ids under ``prefix``, attributes added, no XML name spaces."""
    opening = _opening(svg)
    tag = re.sub(r' xmlns(:\w+)?="[^"]*"', "", opening)
    return rename_ids(f"{tag[:-1]} {attributes}>{svg[len(opening) :]}", prefix)


def standalone_svg(svg: str) -> str:
    """Return a drawing for any viewer: light colors on white, without CSS variables."""
    plain = _TAG.sub(lambda match: _plain_tag(match[0]), svg)
    opening = _opening(plain)
    paper = f'<rect width="100%" height="100%" style="fill: {COLORS["paper"][0]}"/>'
    return opening + paper + plain[len(opening) :]


def _opening(svg: str) -> str:
    match = _TAG.match(svg)
    if match is None or not svg.startswith("<svg"):
        raise ValueError(f"expected an <svg> element, as the figure functions return; got {svg[:40]!r}")
    return match[0]


def _themed_tag(tag: str) -> str:
    tag = tag.replace("xlink:href", "href").replace("base64,\n", "base64,")
    tag = tag.replace("\n", " ") if "d=" in tag else tag
    tag = re.sub(r' transform="rotate\(-0 [^"]*"', "", tag)
    if "base64," not in tag:
        tag = _DECIMALS.sub(lambda match: f"{float(match[0]):.2f}".rstrip("0").rstrip("."), tag)
    return _STYLE.sub(lambda match: f'style="{_themed_style(match[1])}"', tag)


def _themed_style(style: str) -> str:
    def variable(match: re.Match[str]) -> str:
        name = _NAMES.get(match[0])
        return f"var(--{name}, {match[0]})" if name else match[0]

    return _COLOR.sub(variable, _FAMILY.sub("", style)).strip()


def _plain_tag(tag: str) -> str:
    return _VARIABLE.sub(r"\1", tag).replace(
        "var(--figure-font, system-ui, sans-serif)", "system-ui, sans-serif"
    )
