//! APX: no processor at hand has it, so that what it adds is worked out from the manual's pseudocode alone, and was reviewed twice, each line from its bytes on. What it has in
//! common with lines that are compared with a processor is compared in `tests/apx.rs`.

mod arithmetic;
mod conditional;
mod register;
mod stack;
