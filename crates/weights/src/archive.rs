//! The directory of a zip archive whose members are stored as they are, which is how torch writes its files.
//!
//! Only the directory at the end of the file is read, and the header of each member as far as it takes to find
//! its bytes. Where the format says a thing twice the two must agree, so that there is one way to understand a
//! file. Other tools' liberties (comments, parts on several disks, a program in front) are refused.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use crate::CheckpointError;
use crate::cursor::Cursor;
use crate::entry::MAX_TENSORS;
use crate::error::REPLACE;
use crate::quote::quote;

/// A storage for each tensor, and the few members beside them.
const MAX_MEMBERS: u64 = MAX_TENSORS as u64 + 1024;
/// A record has about 70 bytes.
const MAX_DIRECTORY_BYTES: u64 = 32 << 20;
const END_BYTES: u64 = 22;
const LOCATOR_BYTES: u64 = 20;
const END_64_BYTES: u64 = 56;
/// Smallest record of the directory: without a name.
const RECORD_BYTES: u64 = 46;
const LOCAL_BYTES: usize = 30;
const END: u32 = 0x0605_4b50;
const LOCATOR: u32 = 0x0706_4b50;
const END_64: u32 = 0x0606_4b50;
const RECORD: u32 = 0x0201_4b50;
const LOCAL: u32 = 0x0403_4b50;
/// Marks the extra field that holds what does not fit into 32 bits.
const EXTRA_64: u16 = 1;
const RESAVE: &str = "write it again with torch.save, or with safetensors.torch.save_file";

/// The bytes of one member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Member {
    /// From the start of the file.
    pub(crate) offset: u64,
    pub(crate) n_bytes: u64,
}

/// All members by name.
pub(crate) type Members = BTreeMap<String, Member>;

/// Reads where the members of the archive at `path` lie. No two of them overlap.
pub(crate) fn members(path: &Path, file: &File) -> Result<Members, CheckpointError> {
    let reader = Reader { path, file };
    let directory = reader.directory()?;
    let mut bytes = vec![0; directory.n_bytes as usize];
    reader.read(&mut bytes, directory.offset)?;
    let mut records = reader.records(&bytes, directory.n_records)?;
    records.sort_by_key(|record| record.header_at);
    let mut members = Members::new();
    let mut position = 0;
    for record in records {
        let shown = quote(record.name);
        if record.header_at < position {
            return Err(reader.refuse(format!("member {shown} overlaps the one before it")));
        }
        let offset = reader.data_offset(&record, directory.offset)?;
        position = offset
            .checked_add(record.n_bytes)
            .filter(|&end| end <= directory.offset)
            .ok_or_else(|| {
                reader.refuse(format!(
                    "member {shown} claims {} bytes, more than the file has left",
                    record.n_bytes
                ))
            })?;
        let member = Member {
            offset,
            n_bytes: record.n_bytes,
        };
        if members.insert(record.name.to_owned(), member).is_some() {
            return Err(reader.refuse(format!("two members are named {shown}")));
        }
    }
    Ok(members)
}

/// Where the directory lies and how many records it has.
struct Directory {
    offset: u64,
    n_bytes: u64,
    n_records: u64,
}

/// What the directory says of one member.
struct Record<'a> {
    name: &'a str,
    n_bytes: u64,
    header_at: u64,
}

struct Reader<'a> {
    path: &'a Path,
    file: &'a File,
}

impl Reader<'_> {
    fn refuse(&self, problem: impl Into<String>) -> CheckpointError {
        CheckpointError::file(self.path, problem, REPLACE)
    }

    fn read(&self, out: &mut [u8], offset: u64) -> Result<(), CheckpointError> {
        self.file
            .read_exact_at(out, offset)
            .map_err(CheckpointError::io("read", self.path))
    }

    /// The last records of the file: the end, and before it, if sizes need 64 bits, locator and 64-bit end.
    fn directory(&self) -> Result<Directory, CheckpointError> {
        let n_file = self
            .file
            .metadata()
            .map_err(CheckpointError::io("inspect", self.path))?
            .len();
        let tail = n_file.min(END_64_BYTES + LOCATOR_BYTES + END_BYTES);
        let mut bytes = vec![0; tail as usize];
        self.read(&mut bytes, n_file - tail)?;
        let (before, end) = bytes.split_at(bytes.len().saturating_sub(END_BYTES as usize));
        let mut end = Cursor::new(end);
        let short = parse_end(&mut end).ok_or_else(|| {
            self.refuse("does not end like a zip archive of torch: its directory is missing")
        })?;
        let wide = parse_end_64(before);
        let (directory, records_at) = match wide {
            Some((locator, directory)) => {
                let at = n_file - tail;
                if locator != at || !short.agrees_with(&directory) {
                    return Err(
                        self.refuse("the two ends of the zip directory contradict each other")
                    );
                }
                (directory, at)
            }
            None => (short, n_file - END_BYTES),
        };
        if directory.offset.checked_add(directory.n_bytes) != Some(records_at) {
            let problem = format!(
                "the zip directory should have {} bytes at {}, but ends elsewhere",
                directory.n_bytes, directory.offset
            );
            return Err(self.refuse(problem));
        }
        let n_fitting = MAX_MEMBERS.min(directory.n_bytes / RECORD_BYTES);
        if directory.n_bytes > MAX_DIRECTORY_BYTES || directory.n_records > n_fitting {
            let problem = format!(
                "the zip directory claims {} members in {} bytes",
                directory.n_records, directory.n_bytes
            );
            return Err(self.refuse(problem));
        }
        Ok(directory)
    }

    fn records<'a>(
        &self,
        bytes: &'a [u8],
        n_records: u64,
    ) -> Result<Vec<Record<'a>>, CheckpointError> {
        let mut cursor = Cursor::new(bytes);
        let mut records = Vec::with_capacity(n_records as usize);
        for n in 0..n_records {
            let raw = parse_record(&mut cursor).ok_or_else(|| {
                self.refuse(format!("record {n} of the zip directory is damaged"))
            })?;
            let name = str::from_utf8(raw.name).map_err(|_| {
                self.refuse(format!("the name of zip member {n} is not valid UTF-8"))
            })?;
            let shown = quote(name);
            if raw.encrypted || raw.method != 0 {
                let problem = format!(
                    "member {shown} is compressed or encrypted (method {}), torch stores plainly",
                    raw.method
                );
                return Err(CheckpointError::file(self.path, problem, RESAVE));
            }
            if raw.n_stored != raw.n_bytes {
                let problem = format!(
                    "member {shown} is stored as it is, yet claims {} bytes in {}",
                    raw.n_bytes, raw.n_stored
                );
                return Err(self.refuse(problem));
            }
            records.push(Record {
                name,
                n_bytes: raw.n_bytes,
                header_at: raw.header_at,
            });
        }
        if cursor.remaining() != 0 {
            return Err(self.refuse("the zip directory is longer than its members"));
        }
        Ok(records)
    }

    /// Where the bytes behind a member's own header begin. The directory starts at `end`.
    fn data_offset(&self, record: &Record<'_>, end: u64) -> Result<u64, CheckpointError> {
        let damaged = || {
            let shown = quote(record.name);
            self.refuse(format!("member {shown} is not where the directory says"))
        };
        let n_header = LOCAL_BYTES + record.name.len();
        let after = record
            .header_at
            .checked_add(n_header as u64)
            .filter(|&after| after <= end)
            .ok_or_else(damaged)?;
        let mut header = vec![0; n_header];
        self.read(&mut header, record.header_at)?;
        let mut cursor = Cursor::new(&header);
        let n_extra = parse_local(&mut cursor, record.name.as_bytes()).ok_or_else(damaged)?;
        Ok(after + u64::from(n_extra))
    }
}

impl Directory {
    /// Whether the 64-bit `wide` says the same: a field of the short end is the same number or all ones.
    fn agrees_with(&self, wide: &Self) -> bool {
        let same = |short: u64, wide: u64, ones: u64| short == ones || short == wide;
        same(self.n_records, wide.n_records, u64::from(u16::MAX))
            && same(self.n_bytes, wide.n_bytes, u64::from(u32::MAX))
            && same(self.offset, wide.offset, u64::from(u32::MAX))
    }
}

fn parse_end(cursor: &mut Cursor<'_>) -> Option<Directory> {
    if cursor.u32()? != END {
        return None;
    }
    let (disk, first_disk) = (cursor.u16()?, cursor.u16()?);
    let (n_here, n_records) = (cursor.u16()?, cursor.u16()?);
    let (n_bytes, offset) = (cursor.u32()?, cursor.u32()?);
    let n_comment = cursor.u16()?;
    if disk != 0 || first_disk != 0 || n_here != n_records || n_comment != 0 {
        return None;
    }
    Some(Directory {
        offset: u64::from(offset),
        n_bytes: u64::from(n_bytes),
        n_records: u64::from(n_records),
    })
}

/// Where the locator says that the 64-bit end is, and what that end says.
fn parse_end_64(bytes: &[u8]) -> Option<(u64, Directory)> {
    let mut cursor = Cursor::new(bytes);
    let mut end = Cursor::new(cursor.take(END_64_BYTES as usize)?);
    if cursor.u32()? != LOCATOR || cursor.u32()? != 0 {
        return None;
    }
    let located = cursor.u64()?;
    if end.u32()? != END_64 {
        return None;
    }
    // The length of this record, the versions of writer and reader, two disk numbers.
    end.take(8 + 2 + 2 + 4 + 4)?;
    let (n_here, n_records) = (end.u64()?, end.u64()?);
    let (n_bytes, offset) = (end.u64()?, end.u64()?);
    (n_here == n_records).then_some((
        located,
        Directory {
            offset,
            n_bytes,
            n_records,
        },
    ))
}

struct RawRecord<'a> {
    name: &'a [u8],
    encrypted: bool,
    method: u16,
    n_stored: u64,
    n_bytes: u64,
    header_at: u64,
}

fn parse_record<'a>(cursor: &mut Cursor<'a>) -> Option<RawRecord<'a>> {
    if cursor.u32()? != RECORD {
        return None;
    }
    // The versions of writer and reader.
    cursor.take(2 + 2)?;
    let (flags, method) = (cursor.u16()?, cursor.u16()?);
    // Time, date and checksum.
    cursor.take(2 + 2 + 4)?;
    let (n_stored, n_bytes) = (cursor.u32()?, cursor.u32()?);
    let (n_name, n_extra, n_comment) = (cursor.u16()?, cursor.u16()?, cursor.u16()?);
    // Disk and attributes.
    cursor.take(2 + 2 + 4)?;
    let header_at = cursor.u32()?;
    let name = cursor.take(usize::from(n_name))?;
    let mut extra = Cursor::new(wide_fields(cursor.take(usize::from(n_extra))?)?);
    cursor.take(usize::from(n_comment))?;
    // The wide fields come in this order, each only if its short one is all ones.
    let mut wide = |short: u32| match short {
        u32::MAX => extra.u64(),
        other => Some(u64::from(other)),
    };
    let (n_bytes, n_stored, header_at) = (wide(n_bytes)?, wide(n_stored)?, wide(header_at)?);
    Some(RawRecord {
        name,
        encrypted: flags & 1 != 0,
        method,
        n_stored,
        n_bytes,
        header_at,
    })
}

/// The content of the extra field for 64-bit sizes, empty if there is none.
fn wide_fields(extra: &[u8]) -> Option<&[u8]> {
    let mut cursor = Cursor::new(extra);
    while cursor.remaining() > 0 {
        let (id, n_bytes) = (cursor.u16()?, cursor.u16()?);
        let content = cursor.take(usize::from(n_bytes))?;
        if id == EXTRA_64 {
            return Some(content);
        }
    }
    Some(&[])
}

/// How long the extra field behind a member's own header and name is.
fn parse_local(cursor: &mut Cursor<'_>, name: &[u8]) -> Option<u16> {
    if cursor.u32()? != LOCAL {
        return None;
    }
    // Version, flags, method, time, date, checksum and the two sizes, which may stand behind the data instead.
    cursor.take(2 + 2 + 2 + 2 + 2 + 4 + 4 + 4)?;
    let (n_name, n_extra) = (cursor.u16()?, cursor.u16()?);
    (usize::from(n_name) == name.len() && cursor.take(name.len())? == name).then_some(n_extra)
}
