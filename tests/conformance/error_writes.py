"""Programs that write where they must not."""

from __future__ import annotations

__all__ = ["WRITES"]

# The guilty line of each is marked; the keys are those of the catalogue.
WRITES: dict[str, str] = {
    "base_inplace_leaf_copy": """
        x = torch.randn(3, requires_grad=True)
        out = torch.empty(3)
        torch.add(x, 1, out=out)  # guilty
    """,
    "fn_inplace_nomark": """
        class AddOne(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                x.add_(1)
                ctx.mark_dirty(x)
                return x

            @staticmethod
            def backward(ctx, g):
                return g

        x = torch.randn(3, requires_grad=True)
        AddOne.apply(x)  # guilty
    """,
    "leaf_inplace": """
        x = torch.randn(3, requires_grad=True)
        x.add_(1)  # guilty
    """,
    "leaf_slice_inplace": """
        x = torch.randn(3, requires_grad=True)
        v = x[:2]
        v.zero_()  # guilty
    """,
    "optim_step_grad": """
        w = torch.randn(3, requires_grad=True)
        (w * w).sum().backward()
        w -= 0.1 * w.grad  # guilty
    """,
    "iadd_residual": """
        x = torch.randn(3, requires_grad=True)
        h = torch.tanh(x)
        r = h
        h += 1  # guilty
        (r * h).sum().backward()
    """,
    "inplace_param_opt": """
        model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 1))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        x = torch.randn(4, 2)
        first = model(x).sum()
        second = model(x).sum()
        first.backward()
        optimizer.step()  # guilty
        second.backward()
    """,
    "inplace_saved_input": """
        w = torch.randn(3, requires_grad=True)
        x = torch.randn(3)
        y = w * x
        x.mul_(2)  # guilty
        y.sum().backward()
    """,
    "inplace_view_saved": """
        x = torch.randn(3, requires_grad=True)
        y = x.sigmoid()
        y[0] = 0  # guilty
        y.sum().backward()
    """,
    "relu_inplace": """
        x = torch.randn(3, requires_grad=True)
        y = torch.sigmoid(x)
        torch.relu_(y)  # guilty
        y.sum().backward()
    """,
    "retain_then_step": """
        w = torch.randn(2, 2, requires_grad=True)
        optimizer = torch.optim.SGD([w], lr=0.1)
        y = (w @ w).sum()
        y.backward(retain_graph=True)
        optimizer.step()  # guilty
        y.backward()
    """,
    "saved_access_inplace": """
        x = torch.randn(3, requires_grad=True)
        y = x.exp()
        node = y.grad_fn
        y.add_(1)  # guilty
        node._saved_result
    """,
    "custom_view_inplace": """
        class Flat(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                return x.view(-1)

            @staticmethod
            def backward(ctx, g):
                return g.view(2, 2)

        x = torch.randn(2, 2, requires_grad=True).clone()
        v = Flat.apply(x)
        v.add_(1)  # guilty
    """,
    "multiview_inplace_unbind": """
        x = torch.randn(2, 2, requires_grad=True).clone()
        rows = x.unbind()
        rows[0].add_(1)  # guilty
    """,
    # PyTorch's own words leave open which of the two lines is to move. Like in the programs above,
    # the write is what is refused, and what two of the three ways out change.
    "nograd_view_inplace": """
        x = torch.randn(4, requires_grad=True).clone()
        w = torch.ones(2, requires_grad=True)
        with torch.no_grad():
            v = x[:2]
        v.mul_(w)  # guilty
    """,
    "detach_inplace_view": """
        x = torch.randn(3, requires_grad=True)
        v = x[:2]
        v.detach_()  # guilty
    """,
}
