"""TensorMeta: what is known of a tensor without holding it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["SHORT_DTYPES", "TensorMeta", "format_bytes"]

SHORT_DTYPES = {
    "float64": "f64",
    "float32": "f32",
    "float16": "f16",
    "bfloat16": "bf16",
    "complex128": "c128",
    "complex64": "c64",
    "complex32": "c32",
    "int64": "i64",
    "int32": "i32",
    "int16": "i16",
    "int8": "i8",
    "uint64": "u64",
    "uint32": "u32",
    "uint16": "u16",
    "uint8": "u8",
    "bool": "b8",
}
"""PyTorch's own shorthand (`torch.utils._dtype_abbrs`), for the dtypes people meet."""


@dataclass(frozen=True, slots=True)
class TensorMeta:
    """Shape, dtype, device and layout of a tensor; never its values.

    Attributes:
        shape: Size of each dimension; a symbolic size (`torch.compile` with dynamic shapes) is
            kept as its name. None where torch cannot tell it (nested tensors of strided layout).
        dtype: Name without the `torch.` prefix, for example `float32`.
        device: As torch prints it, for example `cpu` or `cuda:0`.
        layout: `strided`, `sparse_coo`, ...; None where torch does not tell it: the metadata
            that a node keeps of the gradients it receives has no layout.
    """

    shape: tuple[int | str, ...] | None
    dtype: str
    device: str = "cpu"
    layout: str | None = None

    @property
    def numel(self) -> int | None:
        """Number of elements, None where the shape is unknown or symbolic."""
        if self.shape is None:
            return None
        count = 1
        for size in self.shape:
            if isinstance(size, str):
                return None
            count *= size
        return count

    def __str__(self) -> str:
        dtype = SHORT_DTYPES.get(self.dtype, self.dtype)
        shape = "?" if self.shape is None else ", ".join(map(str, self.shape))
        device = "" if self.device == "cpu" else f" {self.device}"
        layout = "" if self.layout in (None, "strided") else f" {self.layout}"
        return f"{dtype}[{shape}]{device}{layout}"


def format_bytes(count: int) -> str:
    """Bytes as a person reads them: `512 B`, `1.5 KiB`, `3.2 GiB`."""
    if count < 1024:
        return f"{count} B"
    size = float(count)
    for unit in ("KiB", "MiB", "GiB", "TiB"):
        size /= 1024
        if size < 1024 or unit == "TiB":
            return f"{size:.1f} {unit}" if size < 100 else f"{size:.0f} {unit}"
    raise AssertionError("unreachable")
