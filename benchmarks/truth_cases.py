"Layers and models that truth.py tries. A layer is a module or an expression of `x`; the text is its name."

from pathlib import Path

layers = """
nn.Identity()
nn.ReLU()
nn.ReLU(inplace=True)
nn.LeakyReLU()
nn.PReLU(16)
nn.GELU()
nn.SiLU()
nn.Hardswish()
nn.Hardsigmoid()
nn.Mish()
nn.Sigmoid()
nn.Tanh()
nn.ELU()
nn.SELU()
nn.CELU()
nn.Softplus()
nn.Softsign()
nn.Tanhshrink()
nn.Hardtanh()
nn.Threshold(.1, 0.)
nn.GLU(1)
nn.Softmax2d()
nn.LogSoftmax(1)
nn.Softmin(1)
nn.Dropout(.5)
nn.Dropout2d(.5)
nn.AlphaDropout(.5)
nn.FeatureAlphaDropout(.5)
nn.BatchNorm2d(16)
nn.BatchNorm2d(16).eval()
nn.InstanceNorm2d(16)
nn.InstanceNorm2d(16, affine=True)
nn.InstanceNorm2d(16, track_running_stats=True)
nn.GroupNorm(4, 16)
nn.GroupNorm(1, 16)
nn.GroupNorm(16, 16)
nn.LocalResponseNorm(4)
nn.CrossMapLRN2d(4)
nn.LayerNorm([16, 12, 12])
nn.LayerNorm(12)
nn.RMSNorm([16, 12, 12])
nn.MaxPool2d(2)
nn.MaxPool2d(3, 2, 1)
nn.MaxPool2d(3, 1, 1)
nn.MaxPool2d(2, ceil_mode=True)
nn.AvgPool2d(2)
nn.AvgPool2d(3, 1, 1)
nn.AvgPool2d(3, 1, 1, count_include_pad=False)
nn.LPPool2d(2, 2)
nn.FractionalMaxPool2d(2, output_size=5)
nn.AdaptiveAvgPool2d(4)
nn.AdaptiveAvgPool2d(1)
nn.AdaptiveAvgPool2d(5)
nn.AdaptiveMaxPool2d(4)
nn.AdaptiveMaxPool2d(1)
nn.ReflectionPad2d(1)
nn.ReplicationPad2d(1)
nn.ZeroPad2d(1)
nn.ConstantPad2d(1, 3.)
nn.CircularPad2d(1)
nn.Upsample(scale_factor=2)
nn.Upsample(scale_factor=2, mode='bilinear')
nn.Upsample(scale_factor=2, mode='bicubic')
nn.Upsample(scale_factor=2, mode='nearest-exact')
nn.UpsamplingBilinear2d(scale_factor=2)
nn.PixelShuffle(2)
nn.PixelUnshuffle(2)
nn.ChannelShuffle(4)
nn.Conv2d(16, 16, 1)
nn.Conv2d(16, 16, 3, padding=1)
nn.Conv2d(16, 16, 3, padding='same', padding_mode='reflect')
nn.Conv2d(16, 16, 3, padding=1, groups=4)
nn.Conv2d(16, 16, 3, padding=1, groups=16)
nn.Conv2d(16, 16, 3, padding=2, dilation=2)
nn.Conv2d(16, 16, 3, stride=2)
nn.Conv2d(16, 1, 1)
nn.ConvTranspose2d(16, 16, 2, stride=2)
nn.ConvTranspose2d(16, 16, 3, padding=1, groups=4)
nn.ConvTranspose2d(16, 16, 3, padding=1, groups=16)
nn.Sequential(nn.Conv2d(16, 16, 1, bias=False), nn.BatchNorm2d(16), nn.SiLU())
nn.Sequential(nn.InstanceNorm2d(16), nn.ReLU(), nn.InstanceNorm2d(16))
nn.utils.parametrizations.weight_norm(nn.Conv2d(16, 16, 3, padding=1))
nn.utils.parametrizations.spectral_norm(nn.Conv2d(16, 16, 3, padding=1))
x.contiguous()
x.clone()
x.clone(memory_format=torch.contiguous_format)
x + 1
x * x.mean((2,3), keepdim=True).sigmoid()
x * F.adaptive_avg_pool2d(x, 1)
x + x.contiguous()
x.contiguous() + x
torch.cat([x, x.contiguous()], 1)
torch.cat([x.contiguous(), x], 1)
torch.cat(x.chunk(2, 1), 1)
torch.cat([x[:, 8:], x[:, :8]], 1)
torch.cat([x, x[:, :8]], 1)
torch.stack([x, x]).mean(0)
torch.stack([x, x], 1).flatten(1, 2)
torch.stack([o for o in x])
torch.stack([o*2 for o in x.unbind(0)])
torch.stack(list(x.unbind(1)), 1)
x.softmax(1)
x[:, 8:].softmax(1)
x[:, :8].softmax(1)
x[:, 8:].contiguous()
x[:, :8].contiguous()
x[:, 8:].contiguous(memory_format=torch.channels_last)
x[1:] if len(x) > 1 else x
x[..., 1:, 1:]
x[..., 1:, 1:].contiguous()
x[:, ::2]
x[:, :, ::2, ::2]
x[:, torch.arange(15, -1, -1)]
x.index_select(1, torch.arange(8))
x.gather(1, torch.zeros_like(x, dtype=torch.long))
x.split(8, 1)[1]
x.split(8, 1)[1].log_softmax(1)
torch.cat([x.split(8, 1)[0], F.instance_norm(x.split(8, 1)[1])], 1)
torch.cat([F.batch_norm(x[:, :8], None, None, training=True), F.instance_norm(x[:, 8:])], 1)
x.transpose(2, 3)
x.transpose(2, 3).contiguous()
x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
x.permute(0, 2, 3, 1).softmax(-1).permute(0, 3, 1, 2)
F.layer_norm(x.permute(0, 2, 3, 1), (16,)).permute(0, 3, 1, 2)
F.linear(x.permute(0, 2, 3, 1), torch.eye(16)).permute(0, 3, 1, 2)
x.flatten(2).transpose(1, 2).softmax(-1).transpose(1, 2).reshape(x.shape)
x.flatten(2).softmax(1).view(x.shape)
torch.bmm(torch.eye(16).expand(len(x), 16, 16), x.flatten(2)).view(x.shape)
torch.einsum('nchw,cd->ndhw', x, torch.eye(16))
torch.matmul(x, torch.eye(12))
x.reshape(len(x), 16, 6, 2, 6, 2).permute(0, 1, 3, 5, 2, 4).reshape(len(x), 64, 6, 6)
x.reshape(len(x), 4, 2, 2, 12, 12).permute(0, 1, 4, 2, 5, 3).reshape(len(x), 4, 24, 24)
x.view(len(x), 4, 4, 12, 12).transpose(1, 2).reshape(x.shape)
F.fold(F.unfold(x, 3, padding=1), (12, 12), 3, padding=1)
F.unfold(x, 3, padding=1).view(len(x), 144, 12, 12)
torch.view_as_real(torch.view_as_complex(x.reshape(len(x), 16, 12, 6, 2).contiguous())).flatten(3)
torch.fft.irfft2(torch.fft.rfft2(x), s=x.shape[2:])
F.conv1d(x.flatten(2), torch.eye(16)[:, :, None]).view(x.shape)
F.grid_sample(x, F.affine_grid(torch.eye(2, 3)[None].expand(len(x), 2, 3), x.shape, align_corners=False), align_corners=False)
F.interpolate(x, size=(7, 9), mode='nearest')
F.interpolate(x, scale_factor=.5, mode='bilinear', antialias=True)
F.interpolate(x, scale_factor=.5, mode='bicubic', antialias=True)
F.interpolate(x, scale_factor=.5, mode='area')
F.max_unpool2d(*F.max_pool2d(x, 2, return_indices=True), 2)
F.normalize(x)
F.pad(x, (1, 2, 0, 1))
F.pad(x, (0, 0, 0, 0, 0, 16))
F.gumbel_softmax(x, dim=1)
F.cosine_similarity(x, x.flip(1)).unsqueeze(1) * x
torch.cat([x, F.interpolate(F.adaptive_avg_pool2d(x, 1), size=x.shape[2:], mode='bilinear')], 1)
torch.cat([x, F.adaptive_avg_pool2d(x, 1).expand(-1, -1, *x.shape[2:])], 1)
torch.cat([x, torch.ones(len(x), 2, 12, 12)], 1)
torch.cat([torch.ones(len(x), 2, 12, 12), x], 1)
x + torch.ones(16, 12, 12)
torch.ones(x.shape) + x
torch.zeros(x.shape).copy_(x)
torch.zeros(x.shape).index_copy(0, torch.tensor([0]), x[:1])
torch.empty_like(x).copy_(x)
halves(x)
torch.maximum(x, x.flip(1))
torch.minimum(x, x.contiguous())
torch.where(x > 0, x, x.new_zeros(()))
torch.where(x > 0, x, torch.zeros(x.shape))
x.clamp(min=torch.zeros(()))
x.masked_fill(x > 0, 1.)
x.cumsum(1)
x.sort(1).values
x.topk(8, 1).values
x.amax(1, keepdim=True) * x
x.prod(1, keepdim=True) + x
x.std((2,3), keepdim=True) + x
x.roll(1, 2)
x.flip(3)
x.rot90(1, (2,3))
x.repeat(1, 2, 1, 1)
x.repeat_interleave(2, 1)
x.repeat_interleave(2, 2)
x.expand(2, *x.shape).mean(0)
x.mul_(2).relu_()
x.to(torch.float64).to(torch.float32)
x.type(torch.bfloat16).float()
x.reshape(1, -1, 12, 12).reshape(x.shape)
x.unfold(2, 3, 1).mean(-1)
x.view(len(x), 2, 8, 12, 12).sum(1)
x.view(len(x), 2, 8, 12, 12).softmax(1).reshape(x.shape)
torch.utils.checkpoint.checkpoint(F.instance_norm, x, use_reentrant=False)
torch.utils.checkpoint.checkpoint(F.relu, x, use_reentrant=False)
F.scaled_dot_product_attention(*[x.flatten(2).transpose(1, 2)]*3).transpose(1, 2).view(x.shape)
(x.flatten(2) @ x.flatten(2).transpose(1, 2)).softmax(-1) @ x.flatten(2)
((x.flatten(2) @ x.flatten(2).transpose(1, 2)).softmax(-1) @ x.flatten(2)).view(x.shape)
torchvision.ops.roi_align(x, [torch.tensor([[0., 0., 8., 8.]])]*len(x), 7)
torchvision.ops.deform_conv2d(x, torch.zeros(len(x), 18, 12, 12), torch.ones(16, 16, 3, 3), padding=1)
torchvision.ops.stochastic_depth(x, .5, 'row')
torchvision.ops.SqueezeExcitation(16, 4)
torchvision.ops.FrozenBatchNorm2d(16)
torchvision.models.convnext.LayerNorm2d(16)
torchvision.models.convnext.CNBlock(16, 1e-6, 0.)
torchvision.models.segmentation.deeplabv3.ASPP(16, [1, 2], 16)
fastai.layers.PixelShuffle_ICNR(16)
fastai.layers.PixelShuffle_ICNR(16, blur=True)
fastai.layers.SelfAttention(16)
fastai.layers.SimpleSelfAttention(16)
fastai.layers.PooledSelfAttention2d(16)
fastai.layers.AdaptiveConcatPool2d(4)
fastai.layers.ResBlock(1, 16, 16)
fastai.layers.SEModule(16, 4)
fastai.layers.BatchNorm(16)
fastai.layers.InstanceNorm(16)
fastai.layers.ConvLayer(16, 16, transpose=True)
timm.layers.LayerNorm2d(16)
timm.layers.GroupNorm1(16)
timm.layers.BlurPool2d(16)
timm.layers.EvoNorm2dS0(16, groups=4)
timm.layers.FilterResponseNormTlu2d(16)
timm.layers.SplitAttn(16, radix=2)
timm.layers.EcaModule(16)
timm.layers.NonLocalAttn(16)
timm.layers.GlobalContext(16)
timm.layers.SelectiveKernel(16, 16)
timm.layers.CondConv2d(16, 16, 3, padding=1)(x, torch.ones(len(x), 4))
""".strip().splitlines()

layers3d = """
nn.BatchNorm3d(16)
nn.InstanceNorm3d(16)
nn.GroupNorm(4, 16)
nn.Conv3d(16, 16, 1)
nn.Conv3d(16, 16, 3, padding=1)
nn.Conv3d(16, 16, (1,3,3), padding=(0,1,1))
nn.Conv3d(16, 16, (3,1,1), padding=(1,0,0))
nn.Conv3d(16, 16, 3, padding=1, groups=16)
nn.ConvTranspose3d(16, 16, 2, stride=2)
nn.MaxPool3d(2)
nn.AvgPool3d(2)
nn.AdaptiveAvgPool3d(2)
nn.AdaptiveMaxPool3d(2)
nn.Upsample(scale_factor=2)
nn.Upsample(scale_factor=2, mode='trilinear')
nn.ReplicationPad3d(1)
nn.ReflectionPad3d(1)
nn.Dropout3d(.5)
nn.Softmax(1)
x[:, 8:].softmax(1)
x.contiguous()
torch.cat([x, x.contiguous()], 1)
torch.cat([x, x.mean((2,3,4), keepdim=True).expand_as(x)], 1)
torch.stack(list(x.unbind(2)), 2)
F.layer_norm(x.permute(0, 2, 3, 4, 1), (16,)).permute(0, 4, 1, 2, 3)
x.flatten(3).softmax(1).view(x.shape)
""".strip().splitlines()

shifted_windows = (  # Attention within them
    'x.roll((1,1), (2,3)).reshape(len(x), 16, 3, 4, 3, 4).permute(0, 2, 4, 3, 5, 1).reshape(-1, 16, 16).softmax(-1)'
    '.reshape(len(x), 3, 3, 4, 4, 16).permute(0, 5, 1, 3, 2, 4).reshape(x.shape).roll((-1,-1), (2,3))'
)
# Thought up after everything else was finished, and tried once
held_out_layers = f"""
x * torch.sigmoid(x.mean((2,3), keepdim=True) + x.amax((2,3), keepdim=True))
x * torch.sigmoid(torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1).mean(1, keepdim=True))
x * (x.mean(3, keepdim=True) + x.mean(2, keepdim=True)).sigmoid()
x * F.linear(x.mean((2,3)), torch.eye(16))[..., None, None].sigmoid()
x + F.relu(F.conv2d(x, torch.ones(16, 16, 3, 3), padding=2, dilation=2))
x + F.interpolate(F.conv2d(F.max_pool2d(x, 2), torch.ones(16, 16, 1, 1)), size=x.shape[2:], mode='nearest')
x.flatten(2).gather(2, torch.arange(143, -1, -1).expand(len(x), 16, 144)).view(x.shape)
x.flatten(2).matmul(torch.eye(144)).view(x.shape)
F.pixel_shuffle(F.pixel_unshuffle(x, 2).relu(), 2)
(x - x.mean(1, keepdim=True)) / (x.var(1, keepdim=True) + 1e-6).sqrt()
(lambda a, g: a * g.sigmoid())(*F.conv2d(x, torch.ones(32, 16, 1, 1)).chunk(2, 1))
(F.unfold(x, 3, padding=1).view(len(x), 16, 9, 12, 12) * x.mean(1, keepdim=True).unsqueeze(1)).sum(2)
x.permute(0, 2, 3, 1).flatten(0, 1).softmax(1).view(len(x), 12, 12, 16).permute(0, 3, 1, 2)
{shifted_windows}
torch.cat([x[..., ::2, ::2], x[..., 1::2, ::2], x[..., ::2, 1::2], x[..., 1::2, 1::2]], 1)
torch.cat([x[..., 2:-2, 2:-2], F.conv2d(F.conv2d(x, torch.ones(16, 16, 3, 3)), torch.ones(16, 16, 3, 3))], 1)
torch.cat([x.chunk(2, 1)[0], F.channel_shuffle(x.chunk(2, 1)[1], 4)], 1)
torch.cat([x, F.conv2d(x, torch.ones(16, 1, 3, 3), padding=1, groups=16)], 1)
F.conv2d(x, (lambda w: w - w.mean((1,2,3), keepdim=True))(torch.randn(16, 16, 3, 3)))
nn.Sequential(nn.Conv2d(16, 32, 1), nn.GLU(1), fastai.layers.SEModule(16, 4), nn.GroupNorm(2, 16), nn.PReLU())
""".strip().splitlines()

held_out_layers3d = """
x * x.mean((2,3,4), keepdim=True).sigmoid()
torch.cat([x[:, :4].roll(1, 2), x[:, 4:]], 1)
F.relu(x.transpose(1, 2).flatten(0, 1)).view(len(x), 4, 16, 12, 12).transpose(1, 2)
x + F.interpolate(F.max_pool3d(x, 2), size=x.shape[2:], mode='nearest')
""".strip().splitlines()

# Thought up by an engineer who had not written the summary
attacked_layers = Path(__file__).with_name('attacked_layers.txt').read_text(encoding='utf-8').splitlines()

models = dict(
    torchvision="""
        alexnet vgg11_bn resnet18 wide_resnet50_2 densenet121 squeezenet1_1 googlenet inception_v3 mobilenet_v2 mobilenet_v3_small
        mnasnet0_5 efficientnet_b0 efficientnet_v2_s regnet_y_400mf shufflenet_v2_x0_5 convnext_tiny vit_b_32 swin_t swin_v2_t maxvit_t
    """.split(),
    segmentation='fcn_resnet50 deeplabv3_resnet50 deeplabv3_mobilenet_v3_large lraspp_mobilenet_v3_large'.split(),
    detection='fasterrcnn_mobilenet_v3_large_320_fpn retinanet_resnet50_fpn ssdlite320_mobilenet_v3_large maskrcnn_resnet50_fpn'.split(),
    video='r3d_18 mc3_18 r2plus1d_18 s3d mvit_v1_b'.split(),
    timm="""
        resnet18d resnest14d skresnet18 seresnext26d_32x4d ecaresnet26t cspresnet50 regnety_004 efficientnet_b0 mobilenetv3_small_050
        mobilenetv4_conv_small convnext_atto convnextv2_atto edgenext_xx_small mobilevit_xxs mobilevitv2_050 coatnet_pico_rw_224
        poolformer_s12 pvt_v2_b0 fastvit_t8 repvgg_a0 hrnet_w18_small dla34 inception_v4 nfnet_f0 ghostnet_100 xcit_nano_12_p16_224
        efficientvit_b0 efficientformer_l1 vit_tiny_patch16_224 swin_tiny_patch4_window7_224 botnet26t_256 lambda_resnet26t halonet26t
        res2net50_14w_8s vovnet39a
    """.split(),
    fastai="""
        xresnet18 xresnet18_sa xresnet18_deep xse_resnext18 unet_resnet18 unet_resnet18_blur_sa unet_odd unet_xresnet vision_resnet34
    """.split(),
)
held_out = """
    resnet14t tf_mixnet_s gernet_s tinynet_e levit_128s crossvit_tiny_240 rexnetr_100 dpn48b selecsls42 hardcorenas_a volo_d1_224
    sequencer2d_s
""".split()

# Where the reference is what is wrong. It knows weights by their shape, and what is computed from weights for an activation.
# It takes for an image, too, whatever has four dimensions.
heads = {
    'false holds': 'what is copied are the heads of an attention, no image, which have four dimensions in channels-last order'
}
reasons = {
    'coatnet_pico_rw_224': {
        'bytes of activations': 'the bias that its attention computes from a table of weights is no activation; '
        'the reference takes it for one'
    },
    'F.scaled_dot_product_attention(*[x.flatten(2).transpose(1, 2)]*3).transpose(1, 2).view(x.shape)': heads,
    'F.scaled_dot_product_attention(*[x.flatten(2).transpose(1,2).view(len(x),144,4,4).transpose(1,2)]*3).transpose(1,2)'
    '.reshape(len(x),144,16).transpose(1,2).view(x.shape)': heads,
    # The summary cannot know
    'torch.vmap(lambda o: F.instance_norm(o[None])[0])(x)': {
        'unnamed': 'tensors inside `vmap` have no memory to follow, and the summary says so; the copies are counted'
    },
    'x.to_sparse().to_dense()': {
        'unnamed': 'a tensor that is sparse in between has no history, so the loss is not named; the copies are counted'
    },
}
