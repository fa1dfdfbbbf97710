"""How Sphinx builds these pages: no network, warnings are errors (see contributing.md)."""

from importlib.metadata import version as version_of

project = "rxlink"
author = "rxlink contributors"
copyright = "rxlink contributors"
release = version = version_of("rxlink")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"rxlink {release}"

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_class_signature = "mixed"
autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_typehints_format = "short"

napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_custom_sections = ["Differs", ("Errors", "returns_style"), "Ports"]
