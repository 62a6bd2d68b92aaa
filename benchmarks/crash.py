"""A convolution that kills the process: 1x1, stride 2, fewer than 16 input channels, in channels last on a CPU, in the backward
pass. RepVGG, MobileOne and FastViT begin with one. Each configuration runs in a process of its own. Writes results/crash.json.

python benchmarks/crash.py
"""
import subprocess, sys
from common import environment, save

code = """
import sys, torch
from torch import nn
ni,last = int(sys.argv[1]),sys.argv[2]=='channels_last'
torch.manual_seed(0)
conv,x = nn.Conv2d(ni, 48, 1, stride=2, bias=False),torch.randn(4, ni, 96, 96)
if last: conv,x = conv.to(memory_format=torch.channels_last),x.to(memory_format=torch.channels_last)
for _ in range(8):
    others = [torch.randn(7*i+1) for i in range(50)]
    conv(x).sum().backward()
"""
rows = []
for fmt in ('contiguous', 'channels_last'):
    for ni in (1, 3, 8, 15, 16, 32):
        # glibc checks the heap, so that what is written beyond the end of a buffer is found at once
        res = subprocess.run([sys.executable, '-c', code, str(ni), fmt], capture_output=True, env={'MALLOC_CHECK_':'3', 'MALLOC_PERTURB_':'7', 'OMP_NUM_THREADS':'1'})
        rows.append(dict(format=fmt, channels=ni, exit_status=res.returncode))
save('crash', environment=environment(), rows=rows)
for r in rows: print(r)
