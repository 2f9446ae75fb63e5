"""Programs that raise nothing and are wrong all the same, beside the same ones mended.

Each says in `diagnosed` what `diagnose` is to be given. The keys are the slugs of the rules.
"""

from __future__ import annotations

from textwrap import dedent

__all__ = ["SILENT_PROGRAMS"]

_LAYERS = "from torch import nn\nmodel = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))\n"

# The mistake, and what stands there instead in the right program; the rest is the same.
_CASES = {
    "non-finite-parameter": (
        _LAYERS
        + "with torch.no_grad():\n    model[0].bias.div_({})\ndiagnosed = dict(model=model)",
        ("torch.zeros(3)", "torch.ones(3)"),
    ),
    "non-finite-gradient": (
        """
        x = torch.{}(3, requires_grad=True)
        x.sqrt().sum().backward()
        diagnosed = dict(params={{"x": x}})
        """,
        ("zeros", "ones"),
    ),
    "create-graph-leak": (
        _LAYERS + "loss = model(torch.ones(1, 2)).square().sum()\n"
        "loss.backward(create_graph={})\ndiagnosed = dict(model=model)",
        ("True", "False"),
    ),
    "optimizer-stale": (
        _LAYERS + "optimizer = torch.optim.SGD(model.parameters(), lr=0.1)\n"
        "{}\nloss = model(torch.ones(1, 2)).sum()\n"
        "diagnosed = dict(loss=loss, model=model, optimizer=optimizer)",
        ("model[1] = nn.Linear(3, 5)", "model[1].reset_parameters()"),
    ),
    "parameter-not-a-leaf": (
        """
        x = torch.ones(3, {})
        loss = x.sum()
        loss.backward()
        diagnosed = dict(loss=loss, params={{"x": x}})
        """,
        ("requires_grad=True).double(", "dtype=torch.float64, requires_grad=True"),
    ),
    "parameter-unregistered": (
        """
        from torch import nn
        class Stack(nn.Module):
            def __init__(self):
                super().__init__()
                self.blocks = {}
            def forward(self, x):
                for block in self.blocks:
                    x = block(x)
                return x
        model = Stack()
        loss = model(torch.ones(1, 2)).sum()
        loss.backward()
        diagnosed = dict(loss=loss, model=model)
        """,
        ("[nn.Linear(2, 2)]", "nn.ModuleList([nn.Linear(2, 2)])"),
    ),
    "parameter-unreached": (
        """
        x = torch.ones(3, requires_grad=True)
        z = torch.ones(3, requires_grad=True)
        loss = {}.sum()
        loss.backward(inputs=[z])
        diagnosed = dict(loss=loss, params={{"x": x, "z": z}})
        """,
        ("x", "(x * z)"),
    ),
    "parameter-not-in-optimizer": (
        _LAYERS + "optimizer = torch.optim.SGD(model{}.parameters(), lr=0.1)\n"
        "loss = model(torch.ones(1, 2)).sum()\nloss.backward()\n"
        "diagnosed = dict(loss=loss, model=model, optimizer=optimizer)",
        ("[0]", ""),
    ),
    "parameter-without-gradient": (
        _LAYERS + "hidden = model[0](torch.ones(1, 2)){}\nmodel[1](hidden).sum().backward()\n"
        "diagnosed = dict(model=model)",
        (".detach()", ""),
    ),
    "parameter-frozen": (
        _LAYERS + "model.append(nn.Linear(1, 1))\nmodel[1].bias.requires_grad_({})\n"
        "diagnosed = dict(model=model)",
        ("False", "True"),
    ),
    # The only second device that every machine has; a forward pass would fail.
    "parameter-device": (
        _LAYERS + "model.append(nn.Linear(1, 1{}))\ndiagnosed = dict(model=model)",
        (", device='meta'", ""),
    ),
    "parameter-float16": (
        _LAYERS + "model.{}()\ndiagnosed = dict(model=model)",
        ("half", "bfloat16"),
    ),
    "double-among-float": (
        _LAYERS + "model[0].scale = nn.Parameter(torch.ones(3, dtype=torch.{}))\n"
        "diagnosed = dict(model=model)",
        ("float64", "float32"),
    ),
    "integer-weight": (
        _LAYERS + 'model.register_buffer("scale", torch.tensor([{}, 2]))\n'
        "diagnosed = dict(model=model)",
        ("1", "1.0"),
    ),
}

SILENT_PROGRAMS = {
    slug: tuple(dedent(program).lstrip("\n").format(words) for words in both)
    for slug, (program, both) in _CASES.items()
}
"""By slug, the program with the mistake and the one without."""
