"""What the library itself costs: its callback for each batch, its import, the conversion of a model and its optimizer. Writes
results/overhead.json.

python benchmarks/overhead.py --commit
"""
from common import arguments, child_env, save, timing
if __name__ == '__main__': a = arguments(__doc__, 'overhead', device=False, imports=9, rounds=15)

import warnings
warnings.filterwarnings('ignore')
import subprocess, sys
from fastai.vision.all import *
from torch.utils.benchmark import Timer
from fastxtend_cl.all import *
from fastxtend_cl.test_utils import synth_dls

def callback_us(x):
    "Microseconds of `before_batch` on a batch that is channels last already: all of the callback but the copy"
    learn = Learner(synth_dls(3,32,32), nn.Conv2d(3,8,3), loss_func=nn.CrossEntropyLoss()).to_channelslast(use_amp=False)
    learn.xb,learn.yb = (to_channelslast(x),),(torch.zeros(8).long(),)
    return Timer('cb("before_batch")', globals=dict(cb=learn.channels_last)).blocked_autorange(min_run_time=2).median*1e6

def import_s():
    "Seconds that `import fastxtend_cl.all` takes after `fastai.vision.all`, in a new process"
    code = 'import time, fastai.vision.all\nt = time.perf_counter()\nimport fastxtend_cl.all\nprint(time.perf_counter()-t)'
    cmd = [sys.executable, '-W', 'ignore', '-c', code]
    return float(subprocess.run(cmd, stdout=subprocess.PIPE, encoding='utf-8', check=True, env=child_env()).stdout.split()[-1])

def conversion_s():
    "Seconds that it takes to convert a resnet50 and its optimizer with state, and back"
    from torchvision.models import resnet50
    model = resnet50()
    opt = torch.optim.AdamW(model.parameters())
    for p in model.parameters(): p.grad = torch.zeros_like(p)
    opt.step()
    there,back = [],[]
    for _ in range(a.rounds):
        there.append(timing().seconds(lambda: apply_channels_last(model, opt)))
        back.append(timing().seconds(lambda: apply_contiguous(model, opt)))
    return dict(to_channels_last=timing().quartiles(there), to_contiguous=timing().quartiles(back))

def main():
    x,quartiles = torch.randn(8,3,32,32),timing().quartiles
    imports = [import_s() for _ in range(a.imports)]
    res = dict(callback_us=dict(tensor=callback_us(x), TensorImage=callback_us(TensorImage(x))), import_s=sorted(imports),
        import_s_median=quartiles(imports)[1], conversion_s=conversion_s())
    save(a, **res)
    print(res)

if __name__ == '__main__': main()
