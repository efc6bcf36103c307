"""The site of the documentation: `tox -e docs` builds it and treats each warning as an error.

    docs/**.md, results/*.md, CHANGELOG.md --MyST--> pages     docstrings --autodoc--> reference/api

The root of the sources is the repository, so a link that works in the repository works on the site.
"""

import re

from sphinx.application import Sphinx

project = "bench"
author = "the authors of bench"
project_copyright = author
root_doc = "docs/index"
exclude_patterns = [".*", "m", "results/runs", "tests", "build"]
include_patterns = ["docs/**.md", "results/*.md", "results/*/*.md", "CHANGELOG.md", "CONTRIBUTING.md"]
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_copybutton"]

nitpicky = False  # types of other packages have no inventory without a network
default_role = "code"
smartquotes = False  # they would make one dash of the two before an option
autodoc_typehints = "description"
autodoc_member_order = "bysource"
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4
suppress_warnings = ["myst.header"]  # pages of results/ are reports, whose headings begin at the third level

html_theme = "furo"
html_title = "bench"
html_copy_source = False
html_show_sphinx = False
html_additional_pages = {"index": "redirect.html"}
templates_path = ["_templates"]

_WITHOUT_A_PAGE = re.compile(r"\[([^\]]+)\]\((?:\.\./)*(?:runs/|results/runs/|\.\./README\.md)[^)]*\)")


def _adapt(app: Sphinx, docname: str, source: list[str]) -> None:
    """Show links to folders of records and to the repository's README as text; give a report its title."""
    del app
    text = _WITHOUT_A_PAGE.sub(r"\1", source[0])
    topic, _, name = docname.removeprefix("results/").partition("/")
    title = f"# {name} ({topic})\n\n" if docname.startswith("results/") and name else ""
    source[0] = title + text


def setup(app: Sphinx) -> None:
    """Connect the hook."""
    app.connect("source-read", _adapt)
