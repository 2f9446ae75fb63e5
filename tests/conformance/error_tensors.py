"""Programs that take a tensor for what it is not: a leaf, one with a graph, one without."""

from __future__ import annotations

__all__ = ["TENSORS"]

# The guilty line of each is marked; the keys are those of the catalogue. Where a tensor is at
# fault it is the line that made it, not the one that was refused, which the traceback shows anyway;
# unless what was asked would be wrong of any such tensor (`numpy`, `setreq_nonleaf`).
TENSORS: dict[str, str] = {
    "opt_nonleaf": """
        x = torch.randn(3, requires_grad=True)
        w = x * 2  # guilty
        torch.optim.SGD([w], lr=0.1)
    """,
    "param_nonleaf": """
        module = torch.nn.Module()
        weight = torch.nn.Parameter(torch.randn(3))
        doubled = weight * 2  # guilty
        module.register_parameter("v", doubled)
    """,
    "item_loss": """
        def compute(x):
            total = x.sum()
            return total.item()  # guilty

        x = torch.randn(3, requires_grad=True)
        loss = compute(x)
        loss.backward()
    """,
    "deepcopy": """
        import copy

        model = torch.nn.Linear(3, 1)
        model.scaled = model.weight * 2  # guilty
        copy.deepcopy(model)
    """,
    "pickle": """
        from multiprocessing.reduction import ForkingPickler

        import torch.multiprocessing

        x = torch.randn(3, requires_grad=True)
        y = x * 2  # guilty
        ForkingPickler.dumps(y)
    """,
    "numpy": """
        x = torch.randn(3, requires_grad=True)
        y = x * 2
        y.numpy()  # guilty
    """,
    "input_noreq": """
        def gradient(loss, of):
            return torch.autograd.grad(loss, of)

        x = torch.randn(3, requires_grad=True)
        z = torch.randn(3)  # guilty
        y = (x * z).sum()
        gradient(y, z)
    """,
    "hook_noreq": """
        x = torch.randn(3)  # guilty
        x.register_hook(print)
    """,
    "grad_edge_noreq": """
        x = torch.randn(3)  # guilty
        torch.autograd.graph.get_gradient_edge(x)
    """,
    "post_acc_nonleaf": """
        x = torch.randn(3, requires_grad=True)
        y = x * 2
        y.register_post_accumulate_grad_hook(print)  # guilty
    """,
    "setreq_nonleaf": """
        x = torch.randn(3, requires_grad=True)
        y = x * 2
        y.requires_grad = False  # guilty
    """,
    "int_reqgrad": """
        torch.ones(3, dtype=torch.long, requires_grad=True)  # guilty
    """,
    "int_reqgrad_": """
        x = torch.ones(3, dtype=torch.long)
        x.requires_grad_()  # guilty
    """,
    "inference_inplace": """
        with torch.inference_mode():
            x = torch.randn(3)  # guilty
        x.add_(1)
    """,
    "inference_reqgrad": """
        with torch.inference_mode():
            x = torch.randn(3)  # guilty
        x.requires_grad_()
    """,
    "no_grad_fn": """
        x = torch.randn(3)  # guilty
        loss = x.sum()
        loss.backward()
    """,
    "second_root": """
        x = torch.randn((), requires_grad=True)
        penalty = torch.ones(())  # guilty
        loss = x * 1
        torch.autograd.backward([loss, penalty])
    """,
    "grad_root_noreq": """
        x = torch.randn(3, requires_grad=True)
        loss = torch.ones(())  # guilty
        torch.autograd.grad(loss, x)
    """,
    "custom_op_noautograd": """
        @torch.library.custom_op("iag::foo", mutates_args=())
        def foo(x: torch.Tensor) -> torch.Tensor:
            return x * 2

        x = torch.randn(3, requires_grad=True)
        y = foo(x)  # guilty
        y.sum().backward()
    """,
    "set_grad_shape": """
        x = torch.randn(3, requires_grad=True)
        x.grad = torch.ones(2)  # guilty
    """,
    "set_grad_self": """
        x = torch.randn(3, requires_grad=True)
        x.grad = x  # guilty
    """,
    "set_": """
        x = torch.randn(3, requires_grad=True)
        x.data = torch.ones(3, dtype=torch.long)  # guilty
    """,
    # What PyTorch only warns of has no traceback, so its line is not known unless the warning was
    # made an error.
    "nonleaf_to_device": """
        import warnings

        warnings.simplefilter("error")
        x = torch.randn(3, requires_grad=True).double()  # guilty
        x.sum().backward()
        x.grad
    """,
    "scalar_conv": """
        import warnings

        warnings.simplefilter("error")
        x = torch.randn((), requires_grad=True)
        y = x * 2
        float(y)  # guilty
    """,
    "create_graph_leak": """
        import warnings

        warnings.simplefilter("error")
        x = torch.randn(3, requires_grad=True)
        loss = (x**2).sum()
        loss.backward(create_graph=True)  # guilty
    """,
    "checkpoint_warn": """
        import warnings

        import torch.utils.checkpoint as cp

        warnings.simplefilter("error")
        x = torch.randn(3, requires_grad=True)
        cp.checkpoint(torch.sin, x)  # guilty
    """,
}
