"""Programs whose failure has one guilty line, which is marked; with keys of the catalogue."""

from __future__ import annotations

from textwrap import dedent

__all__ = ["PROGRAMS", "guilty_line"]

MARK = "  # guilty"


def guilty_line(program: str) -> int:
    """The number of the marked line."""
    (line,) = (n for n, text in enumerate(program.splitlines(), 1) if text.endswith(MARK))
    return line


PROGRAMS = {
    key: dedent(program).lstrip("\n")
    for key, program in {
        "inplace_saved_input": """
            w = torch.randn(3, requires_grad=True)
            x = torch.randn(3)
            y = w * x
            x.mul_(2)  # guilty
            y.sum().backward()
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
        "iadd_residual": """
            x = torch.randn(3, requires_grad=True)
            h = torch.tanh(x)
            r = h
            h += 1  # guilty
            (r * h).sum().backward()
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
        "detach": """
            x = torch.randn(3, requires_grad=True)
            total = (x * 2).sum()
            loss = total.detach()  # guilty
            loss.backward()
        """,
        "argmax": """
            x = torch.randn(3, requires_grad=True)
            y = x * 2
            mask = y > 0  # guilty
            loss = mask.float().sum()
            loss.backward()
        """,
        "cond_dtype_where": """
            x = torch.randn(3, requires_grad=True)
            y = x * 2
            whole = y.long()  # guilty
            loss = whole.sum()
            loss.backward()
        """,
        "inference_setgrad": """
            w = torch.randn(3, requires_grad=True)
            with torch.inference_mode():
                y = w * 2  # guilty
                loss = y.sum()
            loss.backward()
        """,
        "fn_mark_nondiff": """
            class Double(torch.autograd.Function):
                @staticmethod
                def forward(ctx, x):
                    y = x * 2
                    ctx.mark_non_differentiable(y)
                    return y

                @staticmethod
                def backward(ctx, g):
                    return g

            x = torch.randn(3, requires_grad=True)
            y = Double.apply(x)  # guilty
            y.sum().backward()
        """,
        "twice": """
            x = torch.randn(3, requires_grad=True)
            y = (x * x).sum()
            y.backward()  # guilty
            y.backward()
        """,
        "twice_rnn": """
            w = torch.randn(3, 3, requires_grad=True)
            h = torch.zeros(3)
            for i in range(2):
                h = torch.tanh(w @ h + 1)  # guilty
                loss = h.sum()
                loss.backward()
        """,
        "fn_wrong_num": """
            class Product(torch.autograd.Function):
                @staticmethod
                def forward(ctx, x, y):
                    return x * y

                @staticmethod
                def backward(ctx, g):
                    half = g / 2
                    return half  # guilty

            x = torch.randn(3, requires_grad=True)
            loss = Product.apply(x, x).sum()
            loss.backward()
        """,
        "fn_too_many": """
            class Double(torch.autograd.Function):
                @staticmethod
                def forward(ctx, x):
                    return x * 2

                @staticmethod
                def backward(ctx, g):
                    return g, g  # guilty

            x = torch.randn(3, requires_grad=True)
            Double.apply(x).sum().backward()
        """,
        "fn_wrong_shape": """
            class Double(torch.autograd.Function):
                @staticmethod
                def forward(ctx, x):
                    return x * 2

                @staticmethod
                def backward(ctx, g):
                    return g.new_ones(2, 2)  # guilty

            x = torch.randn(3, requires_grad=True)
            Double.apply(x).sum().backward()
        """,
        "fn_nontensor": """
            class Double(torch.autograd.Function):
                @staticmethod
                def forward(ctx, x):
                    return x * 2

                @staticmethod
                def backward(ctx, g):
                    return 1.0  # guilty

            x = torch.randn(3, requires_grad=True)
            Double.apply(x).sum().backward()
        """,
        "fn_grad_for_nonreq": """
            class Scale(torch.autograd.Function):
                @staticmethod
                def forward(ctx, x, k):
                    return x * k

                @staticmethod
                def backward(ctx, g):
                    return g, g  # guilty

            x = torch.randn(3, requires_grad=True)
            Scale.apply(x, 2.0).sum().backward()
        """,
        "hook_shape": """
            x = torch.randn(3, requires_grad=True)
            y = x * 2
            y.register_hook(lambda g: g.sum())  # guilty
            y.sum().backward()
        """,
        "hook_nontensor": """
            def halve(g):  # guilty
                return 0.5

            x = torch.randn(3, requires_grad=True)
            y = x * 2
            y.register_hook(halve)
            y.sum().backward()
        """,
        "not_differentiable": """
            x = torch.randn(3, requires_grad=True)
            y = x.abs()
            z = torch.igamma(y, torch.ones(3))  # guilty
            loss = z.sum()
            loss.backward()
        """,
        "double_bw_unsupported": """
            scores = torch.randn(5, 1, 4, requires_grad=True)
            log_probs = scores.log_softmax(2)
            targets = torch.tensor([[1, 2]])
            loss = torch.nn.functional.ctc_loss(log_probs, targets, [5], [2])  # guilty
            (g,) = torch.autograd.grad(loss, scores, create_graph=True)
            g.sum().backward()
        """,
        "leaf_inplace": """
            x = torch.randn(3, requires_grad=True)
            x.add_(1)  # guilty
        """,
        "optim_step_grad": """
            w = torch.randn(3, requires_grad=True)
            (w * w).sum().backward()
            w -= 0.1 * w.grad  # guilty
        """,
        "multiview_inplace_unbind": """
            x = torch.randn(2, 2, requires_grad=True).clone()
            rows = x.unbind()
            rows[0].add_(1)  # guilty
        """,
        "dtype_mm": """
            x = torch.randn(2, 2, requires_grad=True)
            weights = torch.ones(2, 2, dtype=torch.double)
            x @ weights  # guilty
        """,
    }.items()
}
