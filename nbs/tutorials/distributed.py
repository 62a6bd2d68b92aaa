"""Train the bundled digits in channels last on several processes, and print what an equal run on one process would have to match.

torchrun --standalone --nproc_per_node=2 distributed.py --cpu        # two processes on the CPU (gloo)
torchrun --standalone --nproc_per_node=2 distributed.py              # two GPUs (NCCL)
torchrun --nnodes=2 --nproc_per_node=8 --rdzv_backend=c10d --rdzv_endpoint=HOST:29500 distributed.py  # on each of two nodes
python distributed.py --cpu --world 2                   # one process, with batches as large as those of two together
"""
import argparse, contextlib, json, sys, warnings
warnings.filterwarnings('ignore', category=FutureWarning)
import torch.distributed as dist
from fastai.vision.all import *
from fastai.distributed import *
from fastai.callback.channelslast import ChannelsLast
from torch.distributed.nn.functional import all_reduce
from fastxtend_cl.all import *
from fastxtend_cl.test_utils import ChannelsLastInputTest, digits_dls

def for_cpu():
    "Replace what knows CUDA only, so that the rest runs on a CPU: a method of fastai's `DistributedDL`, and synchronized batch norm"
    def _broadcast(self, t, rank):
        t = LongTensor(t)
        dist.broadcast(t, rank)
        return t.tolist()
    DistributedDL._broadcast = _broadcast

    def forward(self, x):
        if not (self.training and dist.is_initialized()):
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, self.training, self.momentum, self.eps)
        dims,view = [0,*range(2, x.dim())],(1,-1,*[1]*(x.dim()-2))
        n = x.numel()//x.shape[1]*dist.get_world_size()
        mean = all_reduce(x.sum(dims))/n
        centred = x-mean.view(view)
        var = all_reduce((centred**2).sum(dims))/n
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(var*n/(n-1), self.momentum)
            self.num_batches_tracked += 1
        return centred*(self.weight/(var+self.eps).sqrt()).view(view)+self.bias.view(view)
    nn.BatchNorm2d.forward = forward
    nn.SyncBatchNorm.convert_sync_batchnorm = staticmethod(noop)

class Note(Callback):
    "Note the mean loss over all processes of each training step"
    order = 10_000
    def __init__(self): self.losses = []
    def after_loss(self):
        if not self.training: return
        l = self.loss_grad.detach().clone()
        if dist.is_initialized(): dist.all_reduce(l)
        self.losses.append((l/max(1, num_distrib())).item())

class ToDouble(Callback):
    "Float64 inputs, so that the sums of one process and of several differ by nothing that matters"
    order = ChannelsLastCallback.order+1
    def before_batch(self): self.learn.xb = tuple(x.double() for x in self.xb)

def loaders(bs, world):
    "Digits in a fixed order; for one process in the order in which `world` processes see them together"
    dls = digits_dls(n=100, size=16, bs=bs, shuffle=False)
    if world > 1 and not num_distrib():
        train,n = dls.train_ds,len(dls.train_ds)
        parts = [range(r*n//world, (r+1)*n//world) for r in range(world)]
        order = [i for step in zip(*[list(chunked(p, bs)) for p in parts]) for chunk in step for i in chunk]
        dls = DataLoaders(dls.train.new(train, bs=bs*world, shuffle=False, get_idxs=lambda: order), dls.valid)
    return dls

def model(): return nn.Sequential(ConvLayer(3, 8), ResBlock(1, 8, 16, stride=2), nn.AdaptiveAvgPool2d(1), Flatten(), nn.Linear(16, 10))
def weights_of(m): return torch.cat([p.detach().flatten() for p in m.parameters()])

def train(add, a):
    "Train once with the format added as `add` says; the losses, and what became of the weights"
    with less_random(): dls,m = loaders(8, a.world),model().double()
    learn = Learner(dls, m, loss_func=CrossEntropyLossFlat(), opt_func=partial(SGD, mom=.9), lr=.05)
    learn.add_cbs([ToDouble, note := Note()])
    if add == 'before': learn.to_channelslast(use_amp=False)
    with learn.no_bar(), learn.no_logging(), (learn.distrib_ctx(cpu=a.cpu) if num_distrib() else contextlib.nullcontext()):
        if add == 'inside': learn.to_channelslast(use_amp=False)
        if add == 'fastai':
            cb = ChannelsLast()
            cb.order = DistributedTrainer.order  # As a callback added inside the context runs
            learn.add_cb(cb)
        if add in ('before','inside'): learn.add_cb(ChannelsLastInputTest)
        for _ in range(2): learn.fit(2)
    w = weights_of(learn.model)
    spread = 0.
    if dist.is_initialized():
        every = [torch.empty_like(w) for _ in range(dist.get_world_size())]
        dist.all_gather(every, w)
        spread = max((o-w).abs().max().item() for o in every)
    formats = sorted({memory_format(p) for p in learn.model.parameters() if p.dim()==4} - {'ambiguous'})
    return dict(processes=max(1, num_distrib()), losses=note.losses, spread_of_weights=spread, weights=formats)

def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--cpu', action='store_true', help='train on the CPU')
    p.add_argument('--world', type=int, default=1, help='processes to be compared with, when this is one')
    p.add_argument('--add', nargs='+', choices=['before','inside','never','fastai'], default=['before'],
        help="call to_channelslast before distrib_ctx, inside it, or not; or add fastai's own callback inside; several are run in turn")
    p.add_argument('--json', type=Path, help='write losses and weights here')
    a = p.parse_args()
    if a.cpu: default_device(False); for_cpu()
    if num_distrib():
        if not a.cpu: torch.cuda.set_device(int(os.environ['LOCAL_RANK']))
        dist.init_process_group('gloo' if a.cpu else 'nccl')
    found = {}
    for add in a.add:
        if dist.is_initialized(): dist.barrier()
        print(f'now: {add}', file=sys.stderr, flush=True)  # Tells which messages belong to which
        found[add] = res = train(add, a)
        if rank_distrib(): continue
        print(f"{add}: {res['processes']} process(es), weights {', '.join(res['weights'])}, {len(res['losses'])} steps, "
            f"loss {res['losses'][0]:.6f} to {res['losses'][-1]:.6f}, weights of the processes differ by {res['spread_of_weights']}")
        if a.json: a.json.write_text(json.dumps(found), encoding='utf-8')
    if dist.is_initialized():
        dist.barrier()  # Nobody leaves before the last has what it waits for
        dist.destroy_process_group()

if __name__ == '__main__': main()
