"""Why the bench calls a configuration twice in its turn and times the second call: step times of densenet121 in four
configurations that take turns of one call, and of two. As in the bench, contiguous fp32 takes part twice. Writes results/turns.json.

python benchmarks/turns.py
"""
import warnings
warnings.filterwarnings('ignore')
from copy import deepcopy
import torch
from fastxtend_cl.bench import interleave, quartiles, seconds
from fastxtend_cl.memory_format import apply_channels_last, to_channelslast
from common import environment, save
from models import build, step

def single(fns, rounds):
    "Turns of one call"
    secs = {k:[] for k in fns}
    for i in range(rounds):
        for k,f in fns.items(): secs[k].append(seconds(f))
    return {k:v[1:] for k,v in secs.items()}

torch.manual_seed(0)
model,x = build('densenet121', 'torchvision')[0],torch.randn(4,3,96,96)
last,xl = apply_channels_last(deepcopy(model)),to_channelslast(x)
fns = {'again':step(model, x, 'fp32'), **{f'{fmt} {amp}':step(m, o, amp) for amp in ('fp32','bf16') for fmt,m,o in (('contiguous',model,x), ('channels_last',last,xl))}}
res = {k:{o:quartiles(v) for o,v in secs.items()} for k,secs in dict(one_call=single(fns, 9), two_calls=interleave(fns, 8)).items()}
save('turns', environment=environment(), quartiles_s=res)
for k,v in res.items(): print(k, {o:f'{q[1]*1000:.0f} ms' for o,q in v.items()})
