"""Does the bench recommend the right thing? For 20 architectures: the step time of the bench's choice against that of the best
configuration of a longer, exhaustive run of the same configurations. Goes on where it stopped; writes results/regret-{device}.json.

python benchmarks/regret.py [--device cuda]
"""
import argparse, json, time, warnings
warnings.filterwarnings('ignore')
from fastai.vision.all import *
from fastxtend_cl.all import *
from common import environment, results, save
from models import build

archs = [(o,'torchvision') for o in 'resnet18 resnet34 mobilenet_v2 squeezenet1_1 mnasnet0_5 shufflenet_v2_x0_5 densenet121 alexnet googlenet'.split()] + [
    (o,'timm') for o in 'convnext_atto_rms efficientnet_lite0 mobilenetv3_small_050 regnetx_002 ghostnet_050 edgenext_xx_small mobilevit_xxs lcnet_035 fasternet_t0 starnet_s050 resnet10t'.split()]

def regret(name, source, device, n=20):
    with less_random():
        model,sizes = build(name, source)
        x,y = to_device((torch.randn(4,3,sizes[0],sizes[0]), torch.arange(4)), device)
    run = partial(channelslast_bench, model.to(device), x, loss_func=nn.CrossEntropyLoss(), targets=(y,), memory=False)
    start = time.perf_counter()
    quick = run(n=n)
    took = time.perf_counter()-start
    long = run(n=25, budget=math.inf)
    secs = {str(r['config']):r['secs'][1] for r in long.rows if r['secs'] and r['parity']}
    chosen = secs.get(str(quick.best), math.inf)
    return dict(model=name, best=str(quick.best), exhaustive_best=min(secs, key=secs.get), regret=chosen/min(secs.values())-1, against_contiguous=chosen/secs['contiguous fp32']-1,
        noise=quick.noise, exhaustive_noise=long.noise, rounds=n, bench_s=took, secs=secs)

def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--device', default='cpu', choices=['cpu','cuda'])
    a = p.parse_args()
    name = f'regret-{a.device}'
    path = results/f'{name}.json'
    rows = json.loads(path.read_text())['rows'] if path.exists() else []
    for m,source in progress_bar([o for o in archs if o[0] not in {r['model'] for r in rows}]):
        rows.append(regret(m, source, a.device))
        save(name, environment=environment(a.device), rows=rows, worst_regret=max(r['regret'] for r in rows), worst_against_contiguous=max(r['against_contiguous'] for r in rows))
    print(pd.DataFrame(rows).drop(columns='secs').to_string())

if __name__ == '__main__': main()
