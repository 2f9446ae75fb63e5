"""record: watch forward and backward of whole steps, and tie nodes to the program."""
