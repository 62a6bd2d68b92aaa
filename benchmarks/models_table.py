"The survey as a CSV and as a page whose columns sort"
from collections import Counter
from html import escape
import pandas as pd
from common import machine, quiet

style = """body{font:14px sans-serif;margin:2em}
th{cursor:pointer;text-align:left;position:sticky;top:0;background:#fff}
td,th{padding:.2em .7em;border-bottom:1px solid #ddd}
td{font-variant-numeric:tabular-nums}"""

script = """document.querySelectorAll('th').forEach((th, i) => th.onclick = () => {
  const body = th.closest('table').tBodies[0], down = th.down = -(th.down || 1)
  const text = row => row.cells[i].innerText, number = t => parseFloat(t)
  const compare = (p, q) => isNaN(number(p)) || isNaN(number(q)) ? p.localeCompare(q) : number(p) - number(q)
  const rows = [...body.rows].sort((p, q) => (text(p) == '') - (text(q) == '') || down * compare(text(p), text(q)))
  rows.forEach(row => body.append(row))
})"""

def place(worst): return f"{worst['kind']} {worst['op']} in {worst['module']} ({worst['type']}), {worst['stage']}"

def times(r, amp):
    "Columns of a speed-up: how sure, how much"
    if amp not in r: return {}
    names = 'at least (lower quartile)','times faster (median)','at most (upper quartile)'
    return {**{f'{amp}: {k}':round(v, 2) for k,v in zip(names, r[amp]['speedup'])},
        f'{amp}: contiguous step, ms':round(r[amp]['contiguous_s']*1000, 1), f'{amp}: rounds':r[amp]['rounds']}

def converted(s):
    "Columns of a summary: does it train, how much is converted"
    return {'trains':'yes' if s['trains'] else 'no', 'bytes converted inside the model a step':s.get('bytes'),
        '% of activation bytes':None if s.get('share') is None else round(100*s['share'], 2)} if s else {}

def found(s):
    "Columns of a summary: is the result the same, where is most converted"
    diff = s.get('grad_diff')
    if not s: return {}
    where = s.get('error') or '; '.join(map(place, s['worst'][:2]))
    return {'relative difference of gradients':diff and float(f'{diff:.1e}'), 'where':where}

def cells(r):
    s = r.get('summary', {})
    lists = ' '.join(k for k in ('gpu','cpu') if r[f'{k}_list'])
    return {'model':r['model'], 'source':r['source'], 'batch':'x'.join(map(str, r.get('batch', []))), "on the tutorial's lists":lists,
        **converted(s), **times(r, 'fp32'), **times(r, 'bf16'), **times(r, 'fp16'), **found(s)}

def made_on(rows, parts):
    "On which machines, with which versions, `parts` of the rows were made"
    n = Counter(machine(rows.runs[r[p]['run']]['environment']) for r in rows for p in parts if p in r)
    return '; '.join(f'{k}' if len(n) == 1 else f'{v} with {k}' for k,v in n.most_common())

def header(rows, n):
    "What the page says above the table"
    timed = [r[p] for r in rows for p in ('fp32','bf16','fp16') if p in r]
    loud = sum(o['speedup'][2]/o['speedup'][0] > quiet for o in timed)
    return ' '.join([f'{n} models in channels last, with random weights.',
        *([f"Times: {made_on(rows, ('fp32','bf16','fp16'))}."] if timed else []),
        *([f"Bytes and results: {made_on(rows, ('summary',))}."] if any('summary' in r for r in rows) else []),
        'Times faster: a training step in contiguous format over one in channels last, quartiles over rounds that take turns.',
        *([f'{loud} of {len(timed)} have quartiles that are more than {quiet}x apart: something else ran.'] if loud else []),
        'Click a heading to sort.'])

def table(rows, a):
    "Write the rows as CSV and as a page, both beside the JSON; the most certain gain first"
    df = pd.DataFrame(map(cells, rows)).sort_values('model')
    bound = 'fp32: at least (lower quartile)'
    if bound in df: df = df.sort_values(bound, ascending=False, kind='stable')
    df.to_csv(a.path.with_suffix('.csv'), index=False, encoding='utf-8')
    page = ['<!doctype html>', '<meta charset="utf-8">', '<title>Models in channels last</title>', f'<style>\n{style}\n</style>',
        '<h1>Models in channels last</h1>', f'<p>{escape(header(rows, len(df)))}</p>', df.to_html(index=False, border=0, na_rep=''),
        f'<script>\n{script}\n</script>']
    a.path.with_suffix('.html').write_text('\n'.join(page)+'\n', encoding='utf-8')
    return df
