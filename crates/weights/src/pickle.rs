//! A reader of pickles that cannot execute them.
//!
//! A pickle is a program for a stack machine, whose instructions can name any function of Python and call it.
//! The machine here has the instructions that torch's writer emits for tensors in dictionaries (protocols 2
//! to 5), knows the names in `globals.rs`, and makes [`Value`]s that describe; there is nothing it could call.
//! Everything else is refused with its name and position, whatever it would have done.
//!
//! No instruction costs more than its own bytes: values live in one list and refer to each other by index, so
//! that neither depth, nor sharing, nor a value that contains itself costs time or stack, and their number is
//! bounded, as those of open marks and remembered values are.

mod globals;
mod instructions;
mod refusal;
mod value;

use std::collections::HashMap;

use crate::cursor::Cursor;
use crate::quote::quote;
use globals::Global;
use instructions as op;
use refusal::{Problem, Refusal, cut, damaged, foreign};
pub(crate) use value::{Id, Tensor, Value, Values};

/// A file with the most tensors that are allowed needs about twenty a tensor.
const MAX_VALUES: usize = 1 << 21;
/// Containers that are open at once; torch's writer nests four deep.
const MAX_MARKS: usize = 1 << 10;
/// Longer than any name on the list.
const MAX_GLOBAL_BYTES: usize = 256;

/// Reads a whole pickle: its values, and which of them is the outermost.
pub(crate) fn read(bytes: &[u8]) -> Result<(Values<'_>, Id), Refusal> {
    let mut machine = Machine {
        cursor: Cursor::new(bytes),
        values: Values::default(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
    };
    loop {
        let position = machine.cursor.position();
        match machine.step() {
            Ok(None) => {}
            Ok(Some(root)) => return Ok((machine.values, root)),
            Err(Problem { text, remedy }) => {
                return Err(Refusal {
                    position,
                    problem: text,
                    remedy,
                });
            }
        }
    }
}

struct Machine<'a> {
    cursor: Cursor<'a>,
    values: Values<'a>,
    stack: Vec<Id>,
    /// How long the stack was at each open mark.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
}

impl<'a> Machine<'a> {
    /// Executes one instruction; the last one gives the outermost value.
    fn step(&mut self) -> Result<Option<Id>, Problem> {
        let start = self.cursor.position();
        let code = self.cursor.u8().ok_or_else(cut)?;
        if (start == 0) != (code == op::PROTO) {
            let problem = "a pickle says its protocol first, and once";
            return Err(foreign(format!("{problem}; found {}", op::name(code))));
        }
        match code {
            op::PROTO => self.protocol()?,
            op::FRAME => self.frame()?,
            op::STOP => return self.stop().map(Some),
            op::MARK => self.mark()?,
            op::POP => {
                self.pop()?;
            }
            op::POP_MARK => {
                self.pop_mark()?;
            }
            op::NONE => self.push(Value::None)?,
            op::NEWTRUE | op::NEWFALSE => self.push(Value::Other)?,
            op::BININT..=op::BININT2 | op::LONG1 | op::LONG4 => self.integer(code)?,
            op::BINFLOAT => self.skip(8)?,
            op::SHORT_BINBYTES | op::BINBYTES | op::BINBYTES8 => {
                let n = self.length(code)?;
                self.skip(n)?;
            }
            op::SHORT_BINUNICODE | op::BINUNICODE | op::BINUNICODE8 => self.text(code)?,
            op::EMPTY_TUPLE => self.push(Value::Tuple(Vec::new()))?,
            op::TUPLE1 | op::TUPLE2 | op::TUPLE3 => self.short_tuple(code)?,
            op::TUPLE => {
                let items = self.pop_mark()?;
                self.push(Value::Tuple(items))?;
            }
            op::EMPTY_LIST => self.push(Value::List)?,
            op::APPEND => {
                self.pop()?;
                self.appended()?;
            }
            op::APPENDS => {
                self.pop_mark()?;
                self.appended()?;
            }
            op::EMPTY_DICT => self.push(Value::Dict(Vec::new()))?,
            op::SETITEM => {
                let pair = self.pop_pair()?;
                self.set_items(&pair)?;
            }
            op::SETITEMS => {
                let pairs = self.pop_mark()?;
                self.set_items(&pairs)?;
            }
            op::GLOBAL => self.global()?,
            op::STACK_GLOBAL => self.stack_global()?,
            op::REDUCE => self.reduce()?,
            op::BUILD => self.build()?,
            op::BINPERSID => self.storage()?,
            op::BINPUT | op::LONG_BINPUT | op::MEMOIZE => self.remember(code)?,
            op::BINGET | op::LONG_BINGET => self.recall(code)?,
            other => {
                let name = op::name(other);
                return Err(foreign(format!(
                    "{name} is no instruction that tensors need"
                )));
            }
        }
        Ok(None)
    }

    fn protocol(&mut self) -> Result<(), Problem> {
        match self.cursor.u8().ok_or_else(cut)? {
            2..=5 => Ok(()),
            other => Err(foreign(format!("protocol {other} is not one of 2 to 5"))),
        }
    }

    /// Frames are hints for reading ahead.
    fn frame(&mut self) -> Result<(), Problem> {
        let n = self.cursor.u64().ok_or_else(cut)?;
        if n > self.cursor.remaining() as u64 {
            let left = self.cursor.remaining();
            return Err(damaged(format!("a frame of {n} bytes, {left} are left")));
        }
        Ok(())
    }

    fn stop(&mut self) -> Result<Id, Problem> {
        let root = self.pop()?;
        if !self.stack.is_empty() || !self.marks.is_empty() || self.cursor.remaining() > 0 {
            return Err(damaged("the pickle ends in the middle"));
        }
        Ok(root)
    }

    fn push(&mut self, value: Value<'a>) -> Result<(), Problem> {
        let id = self.values.add(value).ok_or_else(|| {
            foreign(format!(
                "more than {MAX_VALUES} values, which is no list of tensors"
            ))
        })?;
        self.stack.push(id);
        Ok(())
    }

    fn mark(&mut self) -> Result<(), Problem> {
        if self.marks.len() == MAX_MARKS {
            return Err(foreign(format!(
                "more than {MAX_MARKS} values inside each other"
            )));
        }
        self.marks.push(self.stack.len());
        Ok(())
    }

    fn pop(&mut self) -> Result<Id, Problem> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    fn pop_pair(&mut self) -> Result<[Id; 2], Problem> {
        let second = self.pop()?;
        Ok([self.pop()?, second])
    }

    /// The last value of the stack; what is below the last mark is out of reach.
    fn top(&self) -> Result<Id, Problem> {
        let floor = self.marks.last().copied().unwrap_or(0);
        match self.stack.get(floor..) {
            Some(&[.., top]) => Ok(top),
            _ => Err(damaged("an instruction needs more values than there are")),
        }
    }

    /// Everything above the last mark, and the mark.
    fn pop_mark(&mut self) -> Result<Vec<Id>, Problem> {
        let at = self.marks.pop().ok_or_else(|| damaged("no mark is open"))?;
        Ok(self.stack.split_off(at))
    }

    /// A value of `n` bytes that no tensor depends on.
    fn skip(&mut self, n: usize) -> Result<(), Problem> {
        self.cursor.take(n).ok_or_else(cut)?;
        self.push(Value::Other)
    }

    fn integer(&mut self, code: u8) -> Result<(), Problem> {
        let number = match code {
            op::BININT => self.cursor.array().map(i32::from_le_bytes).map(i64::from),
            op::BININT1 => self.cursor.u8().map(i64::from),
            op::BININT2 => self.cursor.u16().map(i64::from),
            _ => {
                let n = self.length(code)?;
                let bytes = self.cursor.take(n).ok_or_else(cut)?;
                // Wider ones are no sizes.
                let value = value::little_endian(bytes).map_or(Value::Other, Value::Int);
                return self.push(value);
            }
        };
        self.push(Value::Int(number.ok_or_else(cut)?))
    }

    fn text(&mut self, code: u8) -> Result<(), Problem> {
        let n = self.length(code)?;
        let bytes = self.cursor.take(n).ok_or_else(cut)?;
        match str::from_utf8(bytes) {
            Ok(text) => self.push(Value::Text(text)),
            // Python can write half of a surrogate pair; no name of a tensor has one.
            Err(_) => self.push(Value::Other),
        }
    }

    /// The length in front of a text, of bytes or of a long integer.
    fn length(&mut self, code: u8) -> Result<usize, Problem> {
        let n = match code {
            op::SHORT_BINUNICODE | op::SHORT_BINBYTES | op::LONG1 => {
                self.cursor.u8().map(u64::from)
            }
            op::BINUNICODE | op::BINBYTES | op::LONG4 => self.cursor.u32().map(u64::from),
            _ => self.cursor.u64(),
        };
        let n = n.ok_or_else(cut)?;
        let left = self.cursor.remaining();
        match usize::try_from(n) {
            Ok(n) if n <= left => Ok(n),
            _ => Err(damaged(format!(
                "{} claims {n} bytes, {left} are left",
                op::name(code)
            ))),
        }
    }

    fn short_tuple(&mut self, code: u8) -> Result<(), Problem> {
        let mut items = Vec::new();
        for _ in op::TUPLE1..=code {
            items.push(self.pop()?);
        }
        items.reverse();
        self.push(Value::Tuple(items))
    }

    /// What was appended is forgotten, but only to a list can something be appended.
    fn appended(&self) -> Result<(), Problem> {
        match self.values.get(self.top()?) {
            Value::List => Ok(()),
            _ => Err(damaged("an item is appended to something that is no list")),
        }
    }

    fn set_items(&mut self, pairs: &[Id]) -> Result<(), Problem> {
        let dict = self.top()?;
        match (self.values.get_mut(dict), pairs.as_chunks()) {
            (Value::Dict(items), (pairs, [])) => {
                items.extend(pairs.iter().map(|&[key, value]| (key, value)));
                Ok(())
            }
            _ => Err(damaged("items are set on something that is no dictionary")),
        }
    }

    fn global(&mut self) -> Result<(), Problem> {
        let mut line = || {
            let line = self.cursor.line(MAX_GLOBAL_BYTES)?;
            str::from_utf8(line).ok()
        };
        let (Some(module), Some(name)) = (line(), line()) else {
            return Err(damaged("GLOBAL without the two lines of a name"));
        };
        self.push_global(module, name)
    }

    fn stack_global(&mut self) -> Result<(), Problem> {
        let [module, name] = self.pop_pair()?;
        match (self.values.get(module), self.values.get(name)) {
            (&Value::Text(module), &Value::Text(name)) => self.push_global(module, name),
            _ => Err(damaged("STACK_GLOBAL without the two texts of a name")),
        }
    }

    fn push_global(&mut self, module: &str, name: &str) -> Result<(), Problem> {
        match Global::find(module, name) {
            Some(global) => self.push(Value::Global(global)),
            None => Err(foreign(format!(
                "the pickle asks for {}, which tensors do not need",
                quote(&format!("{module}.{name}"))
            ))),
        }
    }

    fn reduce(&mut self) -> Result<(), Problem> {
        let [function, arguments] = self.pop_pair()?;
        let (Value::Global(global), Value::Tuple(arguments)) =
            (self.values.get(function), self.values.get(arguments))
        else {
            return Err(foreign(
                "REDUCE calls something that is no function on the list",
            ));
        };
        match global.describe(arguments, &self.values)? {
            globals::Described::As(value) => self.push(value),
            globals::Described::Same(id) => {
                self.stack.push(id);
                Ok(())
            }
        }
    }

    /// State of an object. Dictionaries alone have any, such as `_metadata`, and no tensor depends on it.
    fn build(&mut self) -> Result<(), Problem> {
        self.pop()?;
        match self.values.get(self.top()?) {
            Value::Dict(_) => Ok(()),
            _ => Err(foreign(
                "BUILD sets the state of something that is no dictionary",
            )),
        }
    }

    /// A persistent id, which is how torch writes a storage.
    fn storage(&mut self) -> Result<(), Problem> {
        let id = self.pop()?;
        let storage = self.values.storage(id)?;
        self.push(Value::Storage(storage))
    }

    fn remember(&mut self, code: u8) -> Result<(), Problem> {
        let key = match code {
            op::BINPUT => self.cursor.u8().map(u32::from),
            op::LONG_BINPUT => self.cursor.u32(),
            _ => u32::try_from(self.memo.len()).ok(),
        };
        let key = key.ok_or_else(cut)?;
        let top = self.top()?;
        if self.memo.len() == MAX_VALUES {
            return Err(foreign(format!(
                "more than {MAX_VALUES} values are remembered"
            )));
        }
        self.memo.insert(key, top);
        Ok(())
    }

    fn recall(&mut self, code: u8) -> Result<(), Problem> {
        let key = match code {
            op::BINGET => self.cursor.u8().map(u32::from),
            _ => self.cursor.u32(),
        };
        let key = key.ok_or_else(cut)?;
        let id = *self
            .memo
            .get(&key)
            .ok_or_else(|| damaged(format!("value {key} is recalled and was never remembered")))?;
        self.stack.push(id);
        Ok(())
    }
}
