"""Is `channelslast_parity` quiet on networks that nobody chose? Small networks of layers, sizes, batches, data and losses drawn at random,
without a fault of ours: what differs in them is a false alarm, or a fault of PyTorch. Writes results/parity_random.json; goes on where it
stopped.

python benchmarks/random_nets.py --commit
"""
from common import arguments, begun, save
if __name__ == '__main__': a = arguments(__doc__, 'parity_random', device=False, fp32=1000, bf16=400, start=10_000)

import random, warnings
import torch
import torch.nn.functional as F
from torch import nn
from fastxtend_cl.parity import channelslast_parity, mean_square

warnings.filterwarnings('ignore')

def convolution(r, n, d):
    "A convolution of `n` channels in `d` dimensions, and the channels that it gives"
    conv,transposed = (nn.Conv3d,nn.ConvTranspose3d) if d == 3 else (nn.Conv2d,nn.ConvTranspose2d)
    k,stride,out = r.choice((1,1,3,3,5,7)) if d == 2 else r.choice((1,3)),r.choice((1,1,2)),r.choice((n,4,16,64,256))
    kind = r.choice(['dense']*9 + ['depthwise']*3 + ['two groups']*2 + ['transposed']*2 + ['dilated']*2 + ['1x1']*2)
    if kind == 'depthwise': return conv(n, n, k, stride, k//2, groups=n), n
    if kind == 'two groups' and n%2 == 0 == out%2: return conv(n, out, k, stride, k//2, groups=2), out
    if kind == 'transposed': return transposed(n, out, 2, 2), out
    if kind == 'dilated': return conv(n, out, 3, 1, 2, dilation=2), out
    return conv(n, out, 1 if kind == '1x1' else k, stride, 0 if kind == '1x1' else k//2, bias=r.random() < .5), out

def network(seed):
    "A network, a batch and the name of a loss"
    r,d = random.Random(seed),3 if seed%8 == 0 else 2
    torch.manual_seed(seed)
    n,bs,size = r.choice((3,4,8,12,16,32,64,128)),r.choice((1,2,3,4,8,16)),r.choice((2,3,5,7,8) if d == 3 else (2,3,5,7,8,14,16,28,33,56))
    if n*bs*size**2 > 2**20: size = 14
    batch_norm,pools,flat = ((nn.BatchNorm3d, [nn.AvgPool3d], nn.AdaptiveAvgPool3d) if d == 3 else
        (nn.BatchNorm2d, [nn.AvgPool2d,nn.MaxPool2d], nn.AdaptiveAvgPool2d))
    layers,width = [],n
    for _ in range(r.choice((1,2,3))):
        conv,width = convolution(r, width, d)
        norm = r.choice([batch_norm(width)]*3 + [nn.GroupNorm(2 - width%2, width), nn.Identity()])
        layers += [conv, norm, r.choice((nn.ReLU, nn.ReLU, nn.GELU, nn.SiLU, nn.Mish, nn.Hardswish, nn.Sigmoid, nn.Identity))()]
        if r.random() < .2: layers.append(r.choice(pools)(2, ceil_mode=True))
    if r.random() < .5: layers += [flat(1), nn.Flatten(), nn.Linear(width, 10)]
    x = r.choice((1,1,1,.01,100))*torch.randn(bs, n, *[size]*d) + r.choice((0,0,0,1,3))
    return nn.Sequential(*layers), x.relu() if r.random() < .3 else x, r.choice(list(losses))

losses = dict(square=mean_square, mean=lambda o: o.mean(), cube=lambda o: o.pow(3).sum(),
    entropy=lambda o: F.cross_entropy(o.flatten(2).mean(2) if o.dim() > 2 else o, torch.zeros(len(o), dtype=torch.long)))

def run(seed, amp):
    "A row: what parity says, and what it blames"
    model,x,loss = network(seed)
    row = dict(seed=seed, amp=amp)
    try: p = channelslast_parity(model, x, loss_func=losses[loss], amp=amp, progress=False)
    except (RuntimeError,ValueError) as e: return dict(row, ok=None, error=str(e)[:80])  # Too small for a batch norm or a pool
    def said(r):
        layer,contiguous = str(model[int(r.path)]) if r.path else 'all','' if r.contiguous is None else f'{r.contiguous:.1e}'
        return dict(layer=layer, result=r.what, where=r.where, error=f'{r.error:.1e}', contiguous=contiguous, over=f'{r.over:.2f}')
    more = {} if p.ok else dict(input=list(x.shape), loss=loss, differing=[said(r) for r in p.differing])
    return dict(row, ok=p.ok, tensors=len(p.rows), **more)

if __name__ == '__main__':
    torch.set_num_threads(1)
    rows = begun(a)
    done = {(o['amp'], o['seed']) for o in rows}
    for amp,n in dict(fp32=a.fp32, bf16=a.bf16).items():
        for seed in range(a.start, a.start+n):
            if (amp, seed) in done: continue
            rows.append(run(seed, amp))
            if rows[-1]['ok'] is False: print(rows[-1], flush=True)
            if seed%100 == 99: save(a, rows=rows)
    save(a, rows=rows)
