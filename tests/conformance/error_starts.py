"""Programs whose backward pass is refused before or while it starts."""

from __future__ import annotations

__all__ = ["STARTS"]

# The guilty line of each is marked; the keys are those of the catalogue.
STARTS: dict[str, str] = {
    "nonreal_scalar": """
        x = torch.randn((), dtype=torch.complex64, requires_grad=True)
        y = x * 2  # guilty
        y.backward()
    """,
    "dtype_mm": """
        x = torch.randn(2, 2, requires_grad=True)
        weights = torch.ones(2, 2, dtype=torch.double)
        x @ weights  # guilty
    """,
    "functorch_bw": """
        def f(x):
            y = x.sum()
            y.backward()  # guilty
            return y

        torch.func.grad(f)(torch.randn(3))
    """,
    "grad_mismatch": """
        x = torch.randn(3, requires_grad=True)
        y = x * 2
        y.backward(torch.ones(2))  # guilty
    """,
    "aot_twice": """
        f = torch.compile(lambda x: (x**3).sum(), backend="aot_eager")
        x = torch.randn(3, requires_grad=True)
        y = f(x)
        y.backward()  # guilty
        y.backward()
    """,
    "backward_after_exc": """
        x = torch.randn(3, requires_grad=True)
        h = x.exp()
        y = (h * h).sum()

        def fail_once(g, calls=[]):
            calls.append(g)
            if len(calls) == 1:
                raise ValueError("hook failed")

        h.register_hook(fail_once)
        try:
            y.backward()  # guilty
        except ValueError:
            pass
        y.backward()
    """,
    "twice": """
        x = torch.randn(3, requires_grad=True)
        y = (x * x).sum()
        y.backward()  # guilty
        y.backward()
    """,
    "twice_custom": """
        class Square(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                ctx.save_for_backward(x)
                return x * x

            @staticmethod
            def backward(ctx, g):
                return 2 * ctx.saved_tensors[0] * g

        x = torch.randn(3, requires_grad=True)
        y = Square.apply(x).sum()
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
    "inference_setgrad": """
        w = torch.randn(3, requires_grad=True)
        with torch.inference_mode():
            y = w * 2  # guilty
            loss = y.sum()
        loss.backward()
    """,
    "argmax": """
        x = torch.randn(3, requires_grad=True)
        y = x * 2
        mask = y > 0  # guilty
        loss = mask.float().sum()
        loss.backward()
    """,
    "checkpoint_noinputs": """
        import torch.utils.checkpoint as cp

        w = torch.randn(3, requires_grad=True)
        x = torch.randn(3)
        y = cp.checkpoint(lambda x: x * w, x, use_reentrant=True)  # guilty
        y.sum().backward()
    """,
    "cond_dtype_where": """
        x = torch.randn(3, requires_grad=True)
        y = x * 2
        whole = y.long()  # guilty
        loss = whole.sum()
        loss.backward()
    """,
    "detach": """
        x = torch.randn(3, requires_grad=True)
        total = (x * 2).sum()
        loss = total.detach()  # guilty
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
    "optim_step_rebind": """
        w = torch.randn(3, requires_grad=True)
        for _ in range(2):
            (w * w).sum().backward()
            w = w - 0.1 * w.grad  # guilty
    """,
    "nonscalar": """
        x = torch.randn(3, requires_grad=True)
        y = x * 2  # guilty
        y.backward()
    """,
    "unused_view": """
        x = torch.randn(3, requires_grad=True)
        v = x.view(1, 3)  # guilty
        loss = x.sum()
        torch.autograd.grad(loss, v)
    """,
    "nonscalar_grad": """
        x = torch.randn(3, requires_grad=True)
        y = x * 2  # guilty
        torch.autograd.grad(y, x)
    """,
    "functorch_nonscalar": """
        def double(x):
            y = x * 2
            return y  # guilty

        torch.func.grad(double)(torch.randn(3))
    """,
    "complex_vector": """
        x = torch.randn(3, dtype=torch.complex64, requires_grad=True)
        y = (x * 2).sum()  # guilty
        y.backward()
    """,
    "grad_mismatch_grad": """
        x = torch.randn(3, requires_grad=True)
        y = x * 2
        torch.autograd.grad(y, x, torch.ones(3, 1))  # guilty
    """,
    "grad_outputs_complex": """
        x = torch.randn(3, requires_grad=True)
        y = x * 2
        y.backward(torch.ones(3, dtype=torch.complex64))  # guilty
    """,
    "is_grads_batched": """
        x = torch.randn(3, requires_grad=True)
        y = x * 2
        torch.autograd.grad(y, x, torch.ones(3), is_grads_batched=True)  # guilty
    """,
    "materialize_conflict": """
        x = torch.randn(3, requires_grad=True)
        y = x.sum()
        torch.autograd.grad(y, x, allow_unused=False, materialize_grads=True)  # guilty
    """,
    "tuple_backward": """
        x = torch.randn(4, requires_grad=True)
        parts = x.split(2)
        parts.backward()  # guilty
    """,
}
