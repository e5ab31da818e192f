"""Anyone's tables of results, read into block designs: files, data frames, folders of logs."""
