use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Where an entry came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogStream {
    /// Standard output (and a terminal).
    Stdout,
    /// Standard error.
    Stderr,
}

/// One entry of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// Nanoseconds since 1970.
    pub at: i64,
    /// Stream.
    pub stream: LogStream,
    /// The line goes on in the next entry of this stream (no newline was written yet).
    pub partial: bool,
    /// The text as written, without the newline.
    pub text: Vec<u8>,
    /// Length of the file up to the end of this entry.
    pub offset: u64,
}

/// Appends to a container's log.
///
/// A line is `<nanoseconds since 1970> <o|e> <F|P> <text>`: the fields of Kubernetes' CRI
/// log format with a cheaper clock. `P` marks an entry without a newline of its own.
#[derive(Debug)]
pub struct LogWriter {
    file: File,
    offset: u64,
    line: Vec<u8>,
}

impl LogWriter {
    /// Opens or makes the file. A last line that was cut off by a crash is ended first.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut file = OpenOptions::new().create(true).append(true).read(true).open(path)?;
        let mut offset = file.seek(SeekFrom::End(0))?;
        if offset > 0 {
            let mut last = [0u8];
            file.seek(SeekFrom::End(-1))?;
            io::Read::read_exact(&mut file, &mut last)?;
            if last != *b"\n" {
                file.write_all(b"\n")?;
                offset += 1;
            }
        }
        Ok(Self { file, offset, line: Vec::new() })
    }

    /// Appends one entry; returns the file's new length.
    pub fn append(&mut self, at: i64, stream: LogStream, partial: bool, text: &[u8]) -> io::Result<u64> {
        self.line.clear();
        let s = if stream == LogStream::Stdout { 'o' } else { 'e' };
        let p = if partial { 'P' } else { 'F' };
        write!(self.line, "{at} {s} {p} ")?;
        self.line.extend_from_slice(text);
        self.line.push(b'\n');
        self.file.write_all(&self.line)?;
        self.offset += self.line.len() as u64;
        Ok(self.offset)
    }
}

/// Reads a container's log from its begin.
#[derive(Debug)]
pub struct LogReader {
    reader: BufReader<File>,
    offset: u64,
    line: Vec<u8>,
    path: PathBuf,
}

impl LogReader {
    /// Opens a log; `None` when the container has not written anything yet.
    pub fn open(path: &Path) -> io::Result<Option<Self>> {
        match File::open(path) {
            Ok(file) => Ok(Some(Self {
                reader: BufReader::with_capacity(65536, file),
                offset: 0,
                line: Vec::new(),
                path: path.to_owned(),
            })),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// The next entry; `None` at the end of what is written. Lines that no writer of ours
    /// made (cut off by a full disk) are left out.
    pub fn next_entry(&mut self) -> io::Result<Option<LogEntry>> {
        loop {
            self.line.clear();
            let n = self.reader.read_until(b'\n', &mut self.line)?;
            if n == 0 {
                return Ok(None);
            }
            self.offset += n as u64;
            if let Some(entry) = parse(&self.line, self.offset) {
                return Ok(Some(entry));
            }
        }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn parse(line: &[u8], offset: u64) -> Option<LogEntry> {
    let line = line.strip_suffix(b"\n")?;
    let space = line.iter().position(|b| *b == b' ')?;
    let at = std::str::from_utf8(&line[..space]).ok()?.parse().ok()?;
    let rest = &line[space + 1..];
    let (head, text) = rest.split_at_checked(4)?;
    let stream = match head[0] {
        b'o' => LogStream::Stdout,
        b'e' => LogStream::Stderr,
        _ => return None,
    };
    let partial = match head[2] {
        b'P' => true,
        b'F' => false,
        _ => return None,
    };
    Some(LogEntry { at, stream, partial, text: text.to_vec(), offset })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let dir = std::env::temp_dir().join(format!("rc-log-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("log");
        let mut w = LogWriter::open(&path).unwrap();
        let end1 = w.append(5, LogStream::Stdout, false, b"a  b").unwrap();
        let end2 = w.append(6, LogStream::Stderr, true, b"").unwrap();
        let mut r = LogReader::open(&path).unwrap().unwrap();
        let a = r.next_entry().unwrap().unwrap();
        assert_eq!((a.at, a.stream, a.partial, &a.text[..]), (5, LogStream::Stdout, false, &b"a  b"[..]));
        assert_eq!(a.offset, end1);
        let b = r.next_entry().unwrap().unwrap();
        assert!(b.partial && b.text.is_empty() && b.offset == end2);
        assert!(r.next_entry().unwrap().is_none());
        std::fs::remove_dir_all(dir).unwrap();
    }
}
