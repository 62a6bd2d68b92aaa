"""Why the bench calls a configuration twice in its turn and times the second call: step times of densenet121 in four
configurations that take turns of one call, and of two. As in the bench, contiguous fp32 takes part twice. Writes results/turns.json.

python benchmarks/turns.py --commit
"""
from common import arguments, save, timing
if __name__ == '__main__': a = arguments(__doc__, 'turns', device=False, rounds=9)

import warnings
warnings.filterwarnings('ignore')
from copy import deepcopy
import torch
from fastxtend_cl.memory_format import apply_channels_last, to_channelslast
from nets import build, step

def main():
    t = timing()
    model,x = build('densenet121', 'torchvision')[0],torch.randn(4,3,96,96)
    last,xl = apply_channels_last(deepcopy(model)),to_channelslast(x)
    formats = (('contiguous',model,x), ('channels_last',last,xl))
    fns = {'again':step(model, x, 'fp32'), **{f'{fmt} {amp}':step(m, o, amp) for amp in ('fp32','bf16') for fmt,m,o in formats}}
    turns = {k:t.interleave(fns, a.rounds, warm=warm) for k,warm in dict(one_call=False, two_calls=True).items()}
    res = {k:{o:t.quartiles(v[1:]) for o,v in secs.items()} for k,secs in turns.items()}
    save(a, quartiles_s=res)
    for k,v in res.items(): print(k, {o:f'{q[1]*1000:.0f} ms' for o,q in v.items()})

if __name__ == '__main__': main()
