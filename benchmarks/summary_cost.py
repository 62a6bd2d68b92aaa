"""What channelslast_summary costs, next to a plain training step (forward, loss, backward, gradients dropped) of the same model in
channels last, one thread. Time: CPU seconds of the whole process, steps and summaries in turns, after one of each; the ratio is
that of the medians, so 2 is a summary that takes as long as two steps. A summary reads thousands of events, whatever the size of an
image: the smaller the step, the higher the ratio. Memory: how far one call of either lifts the peak of a process of its own, in which
one with a single small image has loaded what PyTorch loads when it is first needed. On Linux twice: with the C library's heap as it
is, and as one that gives back what is freed (`MALLOC_MMAP_THRESHOLD_`), so that what is in use counts, not the gaps between the
profiler's notes in which no activation finds room. Writes results/summary_cost.json.

python benchmarks/summary_cost.py --commit
"""
import os
from common import Worker, arguments, memory_mb, save, timing
if __name__ == '__main__': a = arguments(__doc__, 'summary_cost', device=False, rounds=9)

batches = [('resnet50', 2, 224), ('efficientnet_b0', 4, 128), ('mobilenet_v2', 4, 128), ('mobilenet_v2', 16, 224),
    ('unet_resnet18', 4, 128)]  # Model, images, pixels

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

def megabytes(name, n, px, kind):
    "How far one call lifts the peak of this process"
    calls(name, 1, 64)[kind]()
    f = calls(name, n, px)[kind]
    before = memory_mb()
    f()
    return memory_mb(peak=True)-before

gives_back = dict(MALLOC_MMAP_THRESHOLD_=str(2**20), MALLOC_TRIM_THRESHOLD_=str(2**20))

def peaks(worker, *args, **env):
    "Megabytes of a step and of a summary, each in a process of its own, and how many times as much the summary takes"
    res = {}
    for k in ('step','summary'):
        worker.stop()
        os.environ.update(env)
        res[k] = worker(megabytes, *args, k)
        for o in env: del os.environ[o]
    worker.stop()
    return res, res['summary']/res['step']

def main():
    worker,rows = Worker(),[]
    for o in batches:
        name,n,px = o
        secs = worker(seconds, *o, a.rounds)
        (memory,ratio),(used,used_ratio) = peaks(worker, *o),peaks(worker, *o, **gives_back)
        rows.append(dict(model=name, batch=f'{n}x3x{px}x{px}', cpu_seconds=secs, time_ratio=secs['summary'][1]/secs['step'][1],
            memory_mb=memory, memory_ratio=ratio, in_use_mb=used, in_use_ratio=used_ratio))
        print(f"{name:16} time {rows[-1]['time_ratio']:.2f} steps, memory {used_ratio:.2f} of a step's, with gaps {ratio:.2f}", flush=True)
    medians = {k:dict(median_s=v[1]) for k,v in rows[0]['cpu_seconds'].items()}
    save(a, rows=rows, time_ratio=rows[0]['time_ratio'], **medians)  # Of the first alone, for the page of costs

if __name__ == '__main__': main()
