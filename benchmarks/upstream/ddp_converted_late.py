"""DistributedDataParallel: wrong gradients, in silence, if the model is converted to channels last after it was wrapped

`model.to(memory_format=torch.channels_last)` swaps the data of the parameters in place. A model may be converted after
`DistributedDataParallel` has made its buckets, for instance by a callback that runs when training starts. The reducer then warns once
that "Grad strides do not match bucket view strides ... This is not an error, but may impair performance". But the gradients of the
first step are wrong, not slow. Those of later steps are right: the buckets are made anew after the first.

Expected: the gradients are the mean of those that each process calculates without `DistributedDataParallel`, or an error that says
that the parameters' strides have changed since the model was wrapped.

Workaround: convert the model before it is wrapped.
"""
import sys, tempfile
from copy import deepcopy
from pathlib import Path
import torch, torch.distributed as dist, torch.multiprocessing as mp
from torch import nn
from torch.nn.parallel import DistributedDataParallel

def gradients(model, x):
    model.zero_grad()
    model(x).square().mean().backward()
    return torch.cat([p.grad.flatten() for p in model.parameters()])

def process(rank, store, when, errors):
    dist.init_process_group('gloo', init_method=store, rank=rank, world_size=2)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3)).double()
    plain = deepcopy(model)
    if when == 'before': model.to(memory_format=torch.channels_last)
    ddp = DistributedDataParallel(model)
    if when == 'after': model.to(memory_format=torch.channels_last)
    for step in range(3):
        x = torch.randn(2, 2, 3, 8, 8, dtype=torch.float64)  # What each of the two processes gets
        got,expected = gradients(ddp, x[rank]),sum(gradients(plain, o) for o in x)/2
        error = ((got-expected).norm()/expected.norm()).item()
        if rank == 0: print(f'converted {when} it was wrapped, step {step}: gradients are off by {error:.2g} of their norm')
        if rank == 0: errors.put(error)
    dist.barrier()
    dist.destroy_process_group()

if __name__ == '__main__':
    errors = mp.get_context('spawn').SimpleQueue()
    for when in ('before', 'after'):
        with tempfile.TemporaryDirectory() as tmp: mp.spawn(process, ((Path(tmp)/'store').as_uri(), when, errors), nprocs=2)
    sys.exit(any(errors.get() > 1e-6 for _ in range(6)))
