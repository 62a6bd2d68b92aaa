"""How each row of `all_of_fastai.ipynb` is made: a learner is trained contiguous and in channels last, from the same seed
over the same batches, and compared."""
import io
from contextlib import redirect_stdout
from fastcore.test import test_eq
from fastai.vision.all import *
from fastxtend_cl.all import *
from fastxtend_cl.test_utils import digits_dls

rows,tmp = [],Path(tempfile.mkdtemp())

def digits(**kwargs): return digits_dls(**{'n':36, 'size':16, 'bs':8, **kwargs})
def net(n_in=3):
    body = ConvLayer(n_in, 16), ResBlock(1, 16, 32, stride=2)
    return nn.Sequential(*body, nn.AdaptiveAvgPool2d(1), Flatten(), nn.Linear(32, 10))
def learner(cbs=None, **kwargs):
    "A small residual network for a few scanned digits"
    return Learner(digits(), net(), loss_func=CrossEntropyLossFlat(), path=tmp, metrics=accuracy, cbs=cbs, **kwargs)

class Watch(Callback):
    "Note the formats of the model's inputs as they enter it, and the losses; the batch becomes float64"
    order = 10_000
    def __init__(self, double=True): self.formats,self.losses,self.double = set(),[],double
    def cast(self, t): return t.double() if self.double and t.is_floating_point() else t
    def note(self, t):
        if t.dim() in (4,5): self.formats.add(memory_format(t))
        return self.cast(t)
    def before_batch(self): self.learn.xb,self.learn.yb = map_tensors(self.note, self.xb),map_tensors(self.cast, self.yb)
    def after_loss(self):
        self.losses.append(self.loss.mean().item())
        self.learn.loss = self.loss.float()  # fastai's `Recorder` averages in fp32; `loss_grad` stays as it is

def hooks(model): return sum(len(m._forward_hooks)+len(m._backward_hooks)+len(m._forward_pre_hooks) for m in model.modules())
def formats(ts): return {memory_format(t) for t in ts if t.dim() in (4,5)} - {'ambiguous'}
def states(learn): return [v for s in (learn.opt.state.values() if learn.opt else ()) for v in s.values() if isinstance(v, Tensor)]

def one_way(make, run, last, double=True):
    "Train the learner that `make` returns, in channels last if `last`; assert that nothing leaks"
    with less_random():
        learn = make()
        if double: learn.model.double()
        if last: learn.to_channelslast(use_amp=False)
        names,n = {cb.name for cb in learn.cbs},hooks(learn.model)
        with learn.no_bar(), learn.no_logging(), learn.added_cbs(cb := Watch(double)), redirect_stdout(io.StringIO()): run(learn)
    assert not torch.is_autocast_enabled('cpu') and not torch.is_autocast_enabled('cuda')
    test_eq(({cb.name for cb in learn.cbs}, hooks(learn.model)), (names, n))
    return learn,cb

def add_row(what, a, b, inputs='channels_last', tol=1e-9):
    "Compare the losses `a` and `b` of both ways, and note them"
    test_eq(len(a), len(b))
    diff = max([abs(p-q)/max(1, abs(p)) for p,q in zip(a, b)], default=0.)
    assert diff < tol, f'{what}: losses differ by {diff}'
    rows.append({'what':what, 'inputs':inputs or 'no images', 'batches':len(b), 'largest difference of a loss':f'{diff:.0e}'})

def both(
    what, # Row of the table
    make, # Function that returns a new `Learner`
    run=lambda learn: learn.fit(2), # What to do with it
    inputs='channels_last', # Format of the model's inputs; `None` for inputs that have none
    weights='channels_last', # Format of its parameters
    tol=1e-9, # Largest relative difference of a loss
    double=True, # In float64?
):
    "Run copies of the learner that `make` returns contiguous and in channels last, compare, and return both"
    with less_random(): start = make()
    (a,ca),(b,cb) = (one_way(partial(deepcopy, start), run, last, double) for last in (False,True))
    test_eq(cb.formats, {inputs} if inputs else set())
    test_eq(formats(b.model.parameters()), {weights} if weights else set())
    add_row(what, ca.losses, cb.losses, inputs, tol)
    b.to_contiguous()
    assert formats([*b.model.parameters(), *states(b), *(p.grad for p in b.model.parameters() if p.grad is not None)]) <= {'contiguous'}
    return a,b

def table():
    "All rows"
    return pd.DataFrame(rows).set_index('what')

def new_rows():
    "The rows since the last call"
    res = table()[new_rows.shown:]
    new_rows.shown = len(rows)
    return res
new_rows.shown = 0
