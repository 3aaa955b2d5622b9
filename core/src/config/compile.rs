//! From the document to the config that runs.
