"""The parts of a study's report: each function turns records into blocks of the document model."""
