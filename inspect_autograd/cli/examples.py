"""The graphs that `inspect-autograd demo` shows."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

__all__ = ["TextClassifier", "quadratic", "transformer_loss", "transformer_step"]

SEED = 0
VOCABULARY = 100
WIDTH = 32
TOKENS = 12
BATCH = 4
CLASSES = 5


def quadratic() -> tuple[torch.Tensor, torch.Tensor]:
    """The tensor x = [0, 1, 2, 3] and f(x) = 2 · dot(x, x), which is 28."""
    x = torch.arange(4.0, requires_grad=True)
    return x, 2 * torch.dot(x, x)


class TextClassifier(nn.Module):
    """A transformer that reads token ids and scores classes.

    Args:
        layers: Number of encoder layers.
    """

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.tokens = nn.Embedding(VOCABULARY, WIDTH)
        self.positions = nn.Parameter(torch.zeros(TOKENS, WIDTH))
        layer = nn.TransformerEncoderLayer(WIDTH, nhead=4, dim_feedforward=64, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.head = nn.Linear(WIDTH, CLASSES)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Scores `[batch, classes]` for token ids `[batch, tokens]`."""
        hidden = self.encoder(self.tokens(tokens) + self.positions)
        scores: torch.Tensor = self.head(hidden.mean(dim=1))
        return scores


def transformer_loss(layers: int = 6) -> tuple[torch.Tensor, TextClassifier]:
    """The loss of one step of training, and the model; the same on every call."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        model = TextClassifier(layers)
        tokens = torch.randint(VOCABULARY, (BATCH, TOKENS))
        labels = torch.randint(CLASSES, (BATCH,))
        return nn.functional.cross_entropy(model(tokens), labels), model


def transformer_step(layers: int = 6) -> tuple[TextClassifier, Callable[[], None]]:
    """A model, and what does one step of training with it; the same on every call."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        model = TextClassifier(layers)
        tokens = torch.randint(VOCABULARY, (BATCH, TOKENS))
        labels = torch.randint(CLASSES, (BATCH,))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)

    def step() -> None:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(tokens), labels)
        loss.backward()
        optimizer.step()

    return model, step
