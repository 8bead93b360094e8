//! Secret sharing and secure matching as round functions over values.

pub mod gallery;
pub mod kernel;
