"""What channelslast_summary costs: time and peak memory of a summary of resnet50 at 2x3x224x224, against a plain training step
of the same model, each in a process of its own. Writes results/summary_cost.json.

python benchmarks/summary_cost.py
"""
import subprocess, sys
from common import environment, save

code = """
import resource, sys, time, torch
from torch import nn
from torchvision.models import resnet50
from fastxtend_cl.memory_format import apply_channels_last, to_channelslast
from fastxtend_cl.summary import channelslast_summary
import torch.utils.benchmark
torch.manual_seed(0)
model,x,y = apply_channels_last(resnet50()),to_channelslast(torch.randn(2,3,224,224)),torch.tensor([0,1])
loss = nn.CrossEntropyLoss()
def step():
    loss(model(x), y).backward()
    for p in model.parameters(): p.grad = None
def summary(): channelslast_summary(model, x, loss_func=loss, targets=(y,))
f = dict(step=step, summary=summary)[sys.argv[1]]
f()
secs = []
for _ in range(7):
    start = time.perf_counter()
    f()
    secs.append(time.perf_counter()-start)
print(sorted(secs)[3], resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
def run(kind):
    res = subprocess.run([sys.executable, '-W', 'ignore', '-c', code, kind], capture_output=True, text=True, check=True).stdout.split()
    return dict(median_s=float(res[0]), peak_rss_mb=int(res[1])/1024)

rows = {k:run(k) for k in ('step','summary')}
print(save('summary_cost', environment=environment(), **rows, time_ratio=rows['summary']['median_s']/rows['step']['median_s'],
    memory_ratio=rows['summary']['peak_rss_mb']/rows['step']['peak_rss_mb']).read_text())
