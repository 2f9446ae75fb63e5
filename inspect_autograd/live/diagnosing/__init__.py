"""What can be said of a program before, or without, a failure: diagnose, why_no_grad, watch."""
