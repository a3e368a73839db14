"""One module a section of the report; a cell of the notebook shows it with `show`."""
