"Sphinx's settings for the pages that `docs/build.py` writes. Notebooks are never run here: their outputs are saved in them."
from nbdev.config import get_config

cfg = get_config()
project,author,copyright = 'fastxtend_cl','The fastxtend_cl authors','The fastxtend_cl authors'
extensions = ['myst_nb', 'sphinx_copybutton']
exclude_patterns = ['files']
suppress_warnings = ['myst.header']  # `show_doc` heads a name with H3, wherever it stands

nb_execution_mode = 'off'
nb_merge_streams = True
nb_render_markdown_format = 'myst'  # Links in a table that a cell wrote lead on, too
nb_mime_priority_overrides = [('html', 'text/markdown', 5)]
myst_enable_extensions = ['attrs_block', 'attrs_inline', 'colon_fence', 'dollarmath']
myst_heading_anchors = 3
myst_dmath_double_inline = False
copybutton_exclude = '.linenos, .gp, .go'

html_theme = 'sphinx_book_theme'
html_title = 'fastxtend_cl'
html_static_path = ['static']
html_css_files = ['site.css']
html_copy_source = html_show_sourcelink = html_use_index = False
html_theme_options = dict(show_toc_level=2, navigation_with_keys=False, use_download_button=False, use_fullscreen_button=False,
    repository_url=cfg.git_url, use_repository_button=bool(cfg.git_url), use_issues_button=bool(cfg.git_url))
