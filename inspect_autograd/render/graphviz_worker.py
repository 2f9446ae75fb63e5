"""Lays one graph out with the Graphviz that comes inside pygraphviz; run in a process of its own.

Not imported by anything: `engine` passes this text to a Python of its own, which knows nothing
of this package, and least of all of torch. DOT comes in on stdin, the picture goes out on stdout.
Arguments: the folder that holds pygraphviz, the layout, the output format.
"""

import sys


def main(folder: str, layout: str, output_format: str) -> None:
    """Read, lay out, write."""
    # At the end, so that nothing in that folder can stand in for the standard library.
    sys.path.append(folder)
    import pygraphviz

    source = sys.stdin.buffer.read().decode("utf-8")
    picture = pygraphviz.AGraph(string=source).draw(format=output_format, prog=layout)
    sys.stdout.buffer.write(picture)


if __name__ == "__main__":
    main(*sys.argv[1:])
