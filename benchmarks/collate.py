"""What it takes to make a channels-last batch of 64 decoded images of 224x224 pixels: fastai's collate and a conversion against
the collate that keeps images as they were decoded. Writes results/collate.json.

python benchmarks/collate.py
"""
import warnings
warnings.filterwarnings('ignore')
from fastai.vision.all import *
from fastai.data.load import fa_collate
from fastxtend_cl.all import *
from fastxtend_cl.bench import quartiles
from common import environment, interleave, save

from sklearn.datasets import load_sample_images
images = [ToTensor()(PILImage.create(im[i:i+224, 2*i:2*i+224])) for i in range(0, 96, 3) for im in load_sample_images().images]
mean,std = (o.view(1,3,1,1) for o in map(tensor, imagenet_stats))

def floats(x): return (x.float()/255-mean)/std

def both(collate):
    "Collated as bytes, as a loader's worker does, and all the way to a normalised channels-last batch"
    return {'collate':lambda: collate(images), 'collate, to float, normalise, to channels last':lambda: to_channelslast(floats(collate(images)))}

theirs,ours = both(fa_collate),both(channelslast_collate)
assert len(images)==64 and torch.equal(fa_collate(images), channelslast_collate(images))
rows = []
for what in ours:
    secs = interleave(dict(theirs=theirs[what], ours=ours[what]), rounds=60)
    ratio = [a/b for a,b in zip(secs['theirs'], secs['ours'])]
    rows.append({'what':what, 'fa_collate, ms':round(quartiles(secs['theirs'])[1]*1000, 2), 'channelslast_collate, ms':round(quartiles(secs['ours'])[1]*1000, 2),
        **{f'times faster, {k}':round(v, 2) for k,v in zip(('lower quartile','median','upper quartile'), quartiles(ratio))}})
save('collate', environment=environment(), rows=rows)
print(pd.DataFrame(rows).to_string())
