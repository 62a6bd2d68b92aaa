"""Where does channels last start to pay? The ratio of step times, contiguous over channels last, against batch size, image
size and depth of a residual network. Writes results/growth-{device}.json and .png.

python benchmarks/growth.py [--device cuda] [--rounds 9]
"""
import argparse, json, warnings
warnings.filterwarnings('ignore')
from copy import deepcopy
import matplotlib
matplotlib.use('agg')
from fastai.vision.all import *
from torchvision import models as tv
from fastxtend_cl.all import *
from common import environment, interleave, results, save, speedups
from peers import learner, learner_step

axes = {'batch size':[1,2,4,8,16,32,64], 'image size':[32,64,96,128,192,256,384,512], 'depth':[10,18,34,50,101]}

def resnet(depth):
    if depth==10: return tv.ResNet(tv.resnet.BasicBlock, [1,1,1,1], num_classes=10)
    return getattr(tv, f'resnet{depth}')(num_classes=10)

def measure(depth, bs, size, device, amp, rounds):
    with less_random(): model,batch = resnet(depth),to_device((torch.rand(bs,3,size,size), torch.randint(10, (bs,))), device)
    learns = {o:learner(deepcopy(model), CrossEntropyLossFlat(), device, amp) for o in ('contiguous','channels_last')}
    learns['channels_last'].to_channelslast(use_amp=False)
    secs = interleave({o:learner_step(l, batch, True) for o,l in learns.items()}, rounds, warmup=2, device=device)
    return dict(depth=depth, batch_size=bs, image_size=size, amp=amp or 'fp32', **speedups(secs, 'contiguous'))

def plot(rows, env, path):
    fig,axs = plt.subplots(1, len(axes), figsize=(13,4), sharey=True)
    for ax,(axis,values) in zip(axs, axes.items()):
        for amp,c in zip(dict.fromkeys(r['amp'] for r in rows), ('#30638e','#d1495b')):
            sel = [r for r in rows if r['axis']==axis and r['amp']==amp]
            xs = [r[axis.replace(' ','_')] for r in sel]
            q = np.array([r['channels_last']['speedup'] for r in sel])
            ax.errorbar(range(len(xs)), q[:,1], yerr=[q[:,1]-q[:,0], q[:,2]-q[:,1]], marker='o', capsize=3, color=c, label=amp)
            ax.set_xticks(range(len(xs)), xs)
        ax.axhline(1, color='k', lw=.8)
        ax.set_xlabel(axis)
    axs[0].set_ylabel('times faster than contiguous')
    axs[0].legend(frameon=False)
    fig.suptitle(f"A training step in channels last on {env['device']}, {env['threads']} threads, torch {env['torch']}")
    fig.tight_layout()
    fig.savefig(path, dpi=110)

def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--device', default='cpu', choices=['cpu','cuda'])
    p.add_argument('--rounds', type=int, default=9)
    a = p.parse_args()
    env,name,mode = environment(a.device),f'growth-{a.device}',default_amp_mode(a.device)
    path,rows = results/f'{name}.json',[]
    if path.exists(): rows = json.loads(path.read_text())['rows']
    base = dict(depth=18, bs=8, size=96)
    todo = [(axis,v,amp) for axis,vs in axes.items() for v in vs for amp in ([None, mode.value] if mode else [None])]
    done = {(r['axis'], r[r['axis'].replace(' ','_')], r['amp']) for r in rows}
    for axis,v,amp in progress_bar([o for o in todo if (o[0],o[1],o[2] or 'fp32') not in done]):
        key = {'batch size':'bs', 'image size':'size', 'depth':'depth'}[axis]
        small = dict(bs=2) if axis=='image size' else {}
        rows.append(dict(axis=axis, **measure(**{**base, **small, key:v}, device=a.device, amp=amp, rounds=a.rounds)))
        save(name, environment=env, rounds=a.rounds, rows=rows)
    plot(rows, env, results/f'{name}.png')

if __name__ == '__main__': main()
