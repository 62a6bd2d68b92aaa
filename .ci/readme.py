"Write README.md from `nbs/index.ipynb` (what `nbdev-readme` does, where Quarto is not installed)"
import re
from pathlib import Path
from nbdev.process import NBProcessor

root = Path(__file__).parent.parent
hidden = {'hide', 'default_exp'}

def markdown(cell):
    "The cell as markdown; a code cell's text and markdown outputs follow its source"
    if cell.cell_type == 'markdown': return [cell.source]
    dirs = getattr(cell, 'directives_', {})
    if hidden & dirs.keys(): return []
    data = [o.get('data', {}) for o in cell.outputs]
    indented = lambda text: '\n'.join('    '+l for l in text.splitlines())
    outs = [''.join(o['text/markdown']) if 'text/markdown' in o else indented(''.join(o['text/plain'])) for o in data if 'text/plain' in o]
    return ([] if 'echo' in dirs else [f'```python\n{cell.source}\n```']) + outs

cells = NBProcessor(root/'nbs/index.ipynb', rm_directives=True, process=True).nb.cells
text = '\n\n'.join(part.strip('\n') for c in cells for part in markdown(c))
text = re.sub(r'\]\((\w[^:)]*)\)', r'](nbs/\1)', text).replace('](../', '](')  # Links start in nbs/ there, at the top here
(root/'README.md').write_text(f'{text}\n\n<!-- Written from nbs/index.ipynb by .ci/readme.py: edit the notebook -->\n', encoding='utf-8')
