// The channels that are installed: each script of setup/install-*.sh adds the import of one.
