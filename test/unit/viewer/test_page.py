"""The page is one file that fetches nothing, and installs carry what it is made of."""

import base64
import hashlib
from pathlib import Path
import re

from da3_ros.viewer.page import bundle, REPORT_MODULES, VIEWER_MODULES, viewer_page
import pytest

ROOT = Path(__file__).parents[3]
FILES = ROOT / 'da3_ros/viewer/page'


def test_nothing_is_fetched_from_elsewhere() -> None:
    html = viewer_page('a title').html.decode()
    assert re.findall(r'(?:src|href|url)\s*[=(]\s*["\']?(?!["\']|data:)', html) == []
    assert not re.search(r'https?://|\bimport\b|@[A-Z]+@', html)


def test_the_title_is_text() -> None:
    assert '<title>&lt;b&gt; &amp; c</title>' in viewer_page('<b> & c').html.decode()


def test_the_policy_allows_this_script_and_this_style_alone() -> None:
    page = viewer_page('a title')
    html, policy = page.html.decode(), page.headers['Content-Security-Policy']
    assert "default-src 'none'" in policy and 'unsafe' not in policy
    for tag, rule in (('script', 'script-src'), ('style', 'style-src')):
        (text,) = re.findall(rf'<{tag}>(.*?)</{tag}>', html, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{rule} 'sha256-{digest}'" in policy
    assert ' style=' not in html and ' onclick=' not in html


@pytest.mark.parametrize('modules', [VIEWER_MODULES, REPORT_MODULES])
def test_a_script_holds_each_module_after_what_it_imports(modules: tuple[str, ...]) -> None:
    before: set[str] = set()
    names: list[str] = []
    for module in modules:
        source = (FILES / f'{module}.mjs').read_text()
        assert set(re.findall(r"from '\./(\w+)\.mjs'", source)) <= before
        before.add(module)
        names += re.findall(
            r'^(?:export )?(?:class|function|const|let|async function) (\w+)', source, re.M
        )
    assert len(names) == len(set(names)), 'modules share one scope in the page'
    assert 'export ' not in bundle(modules) and '</script' not in bundle(modules)


def test_every_file_of_the_page_is_used_and_installed() -> None:
    used = {f'{module}.mjs' for module in (*VIEWER_MODULES, *REPORT_MODULES)}
    used |= {'viewer.html', 'viewer.css', 'report.html', 'report.css'}
    assert {path.name for path in FILES.iterdir()} == used
    assert '"da3_ros.viewer" = ["page/*"]' in (ROOT / 'pyproject.toml').read_text()


def test_the_page_is_small() -> None:
    assert len(viewer_page('a title').html) < 100_000
