//! What a pickle describes: plain values, storages and tensors.

use super::MAX_VALUES;
use super::globals::Global;
use super::refusal::{Problem, damaged, foreign};
use crate::Dtype;

/// Which of [`Values`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Id(u32);

/// One value; what it contains is named by [`Id`].
#[derive(Debug)]
pub(crate) enum Value<'a> {
    None,
    Int(i64),
    Text(&'a str),
    Tuple(Vec<Id>),
    /// Keys with values in the order in which they were set.
    Dict(Vec<(Id, Id)>),
    /// Its items are forgotten: no tensor that has a name is in a list.
    List,
    Global(Global),
    Storage(Storage<'a>),
    Tensor(Box<Tensor<'a>>),
    /// Something that no tensor depends on: a truth value, a float, bytes, an element type, a device.
    Other,
}

/// The memory of one or several tensors, a member of the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Storage<'a> {
    pub(crate) dtype: Dtype,
    /// The member's name in the folder `data`.
    pub(crate) key: &'a str,
    pub(crate) n_elements: u64,
}

/// A view of a storage; nothing is known yet about whether it fits. Numbers are in elements.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Tensor<'a> {
    pub(crate) storage: Storage<'a>,
    pub(crate) offset: u64,
    pub(crate) shape: Vec<u64>,
    /// As many as `shape` has.
    pub(crate) strides: Vec<u64>,
}

/// All values of a pickle.
#[derive(Debug, Default)]
pub(crate) struct Values<'a>(Vec<Value<'a>>);

impl<'a> Values<'a> {
    /// Keeps `value`, unless there are too many.
    pub(super) fn add(&mut self, value: Value<'a>) -> Option<Id> {
        let id = (self.0.len() < MAX_VALUES).then_some(Id(self.0.len() as u32))?;
        self.0.push(value);
        Some(id)
    }

    pub(crate) fn get(&self, id: Id) -> &Value<'a> {
        &self.0[id.0 as usize]
    }

    pub(super) fn get_mut(&mut self, id: Id) -> &mut Value<'a> {
        &mut self.0[id.0 as usize]
    }

    /// A number that counts something.
    pub(super) fn count(&self, id: Id) -> Result<u64, Problem> {
        match *self.get(id) {
            Value::Int(number) => u64::try_from(number)
                .map_err(|_| damaged(format!("{number} where a size or offset belongs"))),
            _ => Err(damaged("no number where a size or offset belongs")),
        }
    }

    /// The storage that the persistent id `id` names: `("storage", class, key, device, number of elements)`.
    pub(super) fn storage(&self, id: Id) -> Result<Storage<'a>, Problem> {
        let foreign_id = || foreign("BINPERSID with an id that is not that of a storage");
        let Value::Tuple(parts) = self.get(id) else {
            return Err(foreign_id());
        };
        let &[word, class, key, _device, n_elements] = parts.as_slice() else {
            return Err(foreign_id());
        };
        match (self.get(word), self.get(class), self.get(key)) {
            (Value::Text("storage"), Value::Global(Global::Storage(dtype)), Value::Text(key)) => {
                Ok(Storage {
                    dtype: *dtype,
                    key,
                    n_elements: self.count(n_elements)?,
                })
            }
            _ => Err(foreign_id()),
        }
    }
}

/// The number of a two's complement of any length that fits.
pub(super) fn little_endian(bytes: &[u8]) -> Option<i64> {
    let negative = bytes.last().is_some_and(|last| last & 0x80 != 0);
    let filler = if negative { u8::MAX } else { 0 };
    let mut wide = [filler; 8];
    wide.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some(i64::from_le_bytes(wide))
}
