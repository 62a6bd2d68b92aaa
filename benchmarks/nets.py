"The networks that benchmarks train, and a training step of them"
from pathlib import Path
import torch
from torch import nn

gpu_list = """
alexnet mnasnet0_5 mnasnet0_75 mnasnet1_0 mnasnet1_3 mobilenet_v2 resnet101 resnet152 resnet18 resnet34 resnet50 resnext50_32x4d
shufflenet_v2_x0_5 shufflenet_v2_x1_0 shufflenet_v2_x1_5 shufflenet_v2_x2_0 squeezenet1_0 squeezenet1_1 vgg11 vgg11_bn vgg13
vgg13_bn vgg16 vgg16_bn vgg19 vgg19_bn wide_resnet101_2 wide_resnet50_2""".split()
cpu_list = """
alexnet densenet121 densenet161 densenet169 googlenet inception_v3 mnasnet0_5 mnasnet1_0 resnet101 resnet152 resnet18 resnet34
resnet50 resnext101_32x8d resnext50_32x4d shufflenet_v2_x0_5 shufflenet_v2_x1_0 squeezenet1_0 squeezenet1_1 vgg11 vgg11_bn vgg13
vgg13_bn vgg16 vgg16_bn vgg19 vgg19_bn wide_resnet101_2 wide_resnet50_2""".split()

def names(file): return [o for o in (Path(__file__).parent/file).read_text(encoding='utf-8').split()]

def source_of(name):
    "Where `name` is from: torchvision has it, or timm does"
    from torchvision import models as tv
    return 'torchvision' if hasattr(tv, name) else 'timm'

def build(name, source):
    "The model with ten classes and without dropout, from the same random state, and the sizes of image to try"
    torch.manual_seed(0)
    if source == 'torchvision':
        from torchvision import models as tv
        kwargs = dict(init_weights=False, aux_logits=False) if name in ('googlenet','inception_v3') else {}
        model,sizes = getattr(tv, name)(num_classes=10, **kwargs), [128] if name=='inception_v3' else [96]
    else:
        import timm
        model = timm.create_model(name, num_classes=10)
        cfg = model.default_cfg
        sizes = [cfg['input_size'][-1]] if cfg.get('fixed_input_size') else [96, cfg['input_size'][-1]]
    for m in model.modules():
        if isinstance(m, (nn.Dropout, nn.Dropout2d)): m.p = 0.
        if type(m).__name__ == 'DropPath': m.drop_prob = 0.
    return model, sizes

def logits(out): return out[0] if isinstance(out, (tuple,list)) else out
def loss_func(out): return nn.functional.cross_entropy(logits(out).float(), torch.arange(len(logits(out)), device=logits(out).device) % 10)

def step(model, x, amp, loss_func=loss_func):
    "A function that runs one training step but for the optimizer's, which is the same in both formats"
    dtype = dict(fp16=torch.float16, bf16=torch.bfloat16).get(amp)
    def f():
        with torch.autocast(x.device.type, dtype=dtype or torch.bfloat16, enabled=dtype is not None): l = loss_func(model(x))
        l.backward()
        for p in model.parameters(): p.grad = None
    return f

def outcome(model, x, loss_func=loss_func):
    "Prediction, loss and gradients, from the same random state"
    torch.manual_seed(0)
    model.zero_grad()
    out = logits(model(x))
    l = loss_func(out)
    l.backward()
    return out.detach(), l.item(), torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])

def relative(a, b): return ((a-b).norm()/b.norm().clamp(min=1e-12)).item()
