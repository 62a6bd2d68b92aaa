"""Is `channelslast_parity` to be believed? Faults that act in channels last only are planted in networks, one at a time: is each
found, in the layer that has it and in no other? And 60 architectures, untrained, without a fault, at batch 1, 2 and 8: is all quiet?
Writes results/parity_calibration.json.

python benchmarks/parity_calibration.py faults         # minutes
python benchmarks/parity_calibration.py alarms 0 1     # part 0 of 1 of the architectures; an hour on one core
"""
import json, sys, time, warnings
import torch
from torch import nn
import torch.nn.functional as F
from common import environment, results, save
from fastxtend_cl.parity import channelslast_parity

warnings.filterwarnings('ignore')

def last(x): return x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()

class Wrong(torch.autograd.Function):
    "`x` as it is; its gradient is `f` of what it should be"
    @staticmethod
    def forward(ctx, x, f):
        ctx.f = f
        return x.view_as(x)
    @staticmethod
    def backward(ctx, g): return ctx.f(g),None

def channel(y, size):
    y = y.clone()
    y[:, y.shape[1]//2] *= 1+size
    return y

def sample(y, size):
    y = y.clone()
    y[-1] *= 1+size
    return y

def border(y, size):
    y = y.clone()
    y[..., -1] *= 1+size
    return y

def position(y, size):
    "Every 61st element in memory"
    y = y.clone(memory_format=torch.channels_last)
    flat = y.permute(0, 2, 3, 1).reshape(-1)
    flat[::61] *= 1+size
    return flat.view(y.shape[0], *y.shape[2:], y.shape[1]).permute(0, 3, 1, 2)

def rolled(y, size): return y.roll(1, -1) if y.shape[-1]%2 else y

def plant(layer, fault, size=.01):
    "Let `layer`, a convolution or a batch norm, go wrong where its input is channels last"
    kind,right = type(layer),layer.forward
    def again(m, x, **params):
        "The layer's own forward with other parameters"
        old = {k:vars(m)['_parameters'][k] for k in params}
        vars(m)['_parameters'].update(params)
        try: return kind.forward(m, x)
        finally: vars(m)['_parameters'].update(old)
    def forward(x):
        if not last(x): return right(x)
        if fault == 'input gradient': return right(Wrong.apply(x, lambda g: g*(1+size)))
        if fault == 'parameter gradient': return again(layer, x, weight=Wrong.apply(layer.weight, lambda g: g*(1+size)))
        if fault == 'bias': return again(layer, x, bias=layer.bias*(1+size))
        y = right(x)
        if fault == 'forward': return y*(1+size)
        if fault == 'only bf16': return y*(1+size) if y.dtype == torch.bfloat16 else y
        if fault == 'only evaluation': return y if layer.training else y*(1+size)
        return {'one channel':channel, 'one sample':sample, 'border':border, 'memory position':position, 'stride at odd sizes':rolled}[fault](y, size)
    layer.forward = forward

class Residual(nn.Module):
    "A block with operations of its own, one of which may go wrong"
    fault = False
    def __init__(self, n):
        super().__init__()
        self.conv,self.bn = nn.Conv2d(n, n, 3, padding=1),nn.BatchNorm2d(n)
    def forward(self, x):
        y = F.relu(self.bn(self.conv(x)))
        pooled = F.avg_pool2d(x, 3, 1, 1)
        return y+(Wrong.apply(pooled, lambda g: g*1.01) if self.fault and last(x) else pooled)

def trained(model):
    "Batch norms as after training: no scale is 1, no bias is 0"
    for m in model.modules():
        if isinstance(m, nn.BatchNorm2d):
            nn.init.uniform_(m.weight, .5, 1.5)
            nn.init.normal_(m.bias, std=.3)
    return model

def small(): return nn.Sequential(nn.Conv2d(3, 16, 3, stride=2), nn.BatchNorm2d(16), nn.ReLU(inplace=True), Residual(16), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3, padding=1),
    nn.BatchNorm2d(32), nn.SiLU(), Residual(32), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10))

def hosts():
    import timm, torchvision
    from fastai.vision.models.xresnet import xresnet18
    return dict(small=small, resnet18=lambda: torchvision.models.resnet18(num_classes=10), regnety_004=lambda: timm.create_model('regnety_004', num_classes=10), xresnet18=lambda: xresnet18(n_out=10))

kinds = ['forward','input gradient','parameter gradient','bias','one channel','one sample','border','memory position','stride at odd sizes','only bf16','only evaluation','functional']

def faults():
    "A row for each fault, host and precision"
    rows = []
    for amp in ('fp32','bf16','fp16'):
        for host,make in hosts().items():
            if amp == 'fp16' and host in ('regnety_004','xresnet18'): continue  # Slow on a CPU
            for i,kind in enumerate(kinds):
                for layer_type in (nn.Conv2d, nn.BatchNorm2d):
                    if kind == 'functional' and (host != 'small' or layer_type is nn.BatchNorm2d): continue
                    torch.manual_seed(i)
                    model = trained(make())
                    found = [(k,m) for k,m in model.named_modules() if isinstance(m, layer_type)][1:] # The first has too few channels to tell the formats apart
                    if kind == 'bias' and layer_type is nn.Conv2d: found = [o for o in found if o[1].bias is not None]
                    if kind == 'functional': found = [(k,m) for k,m in model.named_modules() if isinstance(m, Residual)]
                    if not found: continue
                    x,shapes = torch.randn(4, 3, 35, 35),{}
                    hooks = [m.register_forward_hook(lambda m, _, y, k=k: shapes.update({k:y.shape})) for k,m in found]
                    with torch.no_grad(): model.eval()(x)
                    for h in hooks: h.remove()
                    # Where a layer can tell channels last from contiguous, and the fault can show
                    found = [(k,m) for k,m in found if min(shapes[k][1:]) > 1 and (kind != 'stride at odd sizes' or shapes[k][-1]%2)]
                    if not found: continue
                    path,layer = found[int(torch.randint(len(found), ()))]
                    if kind == 'functional': layer.fault = True
                    else: plant(layer, kind)
                    train,acts = kind != 'only evaluation',kind != 'only bf16' or amp == 'bf16'
                    p = channelslast_parity(model, x, amp=amp, train=train)
                    blamed = sorted({r.path for r in p.differing})
                    rows.append(dict(fault=kind, amp=amp, host=host, layer=layer_type.__name__ if kind != 'functional' else 'avg_pool2d', path=path, acts=acts, found=not p.ok, blamed=blamed,
                        right=blamed == ([path] if acts else []) and not p.left_out, over=max([r.error/max(r.allowed, 1e-30) for r in p.rows if r.path == path], default=0.), verdict=p.verdict))
                    if not rows[-1]['right']: print(rows[-1], p.left_out, flush=True)
    return rows

tv = 'alexnet densenet121 efficientnet_b0 googlenet inception_v3 mnasnet0_5 mobilenet_v2 mobilenet_v3_small regnet_x_400mf regnet_y_400mf resnet18 resnet50 resnext50_32x4d shufflenet_v2_x0_5 squeezenet1_1 vgg11_bn swin_t convnext_tiny vit_b_32 shufflenet_v2_x1_0'.split()
tm = '''mobilenetv2_050 tf_mobilenetv3_small_minimal_100 convmixer_768_32 convnextv2_atto cspresnet50 dla34 selecsls42 repvgg_a0 edgenext_xx_small efficientnet_lite0 efficientvit_b0 eca_resnet33ts fbnetc_100 fastvit_t8 gernet_s
ghostnet_100 hardcorenas_a hgnetv2_b0 skresnet18 rexnet_100 lcnet_050 semnasnet_075 mixnet_s mobilenetv4_conv_small mobileone_s0 nf_resnet26 poolformer_s12 regnety_004 res2net50_14w_8s resnest14d'''.split()
fa = 'xresnet18 xse_resnet18 xresnext18 unet_resnet18 unet_selfattention squeezenet1_0 darknet adaptive_concat pixelshuffle xresnet18_mish'.split()

def architectures():
    import timm, torchvision
    from fastai.vision.all import Mish, create_unet_model, create_vision_model, resnet18, squeezenet1_0, AdaptiveConcatPool2d, PixelShuffle_ICNR
    from fastai.vision.models import xresnet
    fastai = dict(xresnet18=lambda: xresnet.xresnet18(n_out=10), xse_resnet18=lambda: xresnet.xse_resnet18(n_out=10), xresnext18=lambda: xresnet.xresnext18(n_out=10),
        xresnet18_mish=lambda: xresnet.xresnet18(n_out=10, act_cls=Mish, sa=True), unet_resnet18=lambda: create_unet_model(resnet18, 2, (64,64), pretrained=False),
        unet_selfattention=lambda: create_unet_model(resnet18, 2, (64,64), pretrained=False, self_attention=True, blur=True), squeezenet1_0=lambda: create_vision_model(squeezenet1_0, 10, pretrained=False),
        darknet=lambda: create_vision_model(torchvision.models.resnet34, 10, pretrained=False), adaptive_concat=lambda: nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), AdaptiveConcatPool2d(2)),
        pixelshuffle=lambda: nn.Sequential(nn.Conv2d(3, 16, 3), PixelShuffle_ICNR(16, 8, blur=True), nn.Conv2d(8, 3, 3)))
    fastai['resnet34'] = fastai.pop('darknet')
    sizes = dict(inception_v3=96, alexnet=80, vit_b_32=64)
    def tv_make(k): return lambda: torchvision.models.get_model(k, num_classes=10, **({'init_weights':False} if k in ('googlenet','inception_v3') else {}), **({'image_size':64} if k == 'vit_b_32' else {}))
    return [*[('torchvision', k, tv_make(k), sizes.get(k, 48)) for k in tv], *[('timm', k, lambda k=k: timm.create_model(k, num_classes=10), sizes.get(k, 48)) for k in tm], *[('fastai', k, f, 48) for k,f in fastai.items()]]

def alarms(part, parts):
    "A row for each architecture, batch size and precision"
    path = results/f'parity_alarms_{part}_{parts}.json'
    rows = json.loads(path.read_text(encoding='utf-8')) if path.exists() else []
    done = {(r['name'], r['batch'], r['amp']) for r in rows}
    for bs,amp in ((2,'bf16'), (8,'fp32'), (1,'bf16'), (2,'fp32'), (8,'bf16'), (1,'fp32')):
        for source,name,make,size in architectures()[part::parts]:
            if (name, bs, amp) in done: continue
            torch.manual_seed(0)
            x,start = torch.randn(bs, 3, size, size),time.perf_counter()
            row = dict(source=source, name=name, batch=bs, size=size, amp=amp)
            try:
                p = channelslast_parity(make(), x, amp=amp)
                row.update(ok=p.ok, modules=p.modules, tensors=len(p.rows), nearest=max([r.error/max(r.allowed, 1e-30) for r in p.rows], default=0.), times=max([r.times for r in p.rows], default=0.),
                    differing=[(r.path, r.cls, r.what, r.where, r.error, r.contiguous, r.allowed) for r in p.differing][:5], random=p.random, left_out=p.left_out, verdict=p.verdict)
            except Exception as e: row.update(ok=None, error=f'{type(e).__name__}: {e}'[:200]) # Batch norm refuses one pixel of one sample, for instance
            rows.append(row)
            path.write_text(json.dumps(rows, indent=1), encoding='utf-8')
            print(name, bs, amp, f'{time.perf_counter()-start:.0f} s', row.get('verdict', row.get('error')), row.get('left_out') or '', flush=True)
    return rows

if __name__ == '__main__':
    torch.set_num_threads(1)
    path = results/'parity_calibration.json'
    done = json.loads(path.read_text()) if path.exists() else {}
    if sys.argv[1] == 'faults': done['faults'] = faults()
    if sys.argv[1] == 'alarms': alarms(int(sys.argv[2]), int(sys.argv[3]))
    if sys.argv[1] == 'join': done['alarms'] = [r for p in sorted(results.glob('parity_alarms_*.json')) for r in json.loads(p.read_text())]
    if sys.argv[1] in ('faults','join'):
        done['environment'] = environment()
        save('parity_calibration', **done)
    for amp in ('fp32','bf16','fp16'):
        rows = [r for r in done.get('faults', []) if r['amp'] == amp]
        print(amp, 'planted', sum(r['acts'] for r in rows), 'found and located', sum(r['right'] for r in rows if r['acts']), 'quiet where the fault does not act', sum(r['right'] for r in rows if not r['acts']))
    rows = [r for r in done.get('alarms', []) if r['ok'] is not None]
    print('architectures', len({r['name'] for r in rows}), 'runs', len(rows), 'false alarms', sum(not r['ok'] for r in rows))
