"What every notebook runs first, unseen: fastai scripts functions and norms weights in ways that newer PyTorch warns of."
import warnings
warnings.filterwarnings('ignore', '.*(jit.script|weight_norm)', FutureWarning)
