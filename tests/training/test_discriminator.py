import torch
from torch.nn import functional as F

from webui.training import losses
from webui.training.discriminator import RECEPTIVE_FIELD, PatchDiscriminator


def test_each_answer_sees_a_patch_of_the_stated_size():
    torch.manual_seed(0)
    judge = PatchDiscriminator().eval()
    picture = torch.rand(1, 3, 64, 64, requires_grad=True)
    judge(picture)[0, 0, 7, 7].backward()
    seen = picture.grad.abs().sum((0, 1)).nonzero()
    extent = seen.max(0).values - seen.min(0).values + 1
    assert extent.tolist() == [RECEPTIVE_FIELD, RECEPTIVE_FIELD]
    assert sum(p.numel() for p in judge.parameters()) < 250_000


def test_it_learns_to_tell_sharp_from_blurred_and_can_be_fooled():
    """The judge learns first; then a picture that follows the generator's loss passes for sharp."""
    torch.manual_seed(0)
    judge = PatchDiscriminator((8, 8, 8))
    sharp = torch.rand(8, 3, 32, 32).round() * 2 - 1
    blurred = F.avg_pool2d(sharp, 5, 1, 2)
    theirs = torch.optim.AdamW(judge.parameters(), lr=5e-3, betas=(0.5, 0.9))
    for _ in range(60):
        theirs.zero_grad()
        losses.hinge_discriminator(judge(sharp), judge(blurred)).backward()
        theirs.step()
    judge.eval().requires_grad_(False)
    assert judge(sharp).mean() > judge(blurred).mean() + 0.5
    picture = blurred.clone().requires_grad_()
    ours = torch.optim.Adam([picture], lr=2e-2)
    for _ in range(60):
        ours.zero_grad()
        losses.hinge_generator(judge(picture)).backward()
        ours.step()
    assert judge(picture).mean() > judge(sharp).mean()
