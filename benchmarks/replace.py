"""Would a drop-in that keeps channels last be faster where a layer loses it? End to end, a training step of a network in which
the layer stands, with the layer as it is and with the candidate: same weights, outputs and gradients compared.
Writes results/replace-{device}.json.

python benchmarks/replace.py [--device cuda]
"""
import argparse, warnings
warnings.filterwarnings('ignore')
from fastai.vision.all import *
from fastxtend_cl.all import *
from common import environment, interleave, save, speedups
from models import relative

class GroupNormInstance(nn.InstanceNorm2d):
    "InstanceNorm2d as a GroupNorm with a group for each channel"
    def forward(self, x): return F.group_norm(x, x.shape[1], self.weight, self.bias, self.eps)

class GroupNormInstanceHalf(GroupNormInstance):
    "The same, in half precision under autocast"
    def forward(self, x):
        with torch.autocast(x.device.type, enabled=False): return super().forward(x)

class VarMeanInstance(nn.InstanceNorm2d):
    "InstanceNorm2d from mean and variance"
    def forward(self, x):
        var,mean = torch.var_mean(x.float(), (2,3), keepdim=True, correction=0)
        w = self.weight.view(1,-1,1,1)*(var+self.eps).rsqrt()
        return torch.addcmul((self.bias.view(1,-1,1,1)-mean*w).to(x.dtype), x, w.to(x.dtype))

class LastAttention(SelfAttention):
    "fastai's SelfAttention, whose product is laid out as channels last"
    def forward(self, x):
        flat = x.flatten(2)
        f,g,h = self.query(flat),self.key(flat),self.value(flat)
        beta = F.softmax(torch.bmm(f.transpose(1,2), g), dim=1)
        return (self.gamma*torch.bmm(beta.transpose(1,2), h.transpose(1,2))).transpose(1,2).unflatten(2, x.shape[2:]) + x

def style():
    "The image transformation network of Johnson et al., https://arxiv.org/abs/1603.08155, with instance norm"
    def conv(ni, nf, ks, stride=1): return nn.Sequential(nn.Conv2d(ni, nf, ks, stride, ks//2), nn.InstanceNorm2d(nf, affine=True), nn.ReLU())
    class Res(nn.Module):
        def __init__(self, nf): super().__init__(); self.body = nn.Sequential(conv(nf,nf,3), nn.Conv2d(nf,nf,3,padding=1), nn.InstanceNorm2d(nf, affine=True))
        def forward(self, x): return x+self.body(x)
    def up(ni, nf): return nn.Sequential(nn.Upsample(scale_factor=2), *conv(ni,nf,3))
    return nn.Sequential(conv(3,32,9), conv(32,64,3,2), conv(64,128,3,2), *[Res(128) for _ in range(5)], up(128,64), up(64,32), nn.Conv2d(32,3,9,padding=4))

def attentive(): return xresnet18(n_out=10, sa=True)

# layer: the network it stands in, its input, the candidates
work = {nn.InstanceNorm2d:(style, (2,3,128,128), [GroupNormInstance, GroupNormInstanceHalf, VarMeanInstance]), SelfAttention:(attentive, (8,3,128,128), [LastAttention])}

def with_class(model, old, new):
    for m in model.modules():
        if type(m) is old: m.__class__ = new
    return model

def step(model, x, amp):
    dtype = dict(bf16=torch.bfloat16, fp16=torch.float16).get(amp)
    def f():
        with torch.autocast(x.device.type, dtype=dtype or torch.bfloat16, enabled=dtype is not None): l = model(x).float().square().mean()
        l.backward()
        for p in model.parameters(): p.grad = None
    return f

def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--device', default='cpu', choices=['cpu','cuda'])
    p.add_argument('--rounds', type=int, default=15)
    a = p.parse_args()
    mode,rows = default_amp_mode(a.device),[]
    for layer,(make,shape,candidates) in work.items():
        x = torch.randn(shape, device=a.device)
        def net():
            torch.manual_seed(0)
            model = make().to(a.device)
            for m in model.modules():
                if isinstance(m, SelfAttention): nn.init.constant_(m.gamma, .5)  # fastai starts at 0, where attention does nothing
            return model
        nets = {'contiguous':net(), 'channels last':apply_channels_last(net()), **{c.__name__:with_class(apply_channels_last(net()), layer, c) for c in candidates}}
        inputs = {k:x if k=='contiguous' else to_channelslast(x) for k in nets}
        def result(k):
            out = nets[k](inputs[k])
            out.square().mean().backward()
            return out.detach(), torch.cat([p.grad.flatten() for p in nets[k].parameters()])
        found = {k:result(k) for k in nets}
        lost = {k:channelslast_summary(nets[k], inputs[k]).bytes for k in nets if k != 'contiguous'}
        for amp in (None, mode.value) if mode else (None,):
            secs = interleave({k:step(nets[k], inputs[k], amp) for k in nets}, a.rounds, device=a.device)
            r = speedups(secs, 'channels last')
            for k in nets:
                out,grad = found[k]
                rows.append(dict(layer=layer.__name__, net=make.__name__, variant=k, amp=amp or 'fp32', bytes=lost.get(k), median_ms=r[k]['median_s']*1000, speedup_over_channels_last=r[k]['speedup'],
                    output_difference=relative(out, found['contiguous'][0]), gradient_difference=relative(grad, found['contiguous'][1])))
        save(f'replace-{a.device}', environment=environment(a.device), rows=rows)
    print(pd.DataFrame(rows).to_string())

if __name__ == '__main__': main()
