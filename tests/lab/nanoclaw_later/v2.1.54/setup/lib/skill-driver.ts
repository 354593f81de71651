// tsx of this tree runs the .js beside.
