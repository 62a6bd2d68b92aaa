"""Does the bench recommend the right thing? For 20 architectures: the step time of the bench's choice against that of the best
configuration of a longer, exhaustive run of the same configurations. Writes results/regret-{device}.json, and goes on where
the same run was interrupted.

python benchmarks/regret.py --commit --minutes 12
"""
from common import arguments, begun, save, while_time
if __name__ == '__main__': a = arguments(__doc__, 'regret', minutes=True, rounds=20, long=25)

import warnings
warnings.filterwarnings('ignore')
import math, time
from functools import partial
import torch
from fastai.torch_core import to_device
from torch import nn
from fastxtend_cl.bench import channelslast_bench
from fastxtend_cl.utils import less_random
from nets import build, source_of

archs = """resnet18 resnet34 mobilenet_v2 squeezenet1_1 mnasnet0_5 shufflenet_v2_x0_5 densenet121 alexnet googlenet convnext_atto_rms
efficientnet_lite0 mobilenetv3_small_050 regnetx_002 ghostnet_050 edgenext_xx_small mobilevit_xxs lcnet_035 fasternet_t0
starnet_s050 resnet10t""".split()

def regret(name):
    with less_random():
        model,sizes = build(name, source_of(name))
        x,y = to_device((torch.randn(4,3,sizes[0],sizes[0]), torch.arange(4)), a.device)
    run = partial(channelslast_bench, model.to(a.device), x, loss_func=nn.CrossEntropyLoss(), targets=(y,), memory=False)
    start = time.perf_counter()
    quick = run(n=a.rounds)
    took = time.perf_counter()-start
    long = run(n=a.long, budget=3600.)
    secs = {str(r.config):r.step_s for r in long.rows if r.step_s and (r is long.rows[0] or r.same)}
    chosen = secs.get(str(quick.best), math.inf)
    return dict(model=name, best=str(quick.best), exhaustive_best=min(secs, key=secs.get),
        regret=chosen/min(secs.values())-1, against_contiguous=chosen/secs['contiguous fp32']-1,
        noise=quick.noise, exhaustive_noise=long.noise, rounds=a.rounds, bench_s=took, secs=secs)

def main():
    rows = begun(a)
    for m in while_time([o for o in archs if o not in {r['model'] for r in rows}], a):
        rows.append(regret(m))
        save(a, rows=rows, worst_regret=max(r['regret'] for r in rows), worst_against_contiguous=max(r['against_contiguous'] for r in rows))
    for r in rows: print(f"{r['model']:24} {r['best']:24} regret {r['regret']:.1%}, against contiguous {r['against_contiguous']:+.1%}")

if __name__ == '__main__': main()
