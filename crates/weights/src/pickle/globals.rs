//! The names of Python that a pickle of tensors may mention, and what a call of them describes.
//!
//! None of this is Python's function: each makes a description out of its arguments. Attributes of
//! parameters, hooks and `requires_grad` are dropped.

use super::refusal::{Problem, damaged, foreign};
use super::value::{Id, Tensor, Value, Values};
use crate::Dtype;
use crate::entry::MAX_RANK;

/// A name that is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Global {
    /// `collections.OrderedDict`
    OrderedDict,
    /// `torch._utils._rebuild_tensor_v2`
    Tensor,
    /// `torch._utils._rebuild_parameter`
    Parameter,
    /// `torch._utils._rebuild_parameter_with_state`
    ParameterWithState,
    /// A class such as `torch.HalfStorage`.
    Storage(Dtype),
    /// `torch.Size`
    Size,
    /// `torch.device`
    Device,
    /// An element type such as `torch.float16`, as a value beside the tensors.
    ElementType,
}

/// What a call gives.
pub(super) enum Described<'a> {
    As(Value<'a>),
    /// One of the arguments.
    Same(Id),
}

const STORAGES: [(&str, Dtype); 10] = [
    ("DoubleStorage", Dtype::F64),
    ("FloatStorage", Dtype::F32),
    ("HalfStorage", Dtype::F16),
    ("BFloat16Storage", Dtype::BF16),
    ("LongStorage", Dtype::I64),
    ("IntStorage", Dtype::I32),
    ("ShortStorage", Dtype::I16),
    ("CharStorage", Dtype::I8),
    ("ByteStorage", Dtype::U8),
    ("BoolStorage", Dtype::Bool),
];

const ELEMENT_TYPES: [&str; 10] = [
    "float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool",
];

impl Global {
    /// The global `name` of `module`, if it is allowed.
    pub(super) fn find(module: &str, name: &str) -> Option<Self> {
        Some(match (module, name) {
            ("collections", "OrderedDict") => Self::OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2") => Self::Tensor,
            ("torch._utils", "_rebuild_parameter") => Self::Parameter,
            ("torch._utils", "_rebuild_parameter_with_state") => Self::ParameterWithState,
            ("torch", "Size") => Self::Size,
            ("torch", "device") => Self::Device,
            ("torch", name) if ELEMENT_TYPES.contains(&name) => Self::ElementType,
            ("torch", name) => {
                let storage = STORAGES.iter().find(|(known, _)| *known == name);
                return storage.map(|(_, dtype)| Self::Storage(*dtype));
            }
            _ => return None,
        })
    }

    /// What calling this with `arguments` describes.
    pub(super) fn describe<'a>(
        self,
        arguments: &[Id],
        values: &Values<'a>,
    ) -> Result<Described<'a>, Problem> {
        match (self, arguments) {
            (Self::OrderedDict, []) => Ok(Described::As(Value::Dict(Vec::new()))),
            (Self::Tensor, &[storage, offset, shape, strides, _grad, _hooks]) => {
                tensor(values, [storage, offset, shape, strides])
            }
            (Self::Tensor, &[storage, offset, shape, strides, _grad, _hooks, lazy]) => {
                match values.get(lazy) {
                    Value::None => tensor(values, [storage, offset, shape, strides]),
                    Value::Dict(items) if items.is_empty() => {
                        tensor(values, [storage, offset, shape, strides])
                    }
                    _ => Err(foreign(
                        "a tensor whose conjugation or negation was put off",
                    )),
                }
            }
            (Self::Parameter, &[tensor, _grad, _hooks])
            | (Self::ParameterWithState, &[tensor, _grad, _hooks, _]) => match values.get(tensor) {
                Value::Tensor(_) => Ok(Described::Same(tensor)),
                _ => Err(damaged("a parameter that is no tensor")),
            },
            (Self::Size, &[sizes]) => Ok(Described::Same(sizes)),
            (Self::Device, _) => Ok(Described::As(Value::Other)),
            _ => Err(foreign(format!(
                "{self:?} is called with {} arguments, not as torch does",
                arguments.len()
            ))),
        }
    }
}

fn tensor<'a>(
    values: &Values<'a>,
    [storage, offset, shape, strides]: [Id; 4],
) -> Result<Described<'a>, Problem> {
    let &Value::Storage(storage) = values.get(storage) else {
        return Err(damaged("a tensor without a storage"));
    };
    let tensor = Tensor {
        storage,
        offset: values.count(offset)?,
        shape: sizes(values, shape)?,
        strides: sizes(values, strides)?,
    };
    if tensor.shape.len() != tensor.strides.len() {
        return Err(damaged(format!(
            "a tensor of {} dimensions with {} strides",
            tensor.shape.len(),
            tensor.strides.len()
        )));
    }
    Ok(Described::As(Value::Tensor(Box::new(tensor))))
}

/// The numbers of a shape, or of strides.
fn sizes(values: &Values<'_>, id: Id) -> Result<Vec<u64>, Problem> {
    match values.get(id) {
        Value::Tuple(items) if items.len() <= MAX_RANK => {
            items.iter().map(|&item| values.count(item)).collect()
        }
        Value::Tuple(items) => {
            let n = items.len();
            Err(damaged(format!(
                "a tensor of {n} dimensions, {MAX_RANK} are allowed"
            )))
        }
        _ => Err(damaged("a tensor without a shape or strides")),
    }
}
