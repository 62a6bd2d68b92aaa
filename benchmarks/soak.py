"""2,000 training steps that switch format every 100, with a save and a load at every switch, against a run that never switches.
In float64 the losses must be the same. In fp32 they must be as near as those of a run whose first weights were moved by one
rounding step. Memory must stay flat. Writes results/soak.json.

python benchmarks/soak.py
"""
import gc, tempfile, warnings
warnings.filterwarnings('ignore')
from fastai.vision.all import *
from fastxtend_cl.all import *
from fastxtend_cl.test_utils import digits_dls
from common import environment, save

class Losses(Callback):
    order = 10_000
    def __init__(self, dtype): self.dtype,self.losses,self.formats = dtype,[],set()
    def before_batch(self):
        self.learn.xb = tuple(x.to(self.dtype) for x in self.xb)
        self.formats.add(memory_format(self.x))
    def after_loss(self):
        if self.training: self.losses.append(self.loss.item())

def resident():
    "Megabytes of this process in memory"
    return int(Path('/proc/self/statm').read_text().split()[1])*os.sysconf('SC_PAGE_SIZE')/2**20

def train(dtype, switch, move=0., segments=20):
    "Losses of `segments` x 100 steps, the resident memory after each segment, and the formats of the input in each"
    with tempfile.TemporaryDirectory() as tmp, less_random():
        dls = digits_dls(n=500, size=16, bs=20, drop_last=True)
        model = nn.Sequential(ConvLayer(3, 16), ResBlock(1, 16, 32, stride=2), nn.AdaptiveAvgPool2d(1), Flatten(), nn.Linear(32, 10)).to(dtype)
        with torch.no_grad():
            for p in model.parameters(): p.mul_(1+move)
        learn = Learner(dls, model, loss_func=CrossEntropyLossFlat(), lr=1e-3, path=Path(tmp), cbs=(cb := Losses(dtype)))
        memory,formats = [],[]
        with learn.no_bar(), learn.no_logging():
            for i in range(segments):
                if switch:
                    if i%2: learn.to_channelslast(use_amp=False)
                    elif i: learn.to_contiguous()
                    if i: learn.save('soak'); learn.load('soak')
                cb.formats.clear()
                learn.fit(5)
                formats.append('/'.join(sorted(cb.formats)))
                gc.collect()
                memory.append(resident())
    return tensor(cb.losses, dtype=torch.float64),memory,formats

def far(a, b):
    "Largest difference of the means of ten losses"
    return (a-b).view(-1,10).mean(1).abs().max().item()

double,double_switched = train(torch.float64, False),train(torch.float64, True)
single,switched,moved = train(torch.float32, False),train(torch.float32, True),train(torch.float32, False, torch.finfo(torch.float32).eps)
_,memory,formats = switched
res = dict(steps=len(switched[0]), formats=formats, float64_largest_difference=(double[0]-double_switched[0]).abs().max().item(),
    fp32_difference=far(single[0], switched[0]), fp32_noise=far(single[0], moved[0]), first_loss=switched[0][0].item(), last_losses=switched[0][-10:].mean().item(),
    memory_mb=memory, memory_growth=max(memory[5:])/memory[4]-1)
print(save('soak', environment=environment(), **res), res)
assert res['steps']==2000 and res['float64_largest_difference'] < 1e-6 and res['memory_growth'] < .02 and res['fp32_difference'] < 3*res['fp32_noise']
assert formats == ['contiguous','channels_last']*10
