"""What channelslast_summary costs: time and peak memory of a summary of resnet50 at 2x3x224x224, against a plain training step
of the same model, each in a process of its own. Writes results/summary_cost.json.

python benchmarks/summary_cost.py --commit
"""
from common import Worker, arguments, memory_mb, save, timing
if __name__ == '__main__': a = arguments(__doc__, 'summary_cost', device=False, rounds=9)

def measure(kind, rounds):
    "Quartiles of the seconds of one call, and the most memory that the process ever had. In a process of its own"
    import torch
    from torch import nn
    from torchvision.models import resnet50
    from fastxtend_cl.memory_format import apply_channels_last, to_channelslast
    from fastxtend_cl.summary import channelslast_summary
    torch.manual_seed(0)
    model,x,y,loss = apply_channels_last(resnet50()),to_channelslast(torch.randn(2,3,224,224)),torch.tensor([0,1]),nn.CrossEntropyLoss()
    def step():
        loss(model(x), y).backward()
        for p in model.parameters(): p.grad = None
    def summary(): channelslast_summary(model, x, loss_func=loss, targets=(y,))
    f = dict(step=step, summary=summary)[kind]
    f()
    secs = timing().quartiles([timing().seconds(f) for _ in range(rounds)])
    return dict(median_s=secs[1], quartiles_s=secs, peak_rss_mb=memory_mb(peak=True))

def main():
    worker,rows = Worker(),{}
    for kind in ('step','summary'):
        rows[kind] = worker(measure, kind, a.rounds)
        worker.stop()
    step,summary = rows['step'],rows['summary']
    memory = step['peak_rss_mb'] and summary['peak_rss_mb']/step['peak_rss_mb']
    save(a, **rows, time_ratio=summary['median_s']/step['median_s'], memory_ratio=memory)
    print(rows)

if __name__ == '__main__': main()
