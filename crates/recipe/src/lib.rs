//! Reading a recipe so that every mistake in it is reported at once, with its line.
//!
//! A stage asks for its keys through a [`Reader`], and every question also declares what is allowed: the
//! type, the range, whether the key may be absent, and what it means. Keys nobody asked for are mistakes too, with the nearest
//! known key suggested. There are no hidden defaults: an absent key is a mistake unless the stage asked for
//! it as optional. Overrides (`--set a.b=c`) replace values before any of this.
//!
//! ```
//! use candor_recipe::Reader;
//!
//! let text = "[optimizer]\nlearning_rate = 1e-4\nbeta1 = 0.9\n";
//! let sets = vec!["optimizer.beta1=0.95".to_owned()];
//! let mut recipe = Reader::parse("demo.toml", text, &sets);
//! let learning_rate = recipe
//!     .f64("optimizer.learning_rate", "Peak learning rate.")
//!     .positive()
//!     .required();
//! let beta1 = recipe
//!     .f64("optimizer.beta1", "How long gradients are remembered.")
//!     .within(0.0..1.0)
//!     .required();
//! let seed = recipe.u64("seed", "Everything random follows from it.").optional();
//! let resolved = recipe.finish()?;
//! assert_eq!((learning_rate, beta1, seed), (1e-4, 0.95, None));
//! assert!(resolved.to_text().contains("beta1 = 0.95"));
//! # Ok::<(), candor_recipe::RecipeError>(())
//! ```
//!
//! The value a getter returns after a mistake is a placeholder; [`Reader::finish`] then fails, so it is
//! never used.
//!
//! Settings that are no recipe, those of a judge and of an annotation project, are read the same way.
//!
//! Keys are dotted paths, array elements in brackets: `data.sources[1].weight`.

#![warn(unreachable_pub)]

mod alternatives;
mod field;
mod foreign;
mod layers;
mod mistake;
mod overrides;
mod reader;
mod resolved;
mod survey;
mod tree;
mod unknown;

pub use field::Field;
pub use mistake::{Mistake, Origin, RecipeError};
pub use reader::{Element, Reader};
pub use resolved::{Resolved, changed_keys, free_keys, leaves_of, value_of};
pub use survey::{FieldDoc, Presence, survey};
