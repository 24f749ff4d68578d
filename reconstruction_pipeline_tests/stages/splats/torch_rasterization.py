"""gsplat's rasterisation on any torch device, slowly: its own reference projection and SH, and plain blending.

Same signature and rules as `gsplat.rasterization` 1.5.3 as far as training uses it; every Gaussian meets every pixel.
"""

from __future__ import annotations

import torch
from gsplat.cuda._torch_impl import _fully_fused_projection, _quat_scale_to_covar_preci, _spherical_harmonics

ALPHA_MAX, ALPHA_MIN, STOP = 0.999, 1.0 / 255.0, 1e-4


def rasterization(
    means, quats, scales, opacities, colors, viewmats, Ks, width, height, *, near_plane, eps2d, sh_degree, packed,
    render_mode, rasterize_mode, backgrounds=None,
):  # fmt: skip
    assert rasterize_mode == "classic" and not packed and render_mode in ("RGB", "RGB+ED")
    assert viewmats.shape == (1, 4, 4) and Ks.shape == (1, 3, 3) and means.dim() == 2
    for tensor in (means, quats, scales, opacities, colors, viewmats, Ks):
        assert tensor.is_contiguous() and tensor.dtype == torch.float32
    # The kernels look at nothing nearer than the near plane or fainter than they would draw, and give it no gradient.
    z = (means @ viewmats[0, 2, :3] + viewmats[0, 2, 3]).detach()
    candidates = torch.nonzero((z >= near_plane) & (opacities.detach() >= ALPHA_MIN))[:, 0]
    means, quats, scales = means[candidates], quats[candidates], scales[candidates]
    opacities, colors = opacities[candidates], colors[candidates]
    covars, _ = _quat_scale_to_covar_preci(quats, scales, compute_preci=False)
    radii, means2d, depths, conics, _ = _fully_fused_projection(
        means, covars, viewmats, Ks, width, height, eps2d=eps2d, near_plane=near_plane
    )
    drawn = (radii[0] > 0).all(dim=1)
    if sh_degree is None:
        features = colors
    else:
        direction = means - torch.inverse(viewmats)[0, :3, 3]
        features = torch.clamp_min(_spherical_harmonics(sh_degree, direction, colors) + 0.5, 0.0)
    if render_mode == "RGB+ED":
        features = torch.cat((features, depths[0, :, None]), dim=1)
        if backgrounds is not None:
            backgrounds = torch.cat((backgrounds, torch.zeros((1, 1))), dim=1)

    kept = torch.nonzero(drawn)[:, 0]
    order = kept[torch.argsort(depths[0, kept].detach(), stable=True)]
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    dx = means2d[0, order, 0, None] - x.reshape(1, -1)
    dy = means2d[0, order, 1, None] - y.reshape(1, -1)
    a, b, c = conics[0, order].unbind(1)
    sigma = 0.5 * (a[:, None] * dx * dx + c[:, None] * dy * dy) + b[:, None] * dx * dy
    alpha = (opacities[order, None] * torch.exp(-sigma)).clamp(max=ALPHA_MAX)
    alpha = torch.where((sigma >= 0) & (alpha >= ALPHA_MIN), alpha, torch.zeros_like(alpha))
    # A pixel is done before the Gaussian that would leave it next to no light.
    light = torch.cumprod(1.0 - alpha.detach(), dim=0)
    alpha = torch.where(light > STOP, alpha, torch.zeros_like(alpha))
    after = torch.cumprod(1.0 - alpha, dim=0)
    before = torch.cat((torch.ones_like(after[:1]), after[:-1]))
    left = after[-1] if len(order) else torch.ones(height * width)
    picture = (alpha * before).T @ features[order]
    if backgrounds is not None:
        picture = picture + left[:, None] * backgrounds
    seen = 1.0 - left
    if render_mode == "RGB+ED":
        picture = torch.cat((picture[:, :-1], picture[:, -1:] / seen[:, None].clamp(min=1e-10)), dim=1)
    return picture.reshape(1, height, width, -1), seen.reshape(1, height, width, 1), {"radii": radii}
