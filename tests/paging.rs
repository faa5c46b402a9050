//! Page walks and the TLB: against a walker of the tests' own (`naive`) over random tables (`world`), and what has to
//! be shown one by one. `ENCORE86_CASES` multiplies the random cases, `ENCORE86_SEED` repeats a run.

#![allow(missing_docs)]

#[path = "paging/compared.rs"]
mod compared;
#[path = "paging/directed.rs"]
mod directed;
#[path = "paging/masking.rs"]
mod masking;
#[path = "paging/memory.rs"]
mod memory;
#[path = "paging/naive.rs"]
mod naive;
#[path = "paging/qemu.rs"]
mod qemu;
#[path = "paging/world.rs"]
mod world;
