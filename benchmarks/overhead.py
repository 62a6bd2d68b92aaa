"""What the library itself costs: its callback for each batch, its import. Writes results/overhead.json.

python benchmarks/overhead.py
"""
import subprocess, sys, warnings
warnings.filterwarnings('ignore')
from statistics import median
from fastai.vision.all import *
from torch.utils.benchmark import Timer
from fastxtend_cl.all import *
from fastxtend_cl.test_utils import synth_dls
from common import environment, save

def callback_cost(x):
    "Microseconds of `before_batch` on a batch that is channels last already: all of the callback but the copy"
    learn = Learner(synth_dls(3,32,32), nn.Conv2d(3,8,3), loss_func=nn.CrossEntropyLoss()).to_channelslast(use_amp=False)
    learn.xb,learn.yb = (to_channelslast(x),),(torch.zeros(8).long(),)
    return Timer('cb("before_batch")', globals=dict(cb=learn.channels_last)).blocked_autorange(min_run_time=2).median*1e6

def import_cost():
    "Seconds that `import fastxtend_cl.all` takes after `fastai.vision.all`, in a new process"
    code = 'import time, fastai.vision.all\nt = time.perf_counter()\nimport fastxtend_cl.all\nprint(time.perf_counter()-t)'
    return float(subprocess.run([sys.executable, '-W', 'ignore', '-c', code], capture_output=True, text=True, check=True).stdout)

x = torch.randn(8,3,32,32)
res = dict(callback_us=dict(tensor=callback_cost(x), TensorImage=callback_cost(TensorImage(x))), import_s=sorted(import_cost() for _ in range(5)))
res['import_s_median'] = median(res['import_s'])
print(save('overhead', environment=environment(), **res).read_text())
