//! Three nodes over an in-memory network: what members see, what a hostile client meets, and what survives a crash.

mod consent;
mod crashes;
mod lawless;
mod moving;
mod network;
mod personas;
mod post;
mod publication;
mod rebuild;
mod recovery;
mod refresh;
mod refusals;
mod renewal;
mod service;
mod shield;
mod storage;
mod world;
