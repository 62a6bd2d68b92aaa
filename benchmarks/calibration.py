"""Is the bench an instrument? Plant what it must find, and count misses and false alarms.

faster: simulated benches in which every alternative equals the base. How often is one called faster all the same? And how often is
    one that is faster found? Writes results/calibration-faster.json.

python benchmarks/calibration.py faster
"""
import argparse, warnings
warnings.filterwarnings('ignore')
from itertools import product
from unittest.mock import patch
import numpy as np
import torch
from fastxtend_cl import timing
from common import environment, save

# ---- faster: noise as machines have it, as logarithms of `n` step times one after the other
def quiet(rng, n):      return rng.normal(0, .01, n)
def lognormal(rng, n):  return rng.normal(0, .05, n)
def spikes(rng, n):     return rng.normal(0, .03, n) + (rng.random(n) < .08)*rng.exponential(.5, n)  # Another process wakes up
def drift(rng, n):      return rng.normal(0, .02, n) + np.linspace(0, .4, n)  # A laptop throttles
def two_speeds(rng, n): return rng.normal(0, .005, n) + .15*(rng.random(n) < .5)
def _walk(rng, n, keep, size):
    x = np.zeros(n)
    for i in range(1, n): x[i] = keep*x[i-1] + rng.normal(0, size)
    return x
def autocorrelated(rng, n): return _walk(rng, n, .9, .04)
def switching(rng, n):  return rng.normal(0, .01, n) + .2*(np.cumsum(rng.random(n) < .1) % 2)  # Two speeds that last
noises = [quiet, lognormal, spikes, drift, two_speeds, autocorrelated, switching]

def simulated(noise, rounds, speeds, rng):
    "The bench's own turns and its own verdicts, on simulated step times of configurations as many times faster than the base as `speeds` says"
    names = ['base','again', *map(str, range(len(speeds)))]
    times = iter(np.exp(noise(rng, rounds*len(names))))
    with patch.object(timing, 'seconds', lambda speed, device: next(times)/speed):
        secs = timing.interleave(dict(zip(names, [1, 1, *speeds])), rounds, warm=False)
    res = timing.speedups(secs, 'base', 'again')
    return [res[o].verdict for o in names[2:]]

def faster(trials):
    rows,power = [],[]
    for noise,k,rounds in product(noises, (1,3,7), (3,5,10,20)):
        rng = np.random.default_rng(rounds)
        wrong = sum('faster' in simulated(noise, rounds, [1]*k, rng) for _ in range(trials))
        rows.append(dict(noise=noise.__name__, alternatives=k, rounds=rounds, called_faster=wrong/trials))
        print(rows[-1], flush=True)
    for speed,rounds in product((1.03, 1.05, 1.1, 1.2, 1.5), (3,5,10,20)):
        rng = np.random.default_rng(rounds)
        found = sum(simulated(lognormal, rounds, [speed, 1, 1], rng)[0] == 'faster' for _ in range(trials))
        power.append({'speed-up':speed, 'rounds':rounds, 'found':found/trials})
    save('calibration-faster', environment=environment(), trials=trials, rows=rows, power=power, worst=max(r['called_faster'] for r in rows))

def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('what', choices=['faster'])
    p.add_argument('--trials', type=int, default=1000, help='simulated benches of each kind')
    a = p.parse_args()
    if a.what == 'faster': faster(a.trials)

if __name__ == '__main__': main()
