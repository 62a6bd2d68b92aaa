"""What every page of this folder runs first, unseen: nothing between a reader and the page.

`nbdev-test` runs several notebooks in one process, so that what is set here must stand being set already."""
import warnings
warnings.filterwarnings('ignore', '.*jit.script', FutureWarning)  # fastai scripts functions at import, which newer PyTorch warns of

from fastai.basics import defaults
from fastai.callback.progress import ProgressCallback
defaults.callbacks = [o for o in defaults.callbacks if o is not ProgressCallback]  # A saved page has no use for bars
