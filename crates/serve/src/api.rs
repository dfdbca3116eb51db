//! What requests ask for and how they are answered, in OpenAI's words.

pub(crate) mod chat;
pub(crate) mod chunks;
pub(crate) mod fields;
pub(crate) mod messages;
pub(crate) mod refusal;
pub(crate) mod score;
