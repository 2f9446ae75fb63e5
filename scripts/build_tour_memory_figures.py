"""Draw the charts of the tour about the memory of a training step, as PyTorch's profiler sees it.

python scripts/build_tour_memory_figures.py [--out FOLDER]
"""

import argparse
import json
import os
import tempfile
from itertools import accumulate
from pathlib import Path
from typing import Any

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

os.environ["KINETO_LOG_LEVEL"] = "99"  # The profiler would print lines of its own.
import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile, record_function
from torch.utils.checkpoint import checkpoint

BATCH, WIDTH, LAYERS, BLOCK = 2048, 128, 8, 2
BLUE, ORANGE = "#0072b2", "#d55e00"


def run_step(*, checkpointed: bool) -> tuple[list[float], int]:
    """Mebibytes after each allocation and release; and how many of these came before backward()."""
    torch.set_num_threads(1)  # Each thread that adds up numbers allocates something for itself.
    torch.manual_seed(0)
    layers = (layer for _ in range(LAYERS) for layer in (nn.Linear(WIDTH, WIDTH), nn.Tanh()))
    model = nn.Sequential(*layers)
    hidden = inputs = torch.randn(BATCH, WIDTH)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        if checkpointed:
            for start in range(0, len(model), 2 * BLOCK):
                hidden = checkpoint(model[start : start + 2 * BLOCK], hidden, use_reentrant=False)
        else:
            hidden = model(inputs)
        loss: Tensor = hidden.square().mean()
        with record_function("pass"):
            loss.backward()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "profile.json"
        profiler.export_chrome_trace(str(path))
        events: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["traceEvents"]
    (start,) = (event["ts"] for event in events if event.get("name") == "pass")
    found = [e for e in events if e.get("name") == "[memory]"]
    changes = [(e["ts"], e["args"]["Bytes"]) for e in sorted(found, key=lambda e: e["ts"])]
    in_use = [total / 2**20 for total in accumulate(change for _, change in changes)]
    return in_use, sum(time < start for time, _ in changes)


def draw_step(axes: Axes, label: str, *, checkpointed: bool) -> None:
    run_step(checkpointed=checkpointed)  # The first one makes what the later ones find.
    in_use, before = run_step(checkpointed=checkpointed)
    colour, width = (ORANGE, 1.2) if checkpointed else (BLUE, 2.2)
    look: dict[str, Any] = {
        "color": colour,
        "linestyle": "-",
        "linewidth": width,
        "drawstyle": "steps-post",
    }
    axes.plot(in_use, label=label, **look)
    axes.plot(before, in_use[before], "o", color=colour, markersize=9)
    place = (before, in_use[before])
    text: dict[str, Any] = {"textcoords": "offset points", "ha": "center", "fontsize": 9.5}
    axes.annotate("loss.backward()", place, (14, -18), color=colour, **text)
    axes.set(xlabel="malloc, free", ylabel="MiB", ylim=(0, None))


def memory() -> Figure:
    figure = Figure(figsize=(7.4, 3.8))
    draw_step(figure.subplots(), "", checkpointed=False)
    return figure


def memory_checkpoint() -> Figure:
    figure = Figure(figsize=(7.4, 3.8))
    axes = figure.subplots()
    draw_step(axes, "model(inputs)", checkpointed=False)
    draw_step(axes, "checkpoint(…)", checkpointed=True)
    axes.legend()
    return figure


FIGURES = {"memory": memory, "memory_checkpoint": memory_checkpoint}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the folder tour/")
    out: Path = parser.parse_args().out / "tour"
    out.mkdir(parents=True, exist_ok=True)
    matplotlib.style.use(Path(__file__).with_name("tour.mplstyle"))
    for name, draw in FIGURES.items():
        path = out / f"{name}.svg"
        draw().savefig(path, metadata={"Date": None})
        print("picture:", path)


if __name__ == "__main__":
    main()
