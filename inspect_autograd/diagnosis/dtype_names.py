"""The many names that messages have for one dtype."""

from __future__ import annotations

__all__ = ["dtype_of"]

_DTYPES = {
    "float": "float32",
    "double": "float64",
    "half": "float16",
    "bfloat16": "bfloat16",
    "long": "int64",
    "longint": "int64",
    "int": "int32",
    "short": "int16",
    "char": "int8",
    "byte": "uint8",
    "signedchar": "int8",
    "unsignedchar": "uint8",
    "bool": "bool",
    "complexfloat": "complex64",
    "complexdouble": "complex128",
    "complexhalf": "complex32",
    "c10::complex<float>": "complex64",
    "c10::complex<double>": "complex128",
}


def dtype_of(name: str) -> str:
    """`float32` for `Float`, `torch.FloatTensor`, `torch.cuda.FloatTensor`, `torch.float32`.

    Args:
        name: As a message has it; a name that is not known is given back without its module.
    """
    name = name.strip("'\" ").removeprefix("c10::") if "<" not in name else name.strip("'\" ")
    short = name.rpartition(".")[2] if "<" not in name else name
    key = short.removesuffix("Tensor").replace(" ", "").lower()
    return _DTYPES.get(key, short)
