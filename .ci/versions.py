"""Prove the versions that the metadata promises: for each Python, with the lowest and the newest releases that it allows, build an
environment as a user has it (uv; without nbdev), run all notebooks in it (`.ci/run_notebooks.py`), and note what happened in
benchmarks/results/versions.json. Needs uv, and the Pythons on the PATH (or uv's own).

python .ci/versions.py                                                # all
python .ci/versions.py --python 3.12 --resolution highest
python .ci/versions.py --python 3.12 --resolution highest --with fastai==2.8.4 fastcore==1.8.8   # a row of its own
"""
import argparse, json, os, re, subprocess, sys, tempfile
from pathlib import Path

root = Path(__file__).resolve().parent.parent
table = root/'benchmarks/results/versions.json'
pythons = re.findall(r'Python :: (3\.\d+)', (root/'pyproject.toml').read_text(encoding='utf-8'))
resolutions = ['lowest-direct', 'highest']
shown = ['torch', 'torchvision', 'fastai', 'fastcore', 'timm', 'numpy']
ask_versions = '''import sys, json, platform
from importlib.metadata import version
print(json.dumps(dict(python=platform.python_version(), **{o:version(o) for o in sys.argv[1:]})))'''

def run(*args, **kwargs):
    return subprocess.run([str(o) for o in args], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **kwargs)

def prove(python, resolution, extra=()):
    "Build one environment, run the notebooks in it, and return the row: versions, which notebooks failed, and the log's end if one did"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as tmp:
        env,clone,out = Path(tmp)/'env',Path(tmp)/'clone',Path(tmp)/'notebooks.json'
        exe = env/('Scripts/python.exe' if os.name == 'nt' else 'bin/python')
        steps = [('uv', 'venv', '-q', '--python', python, env),
            ('git', 'clone', '-q', root, clone),
            ('uv', 'pip', 'install', '-q', '--python', exe, '--resolution', resolution, '-e', f'{clone}[test]', *extra),
            (exe, clone/'.ci/run_notebooks.py', '--json', out)]
        environ = {'OMP_NUM_THREADS':'1', **os.environ, 'MPLBACKEND':'agg', 'PATH':os.pathsep.join([str(exe.parent), os.environ['PATH']])}
        environ.pop('PYTHONPATH', None)  # The clone is what is tested
        for step in steps:
            res = run(*step, cwd=root, env=environ)
            if res.returncode: break
        found = run(exe, '-c', ask_versions, *shown)
        versions = json.loads(found.stdout) if found.returncode == 0 else dict(python=python)
        notebooks = json.loads(out.read_text()) if out.exists() else []
        failed = [o['notebook'] for o in notebooks if not o['passed']]
        if res.returncode: print(res.stdout[-5000:])
        log = '' if res.returncode == 0 else res.stdout.replace(tmp, '')[-2000:]
        return dict(resolution=' '.join([resolution, *extra]), **versions, notebooks=len(notebooks), failed=failed,
            passed=res.returncode == 0, log=log)

def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--python', nargs='*', default=pythons)
    p.add_argument('--resolution', nargs='*', default=resolutions, choices=resolutions)
    p.add_argument('--with', nargs='*', default=[], dest='extra', help='further requirements, such as fastai==2.8.4')
    a = p.parse_args()
    rows = json.loads(table.read_text()) if table.exists() else {}
    done = []
    for python in a.python:
        for resolution in a.resolution:
            key = ' '.join([python, resolution, *a.extra])
            print(key, flush=True)
            rows[key] = row = prove(python, resolution, a.extra)
            done.append(row['passed'])
            table.parent.mkdir(parents=True, exist_ok=True)
            table.write_text(json.dumps(rows, indent=1, sort_keys=True)+'\n')
            print({k:v for k,v in row.items() if k != 'log'}, flush=True)
    sys.exit(not all(done))

if __name__ == '__main__': main()
