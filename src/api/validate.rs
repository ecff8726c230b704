//! The checks that need more than the schema, the same for webhook and command line.
