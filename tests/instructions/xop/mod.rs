//! AMD's 8F prefix: TBM and LWP.

mod bits;
