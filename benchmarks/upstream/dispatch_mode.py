"""A TorchDispatchMode changes the strides of gradients: maximum, minimum, clamp and others give contiguous ones while it is on

The formulas of these derivatives write in place (`masked_fill_`), but out of place (`masked_fill`) while any `TorchDispatchMode` is
active, since `isTensorSubclassLike` is then true of every tensor. Out of place, `masked_fill` clones its input as contiguous. So a
mode that only looks on, as `FlopCounterMode` does, changes the memory format of the gradient, of all that is calculated from it, and
with that which kernels run. Whoever watches a training step in channels last sees conversions that do not happen without the watching.

Expected: a mode that calls each operation as it is changes nothing; and `masked_fill` keeps the memory format of its input, as other
pointwise operations do.

Known: https://github.com/pytorch/pytorch/pull/117620 (January 2024, closed) was about `masked_fill`; nothing was found about the
modes.

Workaround: none for the mode. In a model, `torch.where` in place of `masked_fill`.
"""
import sys
from contextlib import nullcontext
import torch
from torch.utils._python_dispatch import TorchDispatchMode

class LookOn(TorchDispatchMode):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None): return func(*args, **(kwargs or {}))

def layout(t): return 'channels last' if t.is_contiguous(memory_format=torch.channels_last) else 'contiguous'

torch.manual_seed(0)
a,b = (torch.rand(2, 3, 4, 4).to(memory_format=torch.channels_last) for _ in range(2))
ops = dict(maximum=lambda x: torch.maximum(x, b), minimum=lambda x: torch.minimum(x, b), fmax=lambda x: torch.fmax(x, b),
    fmin=lambda x: torch.fmin(x, b), clamp_min=lambda x: x.clamp(min=b), clamp_max=lambda x: x.clamp(max=b),
    prod=lambda x: x.prod(1, keepdim=True))

def gradient(f, mode):
    x = a.clone().requires_grad_()*1
    with mode: return torch.autograd.grad(f(x).sum(), x)[0]

found = {k:(layout(gradient(f, nullcontext())), layout(gradient(f, LookOn()))) for k,f in ops.items()}
for k,(without,under) in found.items(): print(f'gradient of {k}: {without}, under a mode: {under}')
print(f'channels last, masked_fill: {layout(a.masked_fill(b > .5, 0.))}')
sys.exit(any(without != under for without,under in found.values()))
