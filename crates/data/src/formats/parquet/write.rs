//! Rows into parquet files as Hugging Face's `datasets` writes them: every column may be null, pictures are its feature `Image`
//! (an object of `bytes` and `path`), and the schema's metadata say so.
//!
//! # Reference
//! The levels of nested columns are those of parquet's documentation of nested types. A null is told by the definition level of
//! the deepest thing around it that is there; the repetition level says at which list a value goes on.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::basic::Compression;
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use serde_json::{Map, Value, json};

use crate::error::DataError;
use crate::formats::text::MAX_FILE_BYTES;

/// Rows are written together until they are so many or so many bytes: what is in memory at once.
const GROUP_ROWS: usize = 10_000;
const GROUP_BYTES: usize = 32 << 20;

/// What a column holds, or an object or a list of it.
#[derive(Debug, Clone)]
pub(in crate::formats) enum Node {
    /// A text.
    Text,
    /// A number.
    Number,
    /// A picture by its name, with its bytes where they are put into the file.
    Image,
    /// A list.
    List(Box<Node>),
    /// An object.
    Object(Vec<(&'static str, Node)>),
}

/// Where the bytes of a picture come from; none where its name is all that is written.
pub(in crate::formats) type Pictures<'a> =
    &'a mut dyn FnMut(&str) -> Result<Option<Vec<u8>>, DataError>;

/// The values of a column at the end of its path, with their levels.
struct Leaf {
    values: Values,
    definition: Vec<i16>,
    repetition: Vec<i16>,
    is_repeated: bool,
}

enum Values {
    Bytes(Vec<ByteArray>),
    Numbers(Vec<f64>),
}

/// Where in the nesting a value is.
#[derive(Clone, Copy)]
struct Level {
    definition: i16,
    repetition: i16,
    lists: i16,
}

impl Level {
    fn deeper(self, by: i16) -> Self {
        Self {
            definition: self.definition + by,
            ..self
        }
    }
}

impl Node {
    /// In the language of parquet's schemas.
    fn schema(&self, name: &str) -> String {
        match self {
            Self::Text => format!("OPTIONAL BYTE_ARRAY {name} (UTF8);"),
            Self::Number => format!("OPTIONAL DOUBLE {name};"),
            Self::Image => format!(
                "OPTIONAL GROUP {name} {{ OPTIONAL BYTE_ARRAY bytes; OPTIONAL BYTE_ARRAY path (UTF8); }}"
            ),
            Self::List(item) => format!(
                "OPTIONAL GROUP {name} (LIST) {{ REPEATED GROUP list {{ {} }} }}",
                item.schema("element")
            ),
            Self::Object(fields) => {
                let fields = fields.iter().map(|(name, field)| field.schema(name));
                let fields: Vec<String> = fields.collect();
                format!("OPTIONAL GROUP {name} {{ {} }}", fields.join(" "))
            }
        }
    }

    /// In the language of the features of `datasets`.
    fn feature(&self) -> Value {
        match self {
            Self::Text => json!({"dtype": "string", "_type": "Value"}),
            Self::Number => json!({"dtype": "float64", "_type": "Value"}),
            Self::Image => json!({"_type": "Image"}),
            Self::List(item) => json!([item.feature()]),
            Self::Object(fields) => {
                let fields = fields.iter();
                let fields = fields.map(|(name, field)| ((*name).to_owned(), field.feature()));
                Value::Object(fields.collect())
            }
        }
    }

    /// Adds the columns at the ends of its paths, in the order of the schema.
    fn leaves(&self, is_repeated: bool, found: &mut Vec<Leaf>) {
        let leaf = |values| Leaf {
            values,
            definition: Vec::new(),
            repetition: Vec::new(),
            is_repeated,
        };
        match self {
            Self::Text => found.push(leaf(Values::Bytes(Vec::new()))),
            Self::Number => found.push(leaf(Values::Numbers(Vec::new()))),
            Self::Image => {
                found.push(leaf(Values::Bytes(Vec::new())));
                found.push(leaf(Values::Bytes(Vec::new())));
            }
            Self::List(item) => item.leaves(true, found),
            Self::Object(fields) => {
                for (_, field) in fields {
                    field.leaves(is_repeated, found);
                }
            }
        }
    }

    fn n_leaves(&self) -> usize {
        match self {
            Self::Text | Self::Number => 1,
            Self::Image => 2,
            Self::List(item) => item.n_leaves(),
            Self::Object(fields) => fields.iter().map(|(_, field)| field.n_leaves()).sum(),
        }
    }

    /// Adds a value to its columns, and returns how many bytes it has. What is of another type than the node is null.
    fn shred(
        &self,
        value: Option<&Value>,
        at: Level,
        leaves: &mut [Leaf],
        pictures: Pictures<'_>,
    ) -> Result<usize, DataError> {
        match (self, value) {
            (Self::Text, Some(Value::String(text))) => {
                leaves[0].bytes(text.as_bytes().to_vec(), at.deeper(1));
                Ok(text.len())
            }
            (Self::Number, Some(Value::Number(number))) => {
                leaves[0].number(number.as_f64().unwrap_or(f64::NAN), at.deeper(1));
                Ok(8)
            }
            (Self::Image, Some(Value::String(name))) => {
                let (inside, path) = leaves.split_at_mut(1);
                path[0].bytes(name.as_bytes().to_vec(), at.deeper(2));
                let Some(bytes) = pictures(name)? else {
                    inside[0].null(at.deeper(1));
                    return Ok(name.len());
                };
                let n_bytes = bytes.len();
                inside[0].bytes(bytes, at.deeper(2));
                Ok(name.len() + n_bytes)
            }
            (Self::List(item), Some(Value::Array(items))) if !items.is_empty() => {
                let lists = at.lists + 1;
                let mut n_bytes = 0;
                for (i, value) in items.iter().enumerate() {
                    let at = Level {
                        definition: at.definition + 2,
                        repetition: if i == 0 { at.repetition } else { lists },
                        lists,
                    };
                    n_bytes += item.shred(Some(value), at, leaves, &mut *pictures)?;
                }
                Ok(n_bytes)
            }
            (Self::Object(fields), Some(Value::Object(values))) => {
                let (mut n_bytes, mut rest) = (0, leaves);
                for (name, field) in fields {
                    let (own, others) = rest.split_at_mut(field.n_leaves());
                    n_bytes += field.shred(values.get(*name), at.deeper(1), own, &mut *pictures)?;
                    rest = others;
                }
                Ok(n_bytes)
            }
            // A list without items is there all the same.
            (Self::List(_), Some(Value::Array(_))) => {
                for leaf in leaves {
                    leaf.null(at.deeper(1));
                }
                Ok(0)
            }
            _ => {
                for leaf in leaves {
                    leaf.null(at);
                }
                Ok(0)
            }
        }
    }
}

impl Leaf {
    fn null(&mut self, at: Level) {
        self.definition.push(at.definition);
        self.repetition.push(at.repetition);
    }

    fn bytes(&mut self, bytes: Vec<u8>, at: Level) {
        self.null(at);
        if let Values::Bytes(values) = &mut self.values {
            values.push(ByteArray::from(bytes));
        }
    }

    fn number(&mut self, number: f64, at: Level) {
        self.null(at);
        if let Values::Numbers(values) = &mut self.values {
            values.push(number);
        }
    }
}

/// A file that is written in groups of rows.
pub(in crate::formats) struct Writer<'f> {
    path: PathBuf,
    columns: Vec<(&'static str, Node)>,
    file: SerializedFileWriter<&'f mut File>,
    leaves: Vec<Leaf>,
    n_rows: usize,
    n_bytes: usize,
}

impl<'f> Writer<'f> {
    /// Begins a file of these columns; `path` names it in messages.
    pub(in crate::formats) fn new(
        path: &Path,
        file: &'f mut File,
        columns: Vec<(&'static str, Node)>,
    ) -> Result<Self, DataError> {
        let refused = |error| unwritten(path, error);
        let fields = columns.iter().map(|(name, node)| node.schema(name));
        let fields: Vec<String> = fields.collect();
        let schema = format!("message schema {{ {} }}", fields.join(" "));
        let schema = parse_message_type(&schema).map_err(refused)?;
        let features = columns.iter();
        let features = features.map(|(name, node)| ((*name).to_owned(), node.feature()));
        let features: Map<String, Value> = features.collect();
        let about = json!({"info": {"features": features}}).to_string();
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_key_value_metadata(Some(vec![KeyValue::new("huggingface".to_owned(), about)]))
            .build();
        Ok(Self {
            path: path.to_path_buf(),
            file: SerializedFileWriter::new(file, Arc::new(schema), Arc::new(properties))
                .map_err(refused)?,
            leaves: fresh(&columns),
            columns,
            n_rows: 0,
            n_bytes: 0,
        })
    }

    /// Adds a row. Fields that are no columns are left out.
    pub(in crate::formats) fn add(
        &mut self,
        row: &Value,
        pictures: Pictures<'_>,
    ) -> Result<(), DataError> {
        let start = Level {
            definition: 0,
            repetition: 0,
            lists: 0,
        };
        let mut rest = self.leaves.as_mut_slice();
        for (name, node) in &self.columns {
            let (own, others) = rest.split_at_mut(node.n_leaves());
            self.n_bytes += node.shred(row.get(name), start, own, &mut *pictures)?;
            rest = others;
        }
        self.n_rows += 1;
        if self.n_rows >= GROUP_ROWS || self.n_bytes >= GROUP_BYTES {
            self.group()?;
        }
        Ok(())
    }

    /// Writes the rows that are in memory.
    fn group(&mut self) -> Result<(), DataError> {
        let leaves = std::mem::replace(&mut self.leaves, fresh(&self.columns));
        (self.n_rows, self.n_bytes) = (0, 0);
        write_group(&mut self.file, &leaves).map_err(|error| unwritten(&self.path, error))?;
        let bytes = self.file.bytes_written() as u64;
        if bytes > MAX_FILE_BYTES {
            return Err(DataError::TooLarge {
                path: self.path.clone(),
                bytes,
                limit: MAX_FILE_BYTES,
                remedy: "convert the rows in parts, or leave the pictures outside of the file"
                    .into(),
            });
        }
        Ok(())
    }

    /// Ends the file.
    pub(in crate::formats) fn end(mut self) -> Result<(), DataError> {
        if self.n_rows > 0 {
            self.group()?;
        }
        let Self { path, file, .. } = self;
        let closed = file.close().map(drop);
        closed.map_err(|error| unwritten(&path, error))
    }
}

fn fresh(columns: &[(&'static str, Node)]) -> Vec<Leaf> {
    let mut leaves = Vec::new();
    for (_, node) in columns {
        node.leaves(false, &mut leaves);
    }
    leaves
}

fn write_group(
    file: &mut SerializedFileWriter<&mut File>,
    leaves: &[Leaf],
) -> Result<(), ParquetError> {
    let mut group = file.next_row_group()?;
    for leaf in leaves {
        let Some(mut column) = group.next_column()? else {
            break;
        };
        let definition = Some(leaf.definition.as_slice());
        let repetition = leaf.is_repeated.then_some(leaf.repetition.as_slice());
        match &leaf.values {
            Values::Bytes(values) => column
                .typed::<ByteArrayType>()
                .write_batch(values, definition, repetition)?,
            Values::Numbers(values) => column
                .typed::<DoubleType>()
                .write_batch(values, definition, repetition)?,
        };
        column.close()?;
    }
    group.close().map(drop)
}

fn unwritten(path: &Path, source: ParquetError) -> DataError {
    DataError::Io {
        action: "write",
        path: path.to_path_buf(),
        remedy: "check that the disk has room and that you may write there".into(),
        source: std::io::Error::other(source),
    }
}
