//! Escapes D8 to DF.

mod load_store;
