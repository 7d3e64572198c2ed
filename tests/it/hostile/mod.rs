//! Bad input: each is refused with a problem of a stable code, changes nothing, and leaves the server well.

mod bodies;
mod fields;
mod logs;
mod paths;
mod wire;
