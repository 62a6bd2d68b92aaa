"""What it takes to make a channels-last batch of 64 decoded images of 224x224 pixels: fastai's collate and a conversion against
the collate that keeps images as they were decoded. Writes results/collate.json.

python benchmarks/collate.py --commit
"""
from common import arguments, save, speedups, timing
if __name__ == '__main__': a = arguments(__doc__, 'collate', device=False, rounds=60)

import warnings
warnings.filterwarnings('ignore')
from fastai.vision.all import *
from fastai.data.load import fa_collate
from sklearn.datasets import load_sample_images
from fastxtend_cl.all import *

def decoded():
    "64 crops of two photographs, as a loader decodes them"
    return [ToTensor()(PILImage.create(im[i:i+224, 2*i:2*i+224])) for i in range(0, 96, 3) for im in load_sample_images().images]

def stages(collate, images):
    "Collated as bytes, as a loader's worker does, and all the way to a normalised channels-last batch"
    mean,std = (o.view(1,3,1,1) for o in map(tensor, imagenet_stats))
    def whole(): return to_channelslast((collate(images).float()/255-mean)/std)
    return {'collate':lambda: collate(images), 'collate, to float, normalise, to channels last':whole}

def main():
    images = decoded()
    assert len(images)==64 and torch.equal(fa_collate(images), channelslast_collate(images))
    theirs,ours,rows = stages(fa_collate, images),stages(channelslast_collate, images),[]
    for what in ours:
        r = speedups(timing().interleave(dict(theirs=theirs[what], ours=ours[what]), a.rounds), 'theirs')
        rows.append({'what':what, 'fa_collate, ms':round(r['theirs']['median_s']*1000, 2),
            'channelslast_collate, ms':round(r['ours']['median_s']*1000, 2),
            **{f'times faster, {k}':round(v, 2) for k,v in zip(('lower quartile','median','upper quartile'), r['ours']['speedup'])}})
    save(a, rows=rows)
    print(pd.DataFrame(rows).to_string())

if __name__ == '__main__': main()
