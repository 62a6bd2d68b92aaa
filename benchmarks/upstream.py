"""Faults of PyTorch that channels last meets, each the smallest program that shows it, without this library: runs all of upstream/*.py
with this Python and with those of --python, which have PyTorch in other versions. Writes results/upstream.json, and for each fault
upstream/NAME.md, a report that can be pasted into an issue as it is. A program ends with 0 if all is as it should be.

python benchmarks/upstream.py --commit --python venv26/bin/python
"""
from common import arguments, child_env, here
def more(p):
    p.add_argument('--python', nargs='*', default=[], help='further interpreters, with other versions of PyTorch')
    p.add_argument('--only', nargs='*', help='names of faults')
if __name__ == '__main__': a = arguments(__doc__, 'upstream', device=False, parser=more)

import ast, json, subprocess, sys

# Arguments to run a program with, where it takes any
sweeps = {'strided_1x1_conv': [[str(n), layout] for layout in ('contiguous','channels_last') for n in (1,3,8,15,16,32)]}
about = """import json, platform, torch
caps = torch.cpu.get_capabilities() if hasattr(torch.cpu, 'get_capabilities') else {}
print(json.dumps(dict(torch=torch.__version__, python=platform.python_version(), system=platform.system(), machine=platform.machine(),
    cpu_features=[k for k in ('avx2','avx512_f','avx512_bf16','amx_bf16') if caps.get(k)] or [torch.backends.cpu.get_cpu_capability()])))"""

def run(python, *args):
    "Exit status and output of a program; glibc checks the heap, so that what is written beyond a buffer is found at once"
    res = subprocess.run([python, *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding='utf-8', timeout=600,
        env=child_env(OMP_NUM_THREADS='1', MALLOC_CHECK_='3', MALLOC_PERTURB_='7'))
    return res.returncode,res.stdout

def shown(out):
    "The output without PyTorch's own warnings, which the reports quote"
    def noise(l): return 'Warning: ' in l or 'run_backward' in l or l.startswith(('grad.sizes', 'bucket_view'))
    return '\n'.join(l for l in out.splitlines() if not noise(l))

def meaning(status): return 'as it should be' if status == 0 else 'the process dies' if status < 0 else 'the fault is there'

def report(path, rows):
    "The report of one fault: what the program's docstring says, the program, and its output with each PyTorch"
    source = path.read_text(encoding='utf-8')
    doc = ast.get_docstring(ast.parse(source))
    title,text = doc.split('\n', 1)
    code = source[source.index('"""', 3)+3:].strip()
    def paragraph(o):
        first,_,rest = o.replace('\n', ' ').partition(' ')
        return f'**{first}** {rest}' if first in ('Expected:','Workaround:','Known:') else f'{first} {rest}'
    text = '\n\n'.join(map(paragraph, text.strip().split('\n\n')))
    seen = []
    for torch in dict.fromkeys(r['torch'] for r in rows):
        these = [r for r in rows if r['torch'] == torch]
        def end(r): return '' if r['status'] in (0,1) else f"\n(the process dies with status {r['status']})"
        out = '\n'.join(r['output'].strip()+end(r) for r in these)
        env = these[0]
        where = f"PyTorch {torch}, Python {env['python']}, {env['system']} {env['machine']}, {', '.join(env['cpu_features'])}"
        seen.append(f'{where}:\n\n```\n{out}\n```')
    return f'# {title}\n\n{text}\n\n## Program\n\n```python\n{code}\n```\n\n## What it prints\n\n' + '\n\n'.join(seen) + '\n'

def main():
    old = json.loads(a.path.read_text(encoding='utf-8'))['rows'] if a.path.exists() and a.only else []
    rows = [r for r in old if r['fault'] not in a.only]
    for path in sorted((here/'upstream').glob('*.py')):
        if a.only and path.stem not in a.only: continue
        for python in [sys.executable, *a.python]:
            env = json.loads(run(python, '-c', about)[1].splitlines()[-1])
            for args in sweeps.get(path.stem, [[]]):
                status,out = run(python, path, *args)
                rows.append(dict(fault=path.stem, **env, arguments=args, status=status, output=shown(out)))
                print(path.stem, env['torch'], *args, meaning(status), flush=True)
            a.path.write_text(json.dumps(dict(rows=rows), indent=1)+'\n', encoding='utf-8')
        md = here/'upstream'/f'{path.stem}.md' if a.commit else a.path.with_name(f'{path.stem}.md')
        md.write_text(report(path, [r for r in rows if r['fault'] == path.stem]), encoding='utf-8')

if __name__ == '__main__': main()
