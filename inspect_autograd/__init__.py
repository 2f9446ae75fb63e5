"""A microscope and debugger for PyTorch's backward pass.

Point it at any tensor with a `grad_fn` and it shows the autograd graph behind it: every node,
what it receives, what it saved, and which parameters the gradients reach.

    import inspect_autograd as ia

    graph = ia.capture(loss, params=model)
    graph.find("Softmax*")
    graph.render("graph.png")

A `Graph` is plain data: it holds no tensor, keeps nothing alive, and can be saved, compared and
drawn on a machine without PyTorch.
"""

from typing import TYPE_CHECKING

__version__ = "0.1.0"

__all__ = [
    "Creation",
    "Cut",
    "Edge",
    "EngineState",
    "Event",
    "ExecutionOrder",
    "Graph",
    "GraphHolders",
    "InspectAutogradError",
    "Mutation",
    "Node",
    "NodeStatus",
    "Pause",
    "Recording",
    "Report",
    "SavedMemory",
    "SavedTensor",
    "SourceLine",
    "Step",
    "Stepper",
    "TensorMeta",
    "TensorStats",
    "Trace",
    "WhyNoGrad",
    "__version__",
    "break_on",
    "capture",
    "check_vjp",
    "diagnose",
    "edit_gradients",
    "edits",
    "execution_order",
    "explain",
    "explaining",
    "graph_holders",
    "install",
    "load",
    "make_dot",
    "record",
    "saved_memory",
    "step",
    "trace",
    "uninstall",
    "watch",
    "why_no_grad",
]

# Public names are imported on first use (PEP 562): reading and drawing a saved graph must not
# pay for importing torch.
_MODULE_OF_NAME = {
    "Creation": ".graph.creation",
    "Cut": ".events.effects",
    "Edge": ".graph.records",
    "EngineState": ".events.engine_state",
    "Event": ".events.records",
    "ExecutionOrder": ".graph.execution_order",
    "Graph": ".graph.graph",
    "GraphHolders": ".graph.holders",
    "InspectAutogradError": ".errors",
    "Mutation": ".events.effects",
    "Node": ".graph.records",
    "NodeStatus": ".events.engine_state",
    "Pause": ".live.breaking.pause",
    "Recording": ".events.recording",
    "Report": ".diagnosis.report",
    "SavedMemory": ".graph.saved_memory",
    "SavedTensor": ".graph.records",
    "SourceLine": ".graph.creation",
    "Step": ".live.stepping.step",
    "Stepper": ".live.stepping.stepper",
    "TensorMeta": ".graph.tensor_meta",
    "TensorStats": ".events.records",
    "Trace": ".events.trace",
    "WhyNoGrad": ".diagnosis.why_no_grad",
    "break_on": ".live.breaking.break_on",
    "capture": ".live.capture",
    "check_vjp": ".live.vjp.check",
    "diagnose": ".live.diagnosing.diagnose",
    "edit_gradients": ".live.edit_gradients",
    "edits": ".live.edits",
    "execution_order": ".graph.execution_order",
    "explain": ".live.post_mortem.explain",
    "explaining": ".live.post_mortem.explaining",
    "graph_holders": ".live.holders.graph_holders",
    "install": ".live.post_mortem.install",
    "load": ".diagnosis.load",
    "make_dot": ".torchviz_style",
    "record": ".live.recording.recorder",
    "saved_memory": ".live.saved_memory",
    "step": ".live.stepping.stepper",
    "trace": ".live.tracing.tracer",
    "uninstall": ".live.post_mortem.install",
    "watch": ".live.diagnosing.watch",
    "why_no_grad": ".live.diagnosing.why_no_grad",
}

# What stands for its module as a whole.
_NAMES_OF_MODULES = {"edits"}

if TYPE_CHECKING:
    from .diagnosis.load import load
    from .diagnosis.report import Report
    from .diagnosis.why_no_grad import WhyNoGrad
    from .errors import InspectAutogradError
    from .events.effects import Cut, Mutation
    from .events.engine_state import EngineState, NodeStatus
    from .events.recording import Recording
    from .events.records import Event, TensorStats
    from .events.trace import Trace
    from .graph.creation import Creation, SourceLine
    from .graph.execution_order import ExecutionOrder, execution_order
    from .graph.graph import Graph
    from .graph.holders import GraphHolders
    from .graph.records import Edge, Node, SavedTensor
    from .graph.saved_memory import SavedMemory
    from .graph.tensor_meta import TensorMeta
    from .live import edits
    from .live.breaking.break_on import break_on
    from .live.breaking.pause import Pause
    from .live.capture import capture
    from .live.diagnosing.diagnose import diagnose
    from .live.diagnosing.watch import watch
    from .live.diagnosing.why_no_grad import why_no_grad
    from .live.edit_gradients import edit_gradients
    from .live.holders.graph_holders import graph_holders
    from .live.post_mortem.explain import explain
    from .live.post_mortem.explaining import explaining
    from .live.post_mortem.install import install, uninstall
    from .live.recording.recorder import record
    from .live.saved_memory import saved_memory
    from .live.stepping.step import Step
    from .live.stepping.stepper import Stepper, step
    from .live.tracing.tracer import trace
    from .live.vjp.check import check_vjp
    from .torchviz_style import make_dot
else:
    # Out of the type checker's sight, because it would let it accept any misspelt name.
    def __getattr__(name: str) -> object:
        if name not in _MODULE_OF_NAME:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        module = import_module(_MODULE_OF_NAME[name], __name__)
        value = module if name in _NAMES_OF_MODULES else getattr(module, name)
        globals()[name] = value  # the next use does not come here
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
