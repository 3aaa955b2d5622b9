//! Facts about the door.
