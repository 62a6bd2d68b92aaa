"""What channelslast_summary costs, next to a plain training step (forward, loss, backward, gradients dropped) of the same model in
channels last, one thread. Time: CPU seconds of the whole process, steps and summaries in turns, after one of each; the ratio is
that of the medians, so 2 is a summary that takes as long as two steps. A summary reads thousands of events, whatever the size of an
image: the smaller the step, the higher the ratio. Memory: of one call of either in a process of its own, in which one with a single
small image has loaded what PyTorch loads when it is first needed,

    tensors   the most that tensors hold at once, weights left out: what PyTorch's profiler saw allocated and freed, added up
    in use    how far it lifts the peak of the process, if the C library gives back what is freed (Linux: `MALLOC_MMAP_THRESHOLD_`)
    process   the peak of the whole process, libraries and weights and all, with the C library's heap as it is
    rise      how far it lifts that peak: what is in use, and gaps between the profiler's notes in which no activation finds room

Writes results/summary_cost.json.

python benchmarks/summary_cost.py --commit
"""
import os
from contextlib import nullcontext
from itertools import accumulate
from types import SimpleNamespace
from unittest.mock import patch
from common import Worker, arguments, memory_mb, save, timing
if __name__ == '__main__': a = arguments(__doc__, 'summary_cost', device=False, rounds=9)

batches = [('resnet50', 2, 224), ('efficientnet_b0', 4, 128), ('mobilenet_v2', 4, 128), ('mobilenet_v2', 16, 224),
    ('unet_resnet18', 4, 128), ('efficientnet_b0', 4, 64), ('densenet201', 2, 64)]  # Model, images, pixels

def calls(name, n, px):
    "A step and a summary of the model `name` on `n` images of `px` pixels"
    import torch, torchvision
    from fastxtend_cl.memory_format import apply_channels_last, to_channelslast
    from fastxtend_cl.summary import channelslast_summary
    torch.manual_seed(0)
    torch.set_num_threads(1)
    if name.startswith('unet'):
        from fastai.vision.all import create_unet_model, resnet18
        model = create_unet_model(resnet18, 2, (px,px), pretrained=False)
    else: model = getattr(torchvision.models, name)(num_classes=10)
    model,x = apply_channels_last(model),to_channelslast(torch.randn(n, 3, px, px))
    def loss(out): return out.float().square().mean()
    def step():
        loss(model(x)).backward()
        for p in model.parameters(): p.grad = None
    def summary(): channelslast_summary(model, x, loss_func=loss)
    return dict(step=step, summary=summary)

def seconds(name, n, px, rounds):
    "Quartiles of the CPU seconds of each"
    from time import process_time
    fns,secs = calls(name, n, px),{}
    for i in range(rounds+1):
        for k,f in fns.items():
            began = process_time()
            f()
            if i: secs.setdefault(k, []).append(process_time()-began)
    return {k:timing().quartiles(v) for k,v in secs.items()}

def warm(name, n, px, kind):
    "A step or a summary, and what either loads at first is there"
    calls(name, 1, 64)[kind]()
    return calls(name, n, px)[kind]

def megabytes(*args):
    "How far one call lifts the peak of this process, and what that is then"
    f,before = warm(*args),memory_mb()
    f()
    return dict(rise=memory_mb(peak=True)-before, process=memory_mb(peak=True))

def tensor_megabytes(*args):
    "The most that tensors hold in one call, which is profiled whole: the summary's own profiler, of which there can be but one, is off"
    import torch, fastxtend_cl.summary as module
    from fastxtend_cl.watch import profiled
    f = warm(*args)
    off = dict(profiled=lambda device: nullcontext(), Tape=lambda prof: SimpleNamespace(calls=[], failed=None))
    with patch.multiple(module, **off), profiled(torch.device('cpu')) as prof: f()
    def sizes(events):
        for e in events:
            if e.name == '[memory]': yield e.start_time_ns, e.typed[1].alloc_size
            yield from sizes(e.children)
    return max(accumulate(n for _,n in sorted(sizes(prof.kineto_results.experimental_event_tree()))))/2**20

gives_back = dict(MALLOC_MMAP_THRESHOLD_=str(2**20), MALLOC_TRIM_THRESHOLD_=str(2**20))

def alone(worker, f, *args, **env):
    "What `f` measures of a step and of a summary, each in a process of its own"
    res = {}
    for k in ('step','summary'):
        worker.stop()
        os.environ.update(env)
        res[k] = worker(f, *args, k)
        for o in env: del os.environ[o]
    worker.stop()
    return res

def memory(worker, *args):
    "Megabytes by what is counted: of a step, of a summary, and how many times as much that is"
    tensors,heap = alone(worker, tensor_megabytes, *args),alone(worker, megabytes, *args)
    given = alone(worker, megabytes, *args, **gives_back)
    def of(found, key): return {k:v[key] for k,v in found.items()}
    res = dict(tensors=tensors, in_use=of(given, 'rise'), process=of(heap, 'process'), rise=of(heap, 'rise'))
    return {k:dict(v, ratio=v['summary']/v['step']) for k,v in res.items()}

def main():
    worker,rows = Worker(),[]
    for o in batches:
        name,n,px = o
        secs = worker(seconds, *o, a.rounds)
        rows.append(dict(model=name, batch=f'{n}x3x{px}x{px}', cpu_seconds=secs, time_ratio=secs['summary'][1]/secs['step'][1],
            memory_mb=memory(worker, *o)))
        ratios = ', '.join(f"{k} {v['ratio']:.2f}" for k,v in rows[-1]['memory_mb'].items())
        print(f"{name:16} time {rows[-1]['time_ratio']:.2f} steps, memory: {ratios}", flush=True)
    medians = {k:dict(median_s=v[1]) for k,v in rows[0]['cpu_seconds'].items()}
    save(a, rows=rows, time_ratio=rows[0]['time_ratio'], **medians)  # Of the first alone, for the page of costs

if __name__ == '__main__': main()
