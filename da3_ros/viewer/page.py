"""
The page as one file: styles and scripts inlined, nothing fetched from anywhere.

The renderer is our own WebGL 2, about 15 kB: points, lines and an orbiting camera are all that a
map needs, and it draws clouds straight from depth images and shades them by their depth
(eye-dome lighting), for which three.js, 700 kB of it, has neither. ``page/*.mjs`` are modules that
Node.js can test; here their imports and exports are taken out and they become one script.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
import hashlib
from html import escape
from pathlib import Path
import re

_FOLDER = Path(__file__).parent / 'page'
# Each after those that it imports.
_SHARED = (
    'ramps',
    'matrix',
    'packets',
    'model',
    'shaders',
    'renderer',
    'orbit',
    'stage',
    'pictures',
)
VIEWER_MODULES = (*_SHARED, 'viewer')
REPORT_MODULES = (*_SHARED, 'report')

_IMPORT = re.compile(r'^import [^;]*;\n', re.MULTILINE)
_EXPORT = re.compile(r'^export ', re.MULTILINE)


@dataclass(frozen=True)
class Page:
    """A page and the headers that go with it."""

    html: bytes
    headers: dict[str, str] = field(default_factory=dict)


def viewer_page(title: str) -> Page:
    """Return the page of ``da3 view``."""
    script, style = bundle(VIEWER_MODULES), text_of('viewer.css')
    html = filled('viewer.html', TITLE=escape(title), STYLE=style, SCRIPT=script)
    policy = '; '.join(
        [
            "default-src 'none'",
            f"script-src '{_digest(script)}'",
            f"style-src '{_digest(style)}'",
            'img-src data: blob:',
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        ]
    )
    headers = {'Content-Type': 'text/html; charset=utf-8', 'Content-Security-Policy': policy}
    return Page(html.encode(), headers)


def bundle(modules: Sequence[str]) -> str:
    """Return the modules as one script."""
    parts = []
    for name in modules:
        source = _IMPORT.sub('', text_of(f'{name}.mjs'))
        parts.append(_EXPORT.sub('', source))
    return f"'use strict';\n(() => {{\n{''.join(parts)}}})();\n"


def text_of(name: str) -> str:
    """Return the text of a file of the page."""
    return (_FOLDER / name).read_text(encoding='utf-8')


def filled(name: str, **texts: str) -> str:
    """Return a template with its ``@NAME@`` replaced, each by what is given for it."""
    return re.sub(r'@([A-Z]+)@', lambda match: texts[match[1]], text_of(name))


def _digest(text: str) -> str:
    """Return how a content security policy names the script or style that may be in the page."""
    return 'sha256-' + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
