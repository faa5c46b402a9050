//! encore86-oracle
