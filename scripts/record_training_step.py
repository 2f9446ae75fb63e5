"""Record one training step of a small transformer: modules, lines, memory, writes, cuts, time.

python scripts/record_training_step.py [--out FOLDER]
"""

import argparse
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import inspect_autograd as ia

WORDS, WIDTH, HEADS, LAYERS = 50, 32, 4, 3
BATCH, LENGTH = 4, 12


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH)
        self.out = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape
        qkv = self.qkv(x).view(batch, length, 3, HEADS, width // HEADS).permute(2, 0, 3, 1, 4)
        query, key, value = qkv.unbind()
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        result: Tensor = self.out(mixed.transpose(1, 2).reshape(batch, length, width))
        return result


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.attention = Attention()
        self.mlp = nn.Sequential(
            nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x))
        result: Tensor = x + self.mlp(self.norm2(x))
        return result


class LanguageModel(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(WORDS, WIDTH)
        self.places = nn.Parameter(torch.zeros(LENGTH, WIDTH))
        self.blocks = nn.Sequential(*(Block() for _ in range(LAYERS)))
        self.norm = nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, WORDS)

    def forward(self, tokens: Tensor) -> Tensor:
        scores: Tensor = self.head(self.norm(self.blocks(self.words(tokens) + self.places)))
        return scores


def train_one_step(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    tokens = torch.randint(WORDS, (BATCH, LENGTH + 1))
    optimizer.zero_grad()
    scores = model(tokens[:, :-1])
    loss = F.cross_entropy(scores.flatten(0, 1), tokens[:, 1:].flatten())
    loss.backward()
    optimizer.step()
    print(f"loss: {loss.item():.3f}")  # A cut: a number has no graph.


def show(recording: ia.Recording) -> None:
    print(f"\n1. What happened\n\n{recording}")
    print("\n2. Which lines keep memory until backward\n")
    print(recording.saved_memory(by="line"))
    print("\n3. What the optimizer wrote\n")
    for write in written_by_optimizer(recording)[:3]:
        print(f"   {write}")
    print("\n4. Which line made a node, and in which module\n")
    for node in recording.graph.find("Gelu*"):
        print(f"   {node.name} in {node.scope}: {node.creation}")


def written_by_optimizer(recording: ia.Recording) -> list[ia.Mutation]:
    return [write for write in recording.mutations if "AdamW" in write.function]


def check_numbers(model: LanguageModel, recording: ia.Recording) -> None:
    print("\n5. Checked against numbers worked out by hand\n")
    names = {name for name, _ in model.named_parameters()}
    # In each block 2 norms and 4 linear layers; then the last norm and the head; and two tables.
    check("parameters", len(names), LAYERS * 6 * 2 + 2 * 2 + 2)
    # By weights and biases: 3 + 1 in the attention, 4 + 4 in the MLP, and the norms.
    numbers = LAYERS * (12 * WIDTH**2 + 13 * WIDTH) + 2 * WIDTH + 2 * WORDS * WIDTH + WORDS
    rows = recording.module_rows()
    found = sum(row.parameters or 0 for row in rows)
    check("numbers in them", found, numbers + LENGTH * WIDTH)
    written = {write.tensor for write in written_by_optimizer(recording)}
    check("parameters that AdamW wrote", len(written & names), len(names))
    # It keeps its input, batch · length · 4 · width numbers of four bytes.
    by_scope = {row.scope: row for row in recording.saved_memory(by="scope").rows}
    hidden = BATCH * LENGTH * 4 * WIDTH * 4
    check(
        "bytes that the GELU of a block keeps", by_scope["blocks.0.mlp.1"].activation_bytes, hidden
    )
    row = next(row for row in rows if row.path == "head")
    norm = torch.cat([p.grad.flatten() for p in model.head.parameters() if p.grad is not None])
    check("|gradient| of the head", round(row.gradient_l2 or 0, 4), round(norm.norm().item(), 4))


def check(what: str, found: object, by_hand: object) -> None:
    if found != by_hand:
        raise SystemExit(f"{what}: {found}, but by hand {by_hand}")
    print(f"   {what}: {found}, as worked out by hand")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the files")
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    model = LanguageModel()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    train_one_step(model, optimizer)  # The first one takes longer, as PyTorch has to get ready.
    with ia.record(model, stats="basic") as recording:
        train_one_step(model, optimizer)
    show(recording)
    check_numbers(model, recording)
    title = f"One training step of a transformer of {LAYERS} blocks: its backward pass"
    print("\n6. Files\n")
    picture = out / "transformer_step.png"
    print("picture:  ", recording.traces[0].render(picture, view="repeat", title=title))
    print("recording:", recording.save(out / "transformer_step.json"))
    print("timeline: ", recording.save(out / "transformer_step.chrome.json"))


if __name__ == "__main__":
    main()
