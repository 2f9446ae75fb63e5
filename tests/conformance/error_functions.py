"""Programs whose own Functions, hooks, or operators without a derivative fail."""

from __future__ import annotations

__all__ = ["FUNCTIONS"]

# The guilty line of each is marked; the keys are those of the catalogue.
FUNCTIONS: dict[str, str] = {
    "checkpoint_mismatch": """
        import torch.utils.checkpoint as cp

        n = [0]

        def f(x):
            n[0] += 1  # guilty
            return x.sin().cos() if n[0] == 1 else x.sin()

        x = torch.randn(3, requires_grad=True)
        y = cp.checkpoint(f, x, use_reentrant=False)
        y.sum().backward()
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
    "fn_nobackward": """
        class Double(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x):  # guilty
                return x * 2

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
    "functorch_fn_nosetup": """
        class Double(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x):  # guilty
                return x * 2

            @staticmethod
            def backward(ctx, g):
                return g

        torch.func.grad(lambda x: Double.apply(x).sum())(torch.randn(3))
    """,
    "not_differentiable": """
        x = torch.randn(3, requires_grad=True)
        y = x.abs()
        z = torch.igamma(y, torch.ones(3))  # guilty
        loss = z.sum()
        loss.backward()
    """,
    "not_impl": """
        x = torch.randn(3, requires_grad=True)
        q = x.abs() + 2
        y = torch.special.zeta(q, torch.ones(3))  # guilty
        y.sum().backward()
    """,
    "hook_dtype": """
        x = torch.randn(3, requires_grad=True)
        y = x * 2

        def widen(g):  # guilty
            return g.double()

        y.register_hook(widen)
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
    "hook_shape": """
        x = torch.randn(3, requires_grad=True)
        y = x * 2
        y.register_hook(lambda g: g.sum())  # guilty
        y.sum().backward()
    """,
    "nodehook_count": """
        def first_only(grad_inputs, grad_outputs):
            return (grad_inputs[0],)

        x = torch.randn(3, requires_grad=True)
        y = x * x
        y.grad_fn.register_hook(first_only)  # guilty
        y.sum().backward()
    """,
    "double_bw_unsupported": """
        scores = torch.randn(5, 1, 4, requires_grad=True)
        log_probs = scores.log_softmax(2)
        targets = torch.tensor([[1, 2]])
        loss = torch.nn.functional.ctc_loss(log_probs, targets, [5], [2])  # guilty
        (g,) = torch.autograd.grad(loss, scores, create_graph=True)
        g.sum().backward()
    """,
    # As with an operator that has no second derivative: the call, not what was to differentiate it.
    "aot_double": """
        f = torch.compile(lambda x: (x**3).sum(), backend="aot_eager")
        x = torch.randn(3, requires_grad=True)
        y = f(x)  # guilty
        (g,) = torch.autograd.grad(y, x, create_graph=True)
        g.sum().backward()
    """,
    "checkpoint_mismatch_meta": """
        import torch.utils.checkpoint as cp

        n = [0]

        def f(x):
            n[0] += 1  # guilty
            return (x[:2] if n[0] == 1 else x).sin()

        x = torch.randn(3, requires_grad=True)
        cp.checkpoint(f, x, use_reentrant=False).sum().backward()
    """,
    "saved_unpack_wrong": """
        def pack(tensor):
            return 1

        def unpack(packed):  # guilty
            return packed

        with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
            x = torch.randn(3, requires_grad=True)
            y = x.exp().sum()
        y.backward()
    """,
    "grad_fn_saved_hooks_disabled": """
        with torch.autograd.graph.disable_saved_tensors_hooks("no hooks here"):
            with torch.autograd.graph.save_on_cpu():  # guilty
                pass
    """,
}
