"""What is known about causes of NaN and Inf: by rule what to do, by node name where they lurk."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["FIXES", "FIX_OF_KIND", "FORMAT_LIMITS", "TROUBLE"]

_CLAMP = "Keep the argument away from that point"

FIXES: Mapping[str, str] = {
    "zero-times-inf": "Make the argument safe before the function, not its result afterwards: "
    "`safe = torch.where(mask, x, 1.0)`, then `torch.where(mask, f(safe), 0.0)`.",
    "sqrt-at-zero": f"{_CLAMP}: `(x + eps).sqrt()` or `x.clamp_min(eps).sqrt()`, for example with "
    "eps=1e-12.",
    "rsqrt-at-zero": f"{_CLAMP}: `(x + eps).rsqrt()`, for example with eps=1e-6.",
    "log-at-zero": f"{_CLAMP}: `x.clamp_min(eps).log()`; better, do not go through the "
    "probability: use `F.log_softmax`, `F.logsigmoid` or a loss `..._with_logits`.",
    "logit-at-bound": f"{_CLAMP}: `torch.logit(x, eps=1e-6)`.",
    "division-by-zero": "Keep the divisor away from 0: `x / y.clamp_min(eps)` for a positive y, or "
    "`x / torch.where(y == 0, 1.0, y)` where the quotient is masked out.",
    "pow-at-zero": f"{_CLAMP}: `x.clamp_min(eps) ** e`.",
    "norm-at-zero": "Keep the norm away from 0: do not start from a weight of zeros, or add eps "
    "to the norm.",
    "hypot-at-origin": "Write it as `(x * x + y * y + eps).sqrt()`.",
    "acos-at-one": f"{_CLAMP}: `x.clamp(-1 + eps, 1 - eps).acos()`, or use `torch.atan2`.",
    "asin-at-one": f"{_CLAMP}: `x.clamp(-1 + eps, 1 - eps).asin()`, or use `torch.atan2`.",
    "atanh-at-one": f"{_CLAMP}: `x.clamp(-1 + eps, 1 - eps).atanh()`.",
    "erfinv-at-one": f"{_CLAMP}: `x.clamp(-1 + eps, 1 - eps).erfinv()`.",
    "acosh-at-one": f"{_CLAMP}: `x.clamp_min(1 + eps).acosh()`.",
    "ndtri-at-bound": f"{_CLAMP}: `torch.special.ndtri(x.clamp(eps, 1 - eps))`.",
    "gamma-pole": f"{_CLAMP}: clamp it to positive numbers.",
    "outside-domain": "Clamp the argument to where the function is defined, and find out why it "
    "is outside.",
    "exp-overflow": "Bound the argument (`x.clamp_max(80.0).exp()` in float32, 10.0 in float16), "
    "or stay in logarithms: `torch.logsumexp`, `F.softmax`, `F.softplus`.",
    "softmax-all-masked": "Leave at least one entry of every row unmasked, or mask with a large "
    "finite number (`torch.finfo(x.dtype).min`) and set the rows to 0 afterwards.",
    "logsumexp-all-masked": "Leave at least one finite entry in every row, or mask with a large "
    "finite number (`torch.finfo(x.dtype).min`) in the place of -Inf.",
    "variance-of-too-few": "Take the variance over more elements, or with `correction=0`.",
    "normalization-of-constant": "Give the normalisation an eps that its dtype can hold, for "
    "example `eps=1e-5`.",
    "repeated-values": "Use only what does not depend on the choice of vectors (the values "
    "themselves), or separate them: add small distinct numbers to the diagonal.",
    "singular-matrix": "Make the matrix regular: `A + eps * torch.eye(n)`.",
    "no-target-weight": "Skip a batch in which no target has a weight, or use reduction='sum' and "
    "divide by a sum that is kept above 0.",
    "ctc-impossible": "Use `zero_infinity=True`, or leave out samples whose input is shorter than "
    "the target.",
    "saved-nonfinite": "The cause lies in the forward pass. Find the first module whose output is "
    "not finite: `module.register_forward_hook(lambda m, i, o: print(m, o.isfinite().all()))`.",
    "half-overflow": "Compute in bfloat16 or float32, or scale the loss less: "
    "`torch.amp.GradScaler` skips such a step and lowers its scale by itself.",
    "overflow": "Make the numbers smaller: normalise the inputs, check the initialisation and the "
    "learning rate, scale the loss down.",
    "custom-function": "Look at what that backward divides by, and test it with "
    "`torch.autograd.gradcheck` on such inputs.",
    "compiled": "Trace the same model without `torch.compile` to see which operation it is.",
}
"""What to do, by rule."""

FIX_OF_KIND: Mapping[str, str] = {
    "born": "Look at what this node computes for such numbers, and at hooks on it.",
    "root": "Check the gradient that the call was given (`backward(gradient=...)`, "
    "`grad_outputs=`) before the call: `assert gradient.isfinite().all()`.",
    "accumulated": "Make the gradients smaller: scale the loss down, or compute in a dtype with a "
    "larger range (bfloat16 or float32 instead of float16).",
    "changed": "Look for `tensor.register_hook(...)` and `Node.register_prehook(...)` there, and "
    "at what the hook returns for such a gradient.",
    "unknown": "Look at these nodes one by one: `trace.of(id)` shows what is known of each.",
}
"""What to do where no rule applies, by kind of the report."""

TROUBLE: Mapping[str, tuple[str, str]] = {
    "SqrtBackward0": ("sqrt-at-zero", "the derivative of sqrt is infinite at 0"),
    "RsqrtBackward0": ("rsqrt-at-zero", "the derivative of rsqrt is infinite at 0"),
    "LogBackward0": ("log-at-zero", "the derivative of log is infinite at 0"),
    "Log2Backward0": ("log-at-zero", "the derivative of log2 is infinite at 0"),
    "Log10Backward0": ("log-at-zero", "the derivative of log10 is infinite at 0"),
    "Log1PBackward0": ("log-at-zero", "the derivative of log1p is infinite at -1"),
    "XlogyBackward0": ("log-at-zero", "the derivative of xlogy(x, y) is infinite at y = 0"),
    "DivBackward0": ("division-by-zero", "a division by 0 has no finite derivative"),
    "AddcdivBackward0": ("division-by-zero", "a division by 0 has no finite derivative"),
    "ReciprocalBackward0": ("division-by-zero", "the derivative of 1/x is infinite at 0"),
    "PowBackward0": ("pow-at-zero", "the derivative of x ** e is infinite at 0 where e < 1"),
    "PowBackward1": ("pow-at-zero", "the derivative of x ** e is infinite at 0 where e < 1"),
    "HypotBackward0": ("hypot-at-origin", "hypot has no derivative at the origin"),
    "AcosBackward0": ("acos-at-one", "the derivative of acos is infinite at 1 and -1"),
    "AsinBackward0": ("asin-at-one", "the derivative of asin is infinite at 1 and -1"),
    "AtanhBackward0": ("atanh-at-one", "the derivative of atanh is infinite at 1 and -1"),
    "AcoshBackward0": ("acosh-at-one", "the derivative of acosh is infinite at 1"),
    "LogitBackward0": ("logit-at-bound", "the derivative of logit is infinite at 0 and 1"),
    "ExpBackward0": ("exp-overflow", "exp overflows above 88 in float32 and above 11 in float16"),
    "SoftmaxBackward0": ("softmax-all-masked", "the softmax of a row of -Inf is NaN"),
    "LogSoftmaxBackward0": ("softmax-all-masked", "the log_softmax of a row of -Inf is NaN"),
    "LogsumexpBackward0": ("logsumexp-all-masked", "logsumexp of -Inf has no derivative"),
    "StdBackward0": ("variance-of-too-few", "one element has no standard deviation"),
    "VarBackward0": ("variance-of-too-few", "one element has no variance"),
    "LinalgSvdBackward0": ("repeated-values", "singular vectors of equal values are not unique"),
    "LinalgEighBackward0": ("repeated-values", "eigenvectors of equal values are not unique"),
    "CtcLossBackward0": ("ctc-impossible", "a target that is longer than its input has loss Inf"),
}
"""By node name: the rule and the fact that come to mind first. It is no proof."""

FORMAT_LIMITS: Mapping[str, float] = {
    "float16": 65504.0,
    "bfloat16": 3.3895313892515355e38,
    "float32": 3.4028234663852886e38,
    "float64": 1.7976931348623157e308,
    "complex32": 65504.0,
    "complex64": 3.4028234663852886e38,
    "complex128": 1.7976931348623157e308,
}
"""Largest finite number of each dtype (of a part, for complex ones)."""
