"""What every notebook runs first, unseen: fastai scripts functions and norms weights in ways that newer PyTorch warns of.

`%run quiet.py`, and not an import: nbdev runs imports alone when it makes the pages, and would not find this file."""
import warnings
warnings.filterwarnings('ignore', '.*(jit.script|weight_norm)', FutureWarning)
