"""What every page of this folder runs first, unseen: nothing between a reader and the page.

`nbdev-test` runs several notebooks in one process, so that what is set here must stand being set already."""
import sys
from pathlib import Path
sys.path.append(str(Path(__file__).resolve().parent.parent))
import quiet  # noqa

from fastai.basics import defaults
from fastai.callback.progress import ProgressCallback
defaults.callbacks = [o for o in defaults.callbacks if o is not ProgressCallback]  # A saved page has no use for bars
