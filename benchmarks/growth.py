"""Where does channels last start to pay? How many times faster a training step is in channels last, against batch size, image size and
depth of a residual network. The quartiles within one process say less than they seem to: where tensors happen to lie in memory stays as it
is until the process ends. So each setup is measured in several processes, some time apart, until the repeats agree within 1.05x, or
five have been made; what they differ by is the error. Writes results/growth-{device}.json.

python benchmarks/growth.py --commit --minutes 12
"""
from common import Rows, Worker, arguments, instrument, timing, until_quiet, while_time
if __name__ == '__main__': a = arguments(__doc__, 'growth', minutes=True, rounds=7, seconds=3., agree=1.05, repeats=3, most=5)

import warnings
warnings.filterwarnings('ignore')
from copy import deepcopy
from statistics import median
import torch
import nets

axes = {'batch_size':[1,2,4,8,16,32,64], 'image_size':[32,64,96,128,192,256,384], 'depth':[10,18,34,50,101]}
base = dict(batch_size=8, image_size=96, depth=18)

def setups(axis):
    "The setups along `axis`; along the image size with batches of 2, so that large images fit"
    return [{**base, **(dict(batch_size=2) if axis=='image_size' else {}), axis:v} for v in axes[axis]]

def resnet(depth):
    from torchvision import models as tv
    if depth==10: return tv.ResNet(tv.resnet.BasicBlock, [1,1,1,1], num_classes=10)
    return getattr(tv, f'resnet{depth}')(num_classes=10)

def measure(setup, amp, a):
    "Times of one setup. In a process of its own"
    from fastxtend_cl.memory_format import apply_channels_last, to_channelslast
    torch.manual_seed(0)
    model,size = resnet(setup['depth']).to(a.device),setup['image_size']
    x = torch.rand(setup['batch_size'], 3, size, size, device=a.device)
    last,xl = apply_channels_last(deepcopy(model)),to_channelslast(x)
    fns = dict(contiguous=nets.step(model, x, amp), channels_last=nets.step(last, xl, amp))
    r = until_quiet(fns, 'contiguous', a.rounds, a.seconds, tries=2, device=a.device)
    return dict(speedup=r['times']['channels_last']['speedup'], contiguous_s=r['times']['contiguous']['median_s'], rounds=r['rounds'])

def key(r): return r['depth'], r['batch_size'], r['image_size'], r['amp']

def agreed(row):
    "How far the repeats differ: the largest of their medians over the smallest; of more than three, without the outermost"
    medians = sorted(o['speedup'][1] for o in row['repeats'])
    if len(medians) > 4: medians = medians[1:-1]
    return medians[-1]/medians[0]

def todo(rows, a, by):
    "Pass by pass, so that repeats of one setup are some time apart; `None` where a new process is to start"
    from fastxtend_cl.callback.amp import default_amp_mode
    half = default_amp_mode(a.device)
    amps = ['fp32', *([half.value] if half else [])]
    all_ = {key(r):r for r in (dict(s, amp=amp) for axis in axes for s in setups(axis) for amp in amps)}
    for k in [*rows.rows]:
        if k not in all_: del rows.rows[k]
    for r in rows:
        if r['by'] != by: r['repeats'] = []
    for n in range(a.most):
        yield None
        for k,r in all_.items():
            row = rows.get(k)
            if len(row.get('repeats', [])) <= n and (n < a.repeats or agreed(row) > a.agree): yield r

def main():
    rows,worker = Rows(a, key),Worker()
    by = instrument(timing().interleave, timing().seconds, nets.step)
    for r in while_time(todo(rows, a, by), a):
        if r is None: worker.stop(); continue
        row = rows.get(key(r)) or dict(r, repeats=[])
        row['repeats'] = row['repeats']+[dict(worker(measure, {k:r[k] for k in axes}, r['amp'], a), run=rows.run)]
        rows.add(dict(row, by=by, median=median(o['speedup'][1] for o in row['repeats'])))
    worker.stop()
    rows.save()
    for r in rows: print(*key(r), [round(o['speedup'][1], 2) for o in r['repeats']])

if __name__ == '__main__': main()
