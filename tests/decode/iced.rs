//! The same bytes through iced-x86: length, operands, memory.
