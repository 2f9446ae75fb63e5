"""How Sphinx builds the documentation; `make docs` calls it."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

from inspect_autograd import __version__  # noqa: E402 (found by the line above)

project = "inspect_autograd"
author = "inspect_autograd contributors"
project_copyright = author
version = release = __version__
language = "en"

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "extensions.command_help",
    "extensions.contents",
    "extensions.docstrings",
    "extensions.mathml",
    "extensions.reference",
    "extensions.search_words",
]
exclude_patterns = ["_templates"]
templates_path = ["_templates"]

# -- Markdown, as GitHub reads it ----------------------------------------------------------------

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 6
myst_fence_as_directive = ["math"]
# A link to a file of the project that is no page, a script say, leads to a copy of the file.
myst_all_links_external = False

# -- the reference, from the docstrings ----------------------------------------------------------

add_module_names = False
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_typehints_format = "short"
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
python_maximum_signature_line_length = 88
toc_object_entries_show_parents = "hide"

# -- pages that need no network: nothing is loaded that does not lie beside them -------------------

html_theme = "pydata_sphinx_theme"
html_title = project
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_math_renderer = "mathml"
html_search_language = "en"
html_copy_source = False
html_show_sourcelink = False
# Browsers do not let a page that was opened as a file read the text of another one.
html_show_search_summary = False
html_domain_indices = False
html_sidebars = {"**": ["sidebar-contents.html"]}
html_theme_options = {
    "navbar_center": [],
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": [],
    "footer_end": [],
    "navigation_depth": 3,
    "show_toc_level": 2,
}
