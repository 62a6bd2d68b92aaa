"What every benchmark here says of itself: the machine and the versions it ran with"
import json, os, platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
import torch

results = Path(__file__).parent/'results'

def _version(name):
    try: return version(name)
    except PackageNotFoundError: return None

def environment(device='cpu'):
    "Machine, CPU features or GPU, and versions"
    gpu = torch.device(device).type == 'cuda'
    cpu = [l.split(':')[1].strip() for l in open('/proc/cpuinfo') if l.startswith('model name')] if Path('/proc/cpuinfo').exists() else []
    caps = torch.cpu.get_capabilities() if hasattr(torch.cpu, 'get_capabilities') else {}
    return dict(device=torch.cuda.get_device_name() if gpu else (cpu or [platform.processor()])[0], cores=os.cpu_count(),
        threads=torch.get_num_threads(), cpu_features=[k for k in ('avx2','avx512_f','avx512_bf16','avx512_fp16','amx_bf16') if caps.get(k)],
        cuda=torch.version.cuda if gpu else None, cudnn=torch.backends.cudnn.version() if gpu else None, python=platform.python_version(),
        **{o:_version(o) for o in ('torch','torchvision','fastai','fastcore','timm','fastxtend_cl')})

def save(name, **kwargs):
    "Write `kwargs` to `results/{name}.json` and return its path"
    results.mkdir(exist_ok=True)
    path = results/f'{name}.json'
    path.write_text(json.dumps(kwargs, indent=1)+'\n')
    return path

def interleave(fns, rounds=15, warmup=2, device='cpu'):
    "Seconds of each of `fns`, a dict of functions, in `rounds` rounds that time each once, in turning order, after `warmup` calls of each"
    from fastxtend_cl.bench import interleave
    for _ in range(warmup):
        for f in fns.values(): f()
    return interleave(fns, rounds, device=device)

def speedups(secs, base):
    "Quartiles over the rounds of how many times faster than `base` each is; and the median seconds of each"
    from fastxtend_cl.bench import quartiles
    return {k:dict(speedup=quartiles([b/o for b,o in zip(secs[base], v)]), median_s=quartiles(v)[1]) for k,v in secs.items()}
