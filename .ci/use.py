"Use the installed package, not a checkout: convert, prove, measure, on data that is bundled with it"
import subprocess, sys
from importlib.metadata import metadata
from pathlib import Path

import fastxtend_cl
from fastai.vision.all import *
from fastxtend_cl.all import *
from fastxtend_cl.test_utils import photos_dls

meta,here = metadata('fastxtend_cl'),Path(fastxtend_cl.__file__).resolve()
assert here.is_relative_to(Path(sys.prefix).resolve()), f'{here} is not what was installed'
assert meta['Version'] == fastxtend_cl.__version__, 'package and metadata have two versions'
assert meta['License-Expression'] == 'Apache-2.0' and meta.get_all('License-File') and meta.get_all('Classifier')
text = meta.get_payload()
assert 'Channels-last training' in text and '](nbs/' not in text, 'the long description has links that only a checkout has'

learn = unet_learner(photos_dls(size=64, bs=2), resnet18, pretrained=False, n_out=2).to_channelslast(use_amp=False)
assert learn.channelslast_summary().bytes == 0
with learn.no_bar(), learn.no_logging(): learn.fit(1)
for command in ([sys.executable, '-m', 'fastxtend_cl'], ['channelslast-bench'], ['channelslast-demo']):
    res = subprocess.run([*command, '--version'], capture_output=True, text=True)
    assert res.returncode == 0 and fastxtend_cl.__version__ in res.stdout, res
options = '--arch unet:resnet18 --size 32 --bs 2 --amp fp32 --budget 1'.split()
bench = subprocess.run(['channelslast-bench', *options], capture_output=True, text=True)
assert bench.returncode == 0 and 'channels_last fp32' in bench.stdout, bench
print(f'{here.parent}: version {fastxtend_cl.__version__} works')
