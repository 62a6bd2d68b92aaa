"""2,000 training steps that switch format every 100, with a save and a load at every switch, against a run that never switches.
In float64 the losses must be the same. In fp32 they must be as near as those of a run whose first weights were moved by one
rounding step. Memory must stay flat (it is read on Linux only). Writes results/soak.json.

python benchmarks/soak.py --commit
"""
from common import arguments, memory_mb, save
if __name__ == '__main__': a = arguments(__doc__, 'soak', device=False, segments=20)

import gc, tempfile, warnings
warnings.filterwarnings('ignore')
from fastai.vision.all import *
from fastxtend_cl.all import *
from fastxtend_cl.test_utils import digits_dls

class Losses(Callback):
    order = 10_000
    def __init__(self, dtype): self.dtype,self.losses,self.formats = dtype,[],set()
    def before_batch(self):
        self.learn.xb = tuple(x.to(self.dtype) for x in self.xb)
        self.formats.add(memory_format(self.x))
    def after_loss(self):
        if self.training: self.losses.append(self.loss.item())

def train(dtype, switch, move=0.):
    "Losses of `--segments` x 100 steps, the resident memory after each segment, and the formats of the input in each"
    with tempfile.TemporaryDirectory() as tmp, less_random():
        dls = digits_dls(n=500, size=16, bs=20, drop_last=True)
        layers = ConvLayer(3, 16), ResBlock(1, 16, 32, stride=2), nn.AdaptiveAvgPool2d(1), Flatten(), nn.Linear(32, 10)
        model = nn.Sequential(*layers).to(dtype)
        with torch.no_grad():
            for p in model.parameters(): p.mul_(1+move)
        learn = Learner(dls, model, loss_func=CrossEntropyLossFlat(), lr=1e-3, path=Path(tmp), cbs=(cb := Losses(dtype)))
        memory,formats = [],[]
        with learn.no_bar(), learn.no_logging():
            for i in range(a.segments):
                if switch:
                    if i%2: learn.to_channelslast(use_amp=False)
                    elif i: learn.to_contiguous()
                    if i: learn.save('soak'); learn.load('soak')
                cb.formats.clear()
                learn.fit(5)
                formats.append('/'.join(sorted(cb.formats)))
                gc.collect()
                memory.append(memory_mb())
    return tensor(cb.losses, dtype=torch.float64),memory,formats

def far(a, b):
    "Largest difference of the means of ten losses"
    return (a-b).view(-1,10).mean(1).abs().max().item()

def main():
    double,double_switched = train(torch.float64, False),train(torch.float64, True)
    single,switched = train(torch.float32, False),train(torch.float32, True)
    moved = train(torch.float32, False, torch.finfo(torch.float32).eps)
    losses,memory,formats = switched
    growth = max(memory[5:])/memory[4]-1 if a.segments > 5 and memory[0] else None
    res = dict(steps=len(losses), formats=formats, float64_largest_difference=(double[0]-double_switched[0]).abs().max().item(),
        fp32_difference=far(single[0], losses), fp32_noise=far(single[0], moved[0]),
        first_loss=losses[0].item(), last_losses=losses[-10:].mean().item(), memory_mb=memory, memory_growth=growth)
    save(a, **res)
    print(res)
    assert res['float64_largest_difference'] < 1e-6 and (growth or 0) < .02 and res['fp32_difference'] < 3*res['fp32_noise']
    assert formats == (['contiguous','channels_last']*a.segments)[:a.segments]

if __name__ == '__main__': main()
