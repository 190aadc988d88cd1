"""The parts of a report, one file each; `registration` puts them in order."""
