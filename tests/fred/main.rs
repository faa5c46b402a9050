//! FRED (Intel's document 346446; SDM volume 3): frames, stack levels, returns, and what is refused while it is in force. No
//! processor at hand has it: every expected value is worked out by hand from the specification's text.

mod enforcement;
mod events;
mod machine;
mod returns;
mod rules;
