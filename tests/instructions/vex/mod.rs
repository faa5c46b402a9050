//! The VEX encoding.

mod bits;
mod compare_add;
mod crypto;
mod f16c;
mod fma;
mod gather;
mod lacking;
mod masked;
mod moves;
