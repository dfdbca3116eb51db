//! The server as browsers and their enemies meet it.

mod bodies;
mod browser;
mod contract;
mod forms;
mod oidc;
mod projects;
mod provider;
mod rankings;
mod safety;
mod sessions;
mod several_images;
mod tokens;
mod unshown;
mod webhooks;
