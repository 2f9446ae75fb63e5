"""What our pages need beyond Sphinx and its parser of Markdown, one matter a file."""
