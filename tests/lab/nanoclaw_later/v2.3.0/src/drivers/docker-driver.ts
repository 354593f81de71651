// The stand-in's own is the .js beside.
