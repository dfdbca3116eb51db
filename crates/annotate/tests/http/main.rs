//! The server as browsers and their enemies meet it.

mod bodies;
mod browser;
mod contract;
mod forms;
mod safety;
mod sessions;
mod several_images;
mod unshown;
