import torch

from webui.training.muon import Muon, orthogonalise


def test_singular_values_become_about_one():
    torch.manual_seed(0)
    for shape in ((16, 40), (40, 16)):
        values = torch.linalg.svdvals(orthogonalise(torch.randn(shape)).float())
        assert values.min() > 0.4 and values.max() < 1.5


def test_a_least_squares_problem_is_solved():
    torch.manual_seed(0)
    wanted, x = torch.randn(8, 8), torch.randn(64, 8)
    weight = torch.nn.Parameter(torch.zeros(8, 8))
    muon = Muon([weight], lr=0.1, weight_decay=0.0)
    for step in range(400):
        muon.param_groups[0]["lr"] = 0.1 * (1 - step / 400)
        muon.zero_grad()
        loss = (x @ weight.T - x @ wanted.T).square().mean()
        torch.autograd.backward(loss)
        muon.step()
    assert loss < 1e-2
