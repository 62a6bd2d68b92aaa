"""One training step and one inference step of the same Learner: contiguous, with fastai's own ChannelsLast (which is also all
that Composer's apply_channels_last does), with this library, and, as the limit, a plain PyTorch loop in channels last with the
same optimizer. Writes results/peers-{device}.json and .md, and goes on where the same run was interrupted.

python benchmarks/peers.py --commit --rounds 31
"""
from common import arguments, begun, save, speedups, timing, while_time
def more(p): p.add_argument('--only', nargs='*', help='names of networks')
if __name__ == '__main__': a = arguments(__doc__, 'peers', minutes=True, parser=more, rounds=31)

import warnings
warnings.filterwarnings('ignore')
from copy import deepcopy
from fastai.vision.all import *
from fastai.callback.channelslast import ChannelsLast
from torchvision import models as tv
from fastxtend_cl.all import *
from fastxtend_cl.test_utils import synth_dls

class ImageToImage(nn.Module):
    "Super-resolution as in EDSR: residual blocks at full size, the image itself added at the end"
    def __init__(self, n=32, depth=6):
        super().__init__()
        self.head,self.tail = nn.Conv2d(3, n, 3, padding=1),nn.Conv2d(n, 3, 3, padding=1)
        def block(): return nn.Sequential(nn.Conv2d(n, n, 3, padding=1), nn.ReLU(), nn.Conv2d(n, n, 3, padding=1))
        self.body = nn.ModuleList(block() for _ in range(depth))
    def forward(self, x):
        y = self.head(x)
        for block in self.body: y = y + block(y)
        return x + self.tail(y)

def labels(bs): return torch.randint(10, (bs,))
def unet(): return create_unet_model(resnet34, 2, (256,256), pretrained=False)

# name: model, shape of the input, target, loss; the batch for a CPU, and for a GPU
work = {
    'resnet50':        (lambda: tv.resnet50(num_classes=10),        (3,128,128), labels, CrossEntropyLossFlat, 8, 64),
    'efficientnet_b0': (lambda: tv.efficientnet_b0(num_classes=10), (3,128,128), labels, CrossEntropyLossFlat, 8, 128),
    'convnext_tiny':   (lambda: tv.convnext_tiny(num_classes=10),   (3,128,128), labels, CrossEntropyLossFlat, 8, 64),
    'unet_resnet34':   (unet, (3,256,256), lambda bs: torch.randint(2, (bs,256,256)), partial(CrossEntropyLossFlat, axis=1), 2, 16),
    'image_to_image':  (ImageToImage, (3,128,128), lambda bs: torch.rand(bs,3,128,128), nn.L1Loss, 4, 32),
    'video_r3d_18':    (lambda: tv.video.r3d_18(num_classes=10), (3,8,64,64), labels, CrossEntropyLossFlat, 2, 16),
}
variants = ['contiguous', "fastai's ChannelsLast", 'fastxtend_cl', 'plain PyTorch loop']

def learner(model, loss, device, amp):
    learn = Learner(synth_dls(3,8,8, device=device), model, loss_func=loss)
    learn.remove_cb(ProgressCallback)
    return learn.add_cb(DeviceMixedPrecision(amp)) if amp else learn

def learner_step(learn, batch, train):
    "A function that runs one batch through `learn`'s own loop, with all its callbacks"
    learn.create_opt()
    learn.opt.set_hypers(lr=1e-4)
    learn.n_epoch,learn.epoch,learn.dl,learn.n_iter = 1,0,learn.dls.train,4
    learn('before_fit')
    learn('before_epoch')
    learn('before_train' if train else 'before_validate')
    def step():
        with torch.set_grad_enabled(train): learn.one_batch(0, batch)
    return step

def plain_step(model, loss, batch, device, amp, train):
    "The loop that a PyTorch user would write: channels last, and nothing around it"
    model = apply_channels_last(model.to(device)).train(train)
    opt = Adam(trainable_params(model), lr=1e-4, wd=0.)
    half,cuda = {'fp16':torch.float16, 'bf16':torch.bfloat16}.get(amp),device=='cuda'
    scaler = torch.amp.GradScaler(device, enabled=amp=='fp16')
    def step():
        x,*ys = (o.to(device, non_blocking=cuda) for o in batch)
        with torch.set_grad_enabled(train), torch.autocast(device, dtype=half or torch.bfloat16, enabled=half is not None):
            l = loss(model(to_channelslast(x)).float(), *ys)
        if not train: return
        scaler.scale(l).backward()
        if amp=='fp16': scaler.step(opt); scaler.update()
        else: opt.step()
        opt.zero_grad()
    return step

def measure(name, device, amp, train, rounds):
    make,shape,target,loss,bs,gpu_bs = work[name]
    bs = gpu_bs if device=='cuda' else bs
    with less_random():
        model,batch = make(),to_device((torch.rand(bs,*shape), target(bs)), device)
    learns = {v:learner(deepcopy(model), loss(), device, amp) for v in variants[:3]}
    learns[variants[1]].add_cb(ChannelsLast())
    learns[variants[2]].to_channelslast(use_amp=False)
    fns,error = {},None
    for v,l in learns.items():
        try: fns[v] = learner_step(l, batch, train)
        except RuntimeError as e: error = str(e)  # fastai's callback raises on parameters of rank 5
    fns[variants[3]] = plain_step(deepcopy(model), loss(), batch, device, amp, train)
    for f in fns.values(): f(), f()
    secs = timing().interleave(fns, rounds, device=device)
    return dict(model=name, amp=amp or 'fp32', step='train' if train else 'infer', batch=[bs,*shape],
        vs_contiguous=speedups(secs, variants[0]), fastai_error=error,
        vs_fastai=speedups(secs, variants[1])[variants[2]]['speedup'] if variants[1] in secs else None,
        vs_plain=speedups(secs, variants[3])[variants[2]]['speedup'])

def ratio(q): return '{1:.2f}x ({0:.2f} to {2:.2f})'.format(*q) if q else ''

def table(rows):
    df = pd.DataFrame([{'model':r['model'], 'precision':r['amp'], 'step':r['step'],
        'contiguous, ms':round(r['vs_contiguous']['contiguous']['median_s']*1000, 1),
        **{v:f"{r['vs_contiguous'][v]['speedup'][1]:.2f}x" if v in r['vs_contiguous'] else 'raises' for v in variants[1:]},
        "against fastai's":ratio(r['vs_fastai']), 'against plain PyTorch':ratio(r['vs_plain'])} for r in rows])
    cells = lambda o: '| ' + ' | '.join(map(str, o)) + ' |'
    return '\n'.join([cells(df.columns), cells(['---']*len(df.columns)), *map(cells, df.values)])

def main():
    mode,rows = default_amp_mode(a.device),begun(a)
    done = {(r['model'], r['amp'], r['step'] == 'train') for r in rows}
    todo = [(m,amp,t) for m in a.only or work for amp in ('fp32', *([mode.value] if mode else [])) for t in (True,False)]
    for m,amp,train in while_time([o for o in todo if o not in done], a):
        rows.append(measure(m, a.device, None if amp == 'fp32' else amp, train, a.rounds))
        rows.sort(key=lambda r: list(work).index(r['model']))
        save(a, rounds=a.rounds, rows=rows)
    if not rows: return
    a.path.with_suffix('.md').write_text(table(rows)+'\n', encoding='utf-8')
    print(table(rows))

if __name__ == '__main__': main()
