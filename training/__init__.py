"""From a data folder to an archive: datasets, networks, train, export, archive."""
