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
