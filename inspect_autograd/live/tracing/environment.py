"""What a trace says of where it was made."""

from __future__ import annotations

import platform

import torch

from ...events.records import Environment

__all__ = ["describe_environment"]


def describe_environment() -> Environment:
    """Versions, and the settings of torch that change what a backward pass computes."""
    return Environment(
        torch_version=torch.__version__,
        python_version=platform.python_version(),
        platform=f"{platform.system()} {platform.machine()}",
        settings={
            "num_threads": torch.get_num_threads(),
            "default_dtype": str(torch.get_default_dtype()).removeprefix("torch."),
            "deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
            "anomaly_mode": torch.is_anomaly_enabled(),
            "float32_matmul_precision": torch.get_float32_matmul_precision(),
        },
    )
