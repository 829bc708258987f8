"""How Sphinx builds the documentation: ``make docs``, from the root of the checkout."""

from pathlib import Path
import sys

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from da3_ros.tools.version import version as package_version  # noqa: E402

project = 'da3_ros'
copyright = 'da3_ros maintainers, Apache-2.0'  # noqa: A001 (Sphinx wants that name)
version = release = package_version()

# The source folder is the root, so that links are the same here and on a page of the repository.
root_doc = 'docs/index'
include_patterns = ['*.md', '*.rst', 'docs/*.md', 'benchmarks/README.md']
include_patterns += ['da3_ros/model/checkpoints/*.md']
exclude_patterns = ['build', '.venv', 'demo_output']

extensions = ['myst_parser', 'sphinx.ext.autodoc', 'sphinx.ext.napoleon']
myst_heading_anchors = 4
suppress_warnings = ['myst.header']  # a page may begin below its first level
autodoc_member_order = 'bysource'
autodoc_typehints = 'description'
napoleon_numpy_docstring = False

html_theme = 'alabaster'
html_theme_options = {'description': 'Depth Anything 3 for ROS 2', 'page_width': '1100px'}
html_show_sphinx = False
