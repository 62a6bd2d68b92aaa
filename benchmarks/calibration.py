"""Is the bench an instrument? Plant what it must find, and count misses and false alarms.

faster: simulated benches in which every alternative equals the base. How often is one called faster all the same? And how often is
    one that is faster found? Writes results/calibration-faster.json.

faults: layers that are wrong in channels last only, in a learner, in one that accumulates or clips gradients, and in a plain module, in
    fp32, bf16 and fp16. Is each row of the bench called another result, and is the same model without the fault called the same?
    And from which size on, in units of what rounding does, is a fault found? Writes results/calibration-faults.json.
alarms: architectures of torchvision and timm, in which nothing is wrong, with batches of 1, 2 and 8, untrained and after some steps of
    training, in fp32 and bf16. Is any called another result? Writes results/calibration-alarms.json.
unets: fifty small U-Nets in which nothing is wrong, in fp32. How near do they come to what is allowed?
    Writes results/calibration-unets.json.

`faults` and `alarms` go on where they stopped.

python benchmarks/calibration.py faster|faults|alarms|unets --commit
"""
from common import arguments, begun, save, while_time
def what(p): p.add_argument('what', choices=['faster','faults','alarms','unets'])
if __name__ == '__main__':
    a = arguments(__doc__, 'calibration', device=False, minutes=True, parser=what, trials=1000, seeds=50)
    if not a.out: a.path = a.path.with_stem(f'calibration-{a.what}')
import gc, math, warnings
warnings.filterwarnings('ignore')
from copy import deepcopy
from itertools import product
from unittest.mock import patch
import numpy as np
import torch, torch.nn.functional as F
from torch import nn
from fastai.vision.all import (ConvLayer, CrossEntropyLossFlat, DataLoaders, Flatten, GradientAccumulation, GradientClip, Learner, TfmdDL,
    models)
from fastxtend_cl import precision, timing
from fastxtend_cl.bench import channelslast_bench
from fastxtend_cl.bench_measure import Measurement
from fastxtend_cl.bench_plan import BenchOptions
from fastxtend_cl.bench_report import BenchRow
from fastxtend_cl.memory_format import is_channels_last
from fastxtend_cl.trial import ModuleTrial
from fastxtend_cl.trial_config import TrialConfig
from fastxtend_cl.utils import less_random
from models import build

# ---- faster: noise as machines have it, as logarithms of `n` step times one after the other
def quiet(rng, n):      return rng.normal(0, .01, n)
def lognormal(rng, n):  return rng.normal(0, .05, n)
def spikes(rng, n):     return rng.normal(0, .03, n) + (rng.random(n) < .08)*rng.exponential(.5, n)  # Another process wakes up
def drift(rng, n):      return rng.normal(0, .02, n) + np.linspace(0, .4, n)  # A laptop throttles
def two_speeds(rng, n): return rng.normal(0, .005, n) + .15*(rng.random(n) < .5)
def _walk(rng, n, keep, size):
    x = np.zeros(n)
    for i in range(1, n): x[i] = keep*x[i-1] + rng.normal(0, size)
    return x
def autocorrelated(rng, n): return _walk(rng, n, .9, .04)
def switching(rng, n):  return rng.normal(0, .01, n) + .2*(np.cumsum(rng.random(n) < .1) % 2)  # Two speeds that last
noises = [quiet, lognormal, spikes, drift, two_speeds, autocorrelated, switching]

def simulated(noise, rounds, speeds, rng):
    "The bench's own turns and its own verdicts, on simulated step times of configurations as many times faster as `speeds` says"
    names = ['base','again', *map(str, range(len(speeds)))]
    times = iter(np.exp(noise(rng, rounds*len(names))))
    with patch.object(timing, 'seconds', lambda speed, device: next(times)/speed):
        secs = timing.interleave(dict(zip(names, [1, 1, *speeds])), rounds, warm=False)
    res = timing.speedups(secs, 'base', 'again')
    return [res[o].verdict for o in names[2:]]

def faster(a):
    rows,power,trials = [],[],a.trials
    for noise,k,rounds in product(noises, (1,3,7), (3,5,10,20)):
        rng = np.random.default_rng(rounds)
        wrong = sum('faster' in simulated(noise, rounds, [1]*k, rng) for _ in range(trials))
        rows.append(dict(noise=noise.__name__, alternatives=k, rounds=rounds, called_faster=wrong/trials))
        print(rows[-1], flush=True)
    for speed,rounds in product((1.03, 1.05, 1.1, 1.2, 1.5), (3,5,10,20)):
        rng = np.random.default_rng(rounds)
        found = sum(simulated(lognormal, rounds, [speed, 1, 1], rng)[0] == 'faster' for _ in range(trials))
        power.append({'speed-up':speed, 'rounds':rounds, 'found':found/trials})
    save(a, trials=trials, rows=rows, power=power, worst=max(r['called_faster'] for r in rows))

# ---- What the bench says of rows, without their times

def say(row):
    "What a row of the bench says, as JSON can hold it"
    told = row.sameness
    number = lambda x: x if x is None or math.isfinite(x) else None
    return dict(config=str(row.config), same=row.same, note=row.note, where=told and told.where, error=told and number(told.error),
        allowed=told and number(told.allowed))

def same_results(model, x, y, loss_func, configs, train=True):
    "The bench's rows of `configs`, the first contiguous fp32, without times"
    trial = lambda c: ModuleTrial(model, c, ((x,),(y,)), loss_func, train)
    run = Measurement(trial, [BenchRow(c) for c in configs], x.device, BenchOptions(train=train, budget=math.inf, memory=False))
    run.reference()
    for r in run.rows:
        run.check(r)
        run.layers(r)
    return run.rows

# ---- faults: a convolution, or its activation, that is wrong in channels last, by some times what rounding does to the tensor in question:
# the most that any right kernel is off, so that a fault of five times that is further from all of them than they are from each other
times,promised = (2, 3, 5, 7, 10, 15, 20, 30),dict(fp32=5, bf16=5, fp16=5)

def some(i, dim=0):
    "A function that makes index `i` of dimension `dim` of its tensor `1+s` times as large"
    def f(t, s):
        t = t.clone()
        t.select(dim, i).mul_(1+s)
        return t
    return f
def scaled(t, s): return t*(1+s)
def flipped(t, s): return -t
def zeroed(t, s): return t*0
def swapped(t, s): return t[[1, 0, *range(2, len(t))]]
def zero_last(t, s): return t*torch.arange(len(t), device=t.device).lt(len(t)-1).view(-1, *[1]*(t.dim()-1))
def border(t, s): return some(0, 2)(t, s)
def not_a_number(t, s):
    t = t.clone()
    t[0,0,1,1] = math.nan
    return t
def by_position(t, s):
    "Scales the first channel, or so it thinks: right in contiguous format only"
    t = t.clone()
    n,c,h,w = t.shape
    t.as_strided((n, h*w), (c*h*w, 1)).mul_(1+s)
    return t
# What is wrong: of which tensor, and how
faults = {'output scaled':('output', scaled), 'output, one channel':('output', some(3, 1)),
    'output, one sample':('output', some(-1)), 'output, border':('output', border),
    'output, by memory position':('output', by_position), 'output, samples swapped':('output', swapped),
    'output, last sample zeroed':('output', zero_last), 'output, a NaN':('output', not_a_number),
    'output, in evaluation only':('evaluation', scaled), 'input gradient scaled':('input', scaled),
    'input gradient, one channel':('input', some(2, 1)), 'input gradient flipped':('input', flipped),
    'input gradient zeroed':('input', zeroed), 'weight gradient scaled':('weight', scaled),
    'weight gradient, one filter':('weight', some(1)), 'bias gradient scaled':('bias', scaled),
    'bias gradient zeroed':('bias', zeroed), 'activation scaled':('activation', scaled)}

class Backward(torch.autograd.Function):
    "The same tensor, with a wrong gradient"
    @staticmethod
    def forward(ctx, x, f, size):
        ctx.f,ctx.size = f,size
        return x.view_as(x)
    @staticmethod
    def backward(ctx, g): return ctx.f(g, ctx.size), None, None

class Faulty(nn.Conv2d):
    "A convolution that is wrong in channels last"
    what,how,size = None,None,None
    def forward(self, x):
        wrong = self.what if is_channels_last(x) and (self.what != 'evaluation' or not self.training) else None
        bad = lambda t, name: Backward.apply(t, self.how, self.size) if wrong == name else t
        out = F.conv2d(bad(x, 'input'), bad(self.weight, 'weight'), bad(self.bias, 'bias'), self.stride, self.padding)
        return self.how(out, self.size) if wrong in ('output','evaluation') else out

class FaultyActivation(nn.LeakyReLU):
    "An activation that is wrong in channels last"
    what,how,size = None,None,None
    def forward(self, x):
        out = super().forward(x)
        return self.how(out, self.size) if self.what and is_channels_last(x) else out

def conv_step(seed):
    "The convolution of the model, what it gets in a contiguous fp32 step on a batch, and the gradient of what it gives"
    model,(x,y),seen = faulty_model(),data(seed=seed),{}
    note = lambda m, args, out: (seen.update(x=args[0].detach()), out.register_hook(lambda g: seen.update(g=g)))[0]
    hook = model[1].register_forward_hook(note)
    nn.CrossEntropyLoss()(model(x), y).backward()
    hook.remove()
    return model[1],seen['x'],seen['g']

def conv_tensors(conv, x, g, dtype=torch.float32, fmt=torch.contiguous_format, onednn=True, threads=1):
    "Output and gradients of a convolution, by the kernel that PyTorch then takes"
    wide = torch.promote_types(dtype, torch.float32)
    conv,(x,g) = deepcopy(conv).to(dtype=wide, memory_format=fmt),(t.clone().to(dtype=wide, memory_format=fmt) for t in (x, g))
    conv.zero_grad()
    torch.set_num_threads(threads)
    with torch.backends.mkldnn.flags(enabled=onednn), torch.autocast('cpu', dtype=dtype, enabled=dtype != wide):
        out = conv(x.requires_grad_())
        out.backward(g.to(out.dtype))
    return dict(output=out.detach(), input=x.grad, weight=conv.weight.grad, bias=conv.bias.grad)

def furthest(b, y):
    "How far `b` is from `y` in its worst channel, sample or filter, as a share of it; a vector as a whole"
    sizes = lambda t, d: t.double().transpose(0, d).reshape(t.shape[d] if t.dim() > 1 else 1, -1).norm(dim=1)
    return max((sizes(b-y, d)/(n := sizes(y, d)).clamp(min=1e-3*n.max())).max().item() for d in range(min(y.dim(), 2)))

def rounding(amp):
    "How far any right kernel of PyTorch is from float64, for each tensor of the convolution: in either format, by oneDNN or without it"
    found,threads,dtype = {},torch.get_num_threads(),dict(bf16=torch.bfloat16, fp16=torch.float16).get(amp, torch.float32)
    kernels = [*product((torch.contiguous_format, torch.channels_last), (True,False), (1,2))]
    for seed in range(8):
        step = conv_step(seed)
        exact = conv_tensors(*step, torch.float64)
        for b,(k,y) in product([conv_tensors(*step, dtype, *o) for o in kernels], exact.items()):
            found[k] = max(found.get(k, 0), furthest(b[k], y))
    torch.set_num_threads(threads)
    return {**found, 'evaluation':found['output'], 'activation':found['output']}

def faulty_model(fault=None, size=None):
    with less_random(): model = nn.Sequential(ConvLayer(3, 8), Faulty(8, 8, 3, padding=1), FaultyActivation(), ConvLayer(8, 16, stride=2),
        nn.AdaptiveAvgPool2d(1), Flatten(), nn.Linear(16, 10))
    if fault:
        bad = model[1 + (fault == 'activation scaled')]
        (bad.what,bad.how),bad.size = faults[fault],size
    return model

def data(n=4, size=20, seed=7):
    with less_random(seed): return torch.randn(n, 3, size, size), torch.randint(10, (n,))

def of_learner(model, *cbs):
    items = list(zip(*data(16)))
    dls = DataLoaders(*(TfmdDL(items, bs=4, num_workers=0) for _ in range(2)))
    learn = Learner(dls, model, loss_func=CrossEntropyLossFlat(), cbs=cbs)
    return learn.channelslast_bench
def of_module(model):
    return lambda **kwargs: channelslast_bench(model, data()[0], loss_func=nn.CrossEntropyLoss(), targets=data()[1], **kwargs)
places = dict(learner=of_learner, accumulation=lambda m: of_learner(m, GradientAccumulation(64)),
    clipping=lambda m: of_learner(m, GradientClip(.01)), module=of_module)

sized = [k for k,(_,how) in faults.items() if how not in (flipped, zeroed, swapped, zero_last, not_a_number)]

def plant_one(fault, place, amp, size):
    "What the whole bench says of a fault"
    with patch.object(precision, 'cpu_has', lambda _: True):  # fp16 is calculated on any CPU, if slowly
        res = places[place](faulty_model(fault, size))(formats='channels_last', amp_modes=amp, n=3, memory=False, budget=600,
            train=fault != 'output, in evaluation only')
    return next(r for r in res.rows if r.config == TrialConfig('channels_last', amp))

def by_size(amp, rounds):
    "Of the faults that have a size, how many are found, by how many times the rounding they are"
    configs = list(dict.fromkeys([TrialConfig(), TrialConfig('channels_last', amp)]))
    for n in times:
        found = []
        for fault in sized:
            model = faulty_model(fault, n*rounds[faults[fault][0]])
            rows = same_results(model, *data(), nn.CrossEntropyLoss(), configs, fault != 'output, in evaluation only')
            if rows[1].same is False: found.append(fault)
        yield dict(amp=amp, times=n, planted=len(sized), found=len(found), missed=[o for o in sized if o not in found])

def plant(a):
    rows,rounds = begun(a),{amp:rounding(amp) for amp in promised}
    done = {(r['amp'], r['place'], r['fault']) for r in rows}
    def keep(**kwargs):
        bad = [r for r in rows if not r['ok']]
        save(a, rounding=rounds, promised=promised, rows=rows, planted=sum(r['fault'] != 'none' for r in rows),
            missed=sum(r['fault'] != 'none' for r in bad), false_alarms=sum(r['fault'] == 'none' for r in bad), **kwargs)
    for place,amp in product(places, rounds):
        for fault in [None, *faults]:
            if (amp, place, fault or 'none') in done: continue
            size = promised[amp]*rounds[amp][faults[fault][0]] if fault else 0
            row = plant_one(fault, place, amp, size)
            rows.append(dict(fault=fault or 'none', place=place, amp=amp, size=size, ok=row.same is (fault is None), **say(row)))
            if not rows[-1]['ok']: print(rows[-1], flush=True)
        keep()
    keep(sizes=[o for amp in rounds for o in by_size(amp, rounds[amp])])

# ---- alarms: nothing is wrong with these
archs = [(o,'timm') for o in 'lcnet_035 mobilenetv2_050 regnetx_002 resnet10t starnet_s050 fasternet_t0 ghostnet_050 mobilevit_xxs '
    'edgenext_xx_small efficientnet_lite0 convnext_atto'.split()] + [
    (o,'torchvision') for o in 'shufflenet_v2_x0_5 mnasnet0_5 mobilenet_v3_small squeezenet1_1 mobilenet_v2 resnet18 alexnet '
        'regnet_y_400mf efficientnet_b0 googlenet'.split()]

def trained(model, size, steps=10):
    "`model` after some steps"
    opt = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1e-2, momentum=.9)
    for i in range(steps):
        with less_random(i): x = torch.randn(8, 3, size, size)
        out = model(x)
        first_loss(out, torch.arange(8) % 10).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.)
        opt.step()
        opt.zero_grad()
    return model

def first(out): return out[0] if isinstance(out, (tuple,list)) else out
def first_loss(out, y): return F.cross_entropy(first(out), y)

def alarms(a, size=64):
    rows = begun(a)
    done = {(r['model'], r['training'], r['bs']) for r in rows}
    configs = [TrialConfig(f, a) for a in ('fp32','bf16') for f in ('contiguous','channels_last')]
    for steps,(name,source) in while_time([*product((0,10), archs)], a):
        if all((name, steps, n) in done for n in (1,2,8)): continue
        with less_random(): model = build(name, source)[0]
        if steps: trained(model, size, steps)
        for n in (1,2,8):
            if (name, steps, n) in done: continue
            with less_random(n): x,y = torch.randn(n, 3, size, size),torch.randint(10, (n,))
            what = dict(model=name, source=source, training=steps, bs=n)
            try: found = [{**what, **say(r)} for r in same_results(model, x, y, first_loss, configs)]
            except Exception as e: found = [{**what, 'config':'all', 'same':None, 'where':f'{type(e).__name__}: {str(e)[:100]}'}]
            rows += found
            for r in found:
                if r['same'] is not True: print(r, flush=True)
        save(a, size=size, rows=rows, compared=sum(r['same'] is not None for r in rows),
            false_alarms=sum(r['same'] is False for r in rows), cannot_tell=sum(r['same'] is None for r in rows))
        gc.collect()

# ---- unets: sums of many kinds, up and down; batches so small that much cancels

def unet(seed):
    "A small U-Net, its batch and targets"
    n,wide = (1,2,4)[seed%3],(8,12,16)[seed//3%3]
    with less_random(seed):
        body = nn.Sequential(ConvLayer(3, wide), *(ConvLayer(wide, wide, stride=2) for _ in range(2+seed%2)))
        return models.unet.DynamicUnet(body, 4, (32,32), last_cross=seed%4 < 2), torch.randn(n, 3, 32, 32), torch.randint(4, (n,32,32))

def unets(a):
    rows = []
    for seed in range(a.seeds):
        row = same_results(*unet(seed), F.cross_entropy, [TrialConfig(), TrialConfig('channels_last')])[1]
        rows.append(dict(seed=seed, **say(row), strain=row.sameness.strain))
        if not row.same: print(rows[-1], flush=True)
    save(a, rows=rows, same=sum(r['same'] is True for r in rows),
        false_alarms=sum(r['same'] is False for r in rows), largest_strain=max(r['strain'] for r in rows))

if __name__ == '__main__': dict(faster=faster, faults=plant, alarms=alarms, unets=unets)[a.what](a)
