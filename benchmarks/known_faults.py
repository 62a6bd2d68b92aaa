"""What PyTorch's issues tell of wrong results in channels last, as small checks of the PyTorch at hand: is the fault live, mended,
or not tried here? Writes results/known_faults-{torch version}.json. Needs PyTorch only.

python benchmarks/known_faults.py --commit
"""
from common import arguments
if __name__ == '__main__': a = arguments(__doc__, 'known_faults', device=False)

import json, os, platform, subprocess, sys
from pathlib import Path
import torch
import torch.nn.functional as F
from torch import nn

last = dict(memory_format=torch.channels_last)

def far(a, b, tol=1e-3):
    "Is `a` further from `b` than rounding could take it?"
    a,b = a.detach().double().cpu(),b.detach().double().cpu()
    return bool(not torch.isfinite(a).all() or (a-b).norm() > tol*b.norm())

def gradients(f, x, g):
    "Output and input gradient of `f` on `x` with the output gradient `g`"
    x = x.detach().requires_grad_()
    y = f(x)
    y.backward(g.to(y.dtype))
    return y, x.grad

def avg_pool(device):
    x,g = torch.randn(2, 8, 9, 9, device=device),torch.randn(2, 8, 9, 9, device=device)
    f = lambda x: F.avg_pool2d(x, 3, 1, 1)
    return far(gradients(f, x.to(**last), g.to(**last))[1], gradients(f, x.cpu(), g.cpu())[1])

def one_channel(device):
    conv,x = nn.Conv2d(1, 64, 3, padding=1, bias=False).to(device),torch.randn(1, 1, 100, 100, device=device)
    y = conv(x)
    return far(conv.to(**last)(x), y)

def conv_transpose(device):
    conv,x = nn.ConvTranspose2d(1, 2, 5).to(device),torch.ones(1, 1, 2, 2, device=device)
    y = conv(x)
    conv.weight.data = conv.weight.data.contiguous(**last)
    return any(far(conv(x.contiguous(**last)), y) for _ in range(5))

def batch_norm_half(device):
    bn,x = nn.BatchNorm2d(64).eval().to(device).half(),torch.randn(2, 64, 50, 50, device=device).half()
    return far(bn(x.to(**last)), bn(x), .01)

def offset(device):
    x = torch.randn(1, 65, 64, device=device)[:, 1:].reshape(1, 8, 8, 64).permute(0, 3, 1, 2)
    bn = nn.BatchNorm2d(64).eval()
    return far(F.avg_pool2d(x, 2), F.avg_pool2d(x.cpu(), 2)) or far(bn.to(device)(x), bn.cpu()(x.cpu()))

def channel_slice(device):
    x,w = torch.randn(1, 2, 8, 8, device=device).contiguous(**last)[:, :1],torch.randn(1, 1, 1, 1, device=device)
    return far(F.conv2d(x, w), F.conv2d(x.contiguous(), w))

def cat(device):
    a,b = (torch.randn(2, 4, 8, 8, device=device) for _ in range(2))
    return far(torch.cat([a.to(**last), b.to(**last)], 1), torch.cat([a.cpu(), b.cpu()], 1))

def conv_backward(device):
    conv,x,g = nn.Conv2d(8, 16, 3, padding=1).to(device),torch.randn(2, 8, 9, 9, device=device),torch.randn(2, 16, 9, 9, device=device)
    want = gradients(conv, x, g)
    return any(map(far, gradients(conv.to(**last), x.to(**last), g.to(**last)), want))

def batch_norm_backward(device):
    bn,x,g = nn.BatchNorm2d(8).to(device),torch.randn(2, 8, 9, 9, device=device),torch.randn(2, 8, 9, 9, device=device)
    want = gradients(bn, x, g)
    return any(far(o, w) for xx in (x, x.to(**last)) for gg in (g, g.to(**last)) for o,w in zip(gradients(bn, xx, gg), want))

def conv3d(device):
    conv,x = nn.Conv3d(3, 8, 3, padding=1).to(device),torch.randn(1, 3, 6, 8, 8, device=device)
    y = conv(x)
    return far(y, F.conv3d(x.cpu(), conv.weight.cpu(), conv.bias.cpu(), padding=1))

def conv3d_bf16(device):
    conv,x = nn.Conv3d(16, 16, 3, padding=1).to(device, torch.bfloat16),torch.randn(2, 16, 8, 16, 16, device=device, dtype=torch.bfloat16)
    return far(conv(x), F.conv3d(x.cpu().float(), conv.weight.cpu().float(), conv.bias.cpu().float(), padding=1), .05)

def upstream(name, *args):
    "Exit status of a program that shows a fault; glibc checks the heap, so that what is written beyond a buffer is found soon"
    env = {**os.environ, 'MALLOC_CHECK_':'3', 'MALLOC_PERTURB_':'7', 'OMP_NUM_THREADS':'1'}
    program = Path(__file__).parent/'upstream'/f'{name}.py'
    return subprocess.run([sys.executable, str(program), *args], capture_output=True, env=env).returncode

def strided(device):
    "What lies behind the buffer differs from run to run"
    return any(upstream('strided_1x1_conv', n) for n in ('3','8','15')) if sys.platform == 'linux' else None

def fused_adam(device):
    "A fused optimizer after a conversion that leaves its state behind; wrong by our own doing, so it stays live"
    def steps(fused, convert):
        torch.manual_seed(0)
        conv = nn.Conv2d(4, 8, 3).double().to(device)
        opt = torch.optim.AdamW(conv.parameters(), lr=.1, fused=fused)
        for i in range(6):
            if i == 3 and convert: conv.to(**last)
            opt.zero_grad()
            x = torch.randn(2, 4, 9, 9, dtype=torch.double, generator=torch.Generator().manual_seed(i))
            conv(x.to(device)).square().mean().backward()
            opt.step()
        return conv.weight
    return far(steps(True, True), steps(True, False), 1e-6)

def ddp_late(device):
    "In two processes; the program says by its exit status whether any gradient was wrong"
    return upstream('ddp_converted_late') == 1 if torch.distributed.is_available() else None

def instance_norm(device):
    norm,x,g = nn.InstanceNorm2d(16, affine=True).to(device),torch.randn(1, 16, 8, 8, device=device),torch.randn(1, 16, 8, 8, device=device)
    return far(gradients(norm, x, g.to(**last))[1], gradients(norm, x, g)[1])

def group_norm(device):
    "Its variance is the difference of two means there"
    norm,x = nn.GroupNorm(4, 16).to(device),100+torch.randn(2, 16, 32, 32, device=device)
    return far(norm(x.to(**last)), norm.double()(x.double()))

def tiny_bf16(device):
    "In both formats, but in more cases in channels last; the program says by its exit status whether any gradient was wrong"
    return upstream('bf16_weight_gradient') == 1

cuda_only,mps_only = ('cuda',),('mps',)
checks = [
    (188344, 'gradient of avg_pool2d with padding', cuda_only, avg_pool),
    (82060, 'convolution with one input channel, contiguous input', ('cpu',), one_channel),
    (99519, 'ConvTranspose2d with a channels-last weight', ('cpu',), conv_transpose),
    (62594, 'BatchNorm2d, fp16, evaluation', cuda_only, batch_norm_half),
    (67239, 'a ResNet on CIFAR lost 6 points', (), None),
    (64039, 'SyncBatchNorm backward, only the gradient channels last', (), None),
    (174345, 'batch norm and average pooling with a storage offset', mps_only, offset),
    (180984, 'convolution of a channel slice', mps_only, channel_slice),
    (89353, 'cat', mps_only, cat),
    (142344, 'backward pass of a convolution', mps_only, conv_backward),
    (175189, 'backward pass of batch norm', mps_only, batch_norm_backward),
    (197114, 'Conv3d in contiguous format', mps_only, conv3d),
    (163539, 'conv3d in bf16', cuda_only, conv3d_bf16),
    (0, 'backward pass of a strided 1x1 convolution writes beyond its buffer', ('cpu',), strided),
    (0, 'InstanceNorm, gradients of one image if only the output gradient is channels last', ('cpu','cuda'), instance_norm),
    (0, 'weight gradient of a convolution of a very small image in bf16 is not written whole', ('cpu',), tiny_bf16),
    (0, 'GroupNorm of values far from zero (mean 100, deviation 1): off by over 0.1%', ('cpu','cuda'), group_norm),
    (0, 'fused AdamW after a conversion without its state', ('cpu','cuda'), fused_adam),
    (0, "DDP's first gradient if the model is converted after wrapping", ('cpu',), ddp_late)]

def has(device):
    if device == 'cuda': return torch.cuda.is_available()
    return device == 'cpu' or device == 'mps' and torch.backends.mps.is_available()

def main():
    rows = []
    for issue,what,devices,check in checks:
        for device in [o for o in devices if has(o)] or [devices[0] if devices else '']:
            torch.manual_seed(0)
            live = check(device) if check and has(device) else None
            state = 'not tried here' if live is None else 'live' if live else 'mended'
            rows.append(dict(issue=issue, what=what, device=device, state=state))
    env = dict(torch=torch.__version__, python=platform.python_version(), machine=platform.machine(), cuda=torch.version.cuda,
        cudnn=torch.backends.cudnn.version() if torch.cuda.is_available() else None)
    file = a.out or a.path.with_name(f"known_faults-{torch.__version__.split('+')[0]}.json")
    file.write_text(json.dumps(dict(environment=env, rows=rows), indent=1)+'\n', encoding='utf-8')
    for r in rows: print(f"{r['issue'] or 'found here':>10}  {r['device']:5} {r['state']:15} {r['what']}")

if __name__ == '__main__': main()
