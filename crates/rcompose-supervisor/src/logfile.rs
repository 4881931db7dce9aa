//! A container's log on disk: the file that is written, and the older ones that rotation has left beside it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rcompose_model::Logging;
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
    /// Length of all that was ever written up to the end of this entry.
    pub offset: u64,
}

/// How often the files are looked at again when a rotation comes between.
const TRIES: u32 = 16;

/// Where a file of a log begins: its own header's length, and how much was written before it.
///
/// The header of a file that came by rotation is `@<offset>`; the first file of a log has none.
#[derive(Debug, Clone, Copy, Default)]
struct Begin {
    header: u64,
    offset: u64,
}

impl Begin {
    fn of(file: &File) -> io::Result<Self> {
        let mut bytes = [0; 24];
        let n = file.read_at(&mut bytes, 0)?;
        let header = bytes[..n].split_inclusive(|b| *b == b'\n').next().unwrap_or_default();
        let number = header.strip_prefix(b"@").and_then(|h| h.strip_suffix(b"\n"));
        let offset = number.and_then(|t| std::str::from_utf8(t).ok()?.parse().ok());
        Ok(offset.map_or(Self::default(), |offset| Self { header: header.len() as u64, offset }))
    }

    fn end(self, file: &File) -> io::Result<u64> {
        Ok(self.offset + file.metadata()?.len().saturating_sub(self.header))
    }
}

fn with(path: &Path, ending: impl std::fmt::Display) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{ending}"));
    name.into()
}

fn older(path: &Path, n: u32) -> PathBuf {
    if n == 0 { path.to_owned() } else { with(path, n) }
}

fn open_if_there(path: &Path) -> io::Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// The offset that a log has come to; 0 when nothing was written yet.
pub fn log_end(path: &Path) -> io::Result<u64> {
    match open_if_there(path)? {
        Some(file) => Begin::of(&file)?.end(&file),
        None => Ok(0),
    }
}

/// Appends to a container's log.
///
/// A line is `<nanoseconds since 1970> <o|e> <F|P> <text>`: the fields of Kubernetes' CRI
/// log format with a cheaper clock. `P` marks an entry without a newline of its own.
#[derive(Debug)]
pub struct LogWriter {
    /// `None`: nothing is kept.
    file: Option<File>,
    path: PathBuf,
    rotation: Option<(u64, u32)>,
    /// Of the file.
    length: u64,
    offset: u64,
    line: Vec<u8>,
}

impl LogWriter {
    /// Opens or makes the file, or none at all. A last line that was cut off by a crash is ended first.
    pub fn open(path: &Path, keep: Logging) -> io::Result<Self> {
        let rotation = match keep {
            Logging::Whole | Logging::Nothing => None,
            Logging::Rotated { size, files } => Some((size, files)),
        };
        let mut writer =
            Self { file: None, path: path.to_owned(), rotation, length: 0, offset: 0, line: Vec::new() };
        if keep == Logging::Nothing {
            return Ok(writer);
        }
        if rotation.is_some() && !path.exists() {
            // A crash in the midst of a rotation.
            writer.offset = log_end(&older(path, 1))?;
            if writer.offset > 0 {
                writer.begin_file()?;
            }
        }
        let mut file = OpenOptions::new().create(true).append(true).read(true).open(path)?;
        writer.length = file.seek(SeekFrom::End(0))?;
        writer.offset = Begin::of(&file)?.end(&file)?;
        if writer.length > 0 {
            let mut last = [0u8];
            file.seek(SeekFrom::End(-1))?;
            io::Read::read_exact(&mut file, &mut last)?;
            if last != *b"\n" {
                file.write_all(b"\n")?;
                writer.length += 1;
                writer.offset += 1;
            }
        }
        writer.file = Some(file);
        Ok(writer)
    }

    /// Appends one entry; returns the offset after it.
    pub fn append(&mut self, at: i64, stream: LogStream, partial: bool, text: &[u8]) -> io::Result<u64> {
        self.line.clear();
        let s = if stream == LogStream::Stdout { 'o' } else { 'e' };
        let p = if partial { 'P' } else { 'F' };
        write!(self.line, "{at} {s} {p} ")?;
        self.line.extend_from_slice(text);
        self.line.push(b'\n');
        if self.file.is_some() && self.rotation.is_some_and(|(size, _)| self.length >= size) {
            self.rotate()?;
        }
        match &mut self.file {
            Some(file) => {
                file.write_all(&self.line)?;
                self.length += self.line.len() as u64;
                self.offset += self.line.len() as u64;
            }
            // Must grow over restarts, too, and nothing on disk tells how far it had come: the clock does.
            None => self.offset = (self.offset + 1).max(u64::try_from(at).unwrap_or(0)),
        }
        Ok(self.offset)
    }

    /// Makes every file one older and begins a new one. Who reads an old one has it open.
    fn rotate(&mut self) -> io::Result<()> {
        let files = self.rotation.map_or(1, |(_, files)| files);
        for n in (1..files).rev() {
            match fs::rename(older(&self.path, n - 1), older(&self.path, n)) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                done => done?,
            }
        }
        self.begin_file()?;
        let file = OpenOptions::new().append(true).open(&self.path)?;
        self.length = file.metadata()?.len();
        self.file = Some(file);
        Ok(())
    }

    /// A file without its header is never seen under the log's name.
    fn begin_file(&self) -> io::Result<()> {
        let next = with(&self.path, "next");
        fs::write(&next, format!("@{}\n", self.offset))?;
        fs::rename(&next, &self.path)
    }
}

/// Reads a container's log from its begin, through all its files.
#[derive(Debug)]
pub struct LogReader {
    reader: BufReader<File>,
    /// Those that come after, the next one last.
    later: Vec<(File, Begin)>,
    offset: u64,
    line: Vec<u8>,
    path: PathBuf,
}

impl LogReader {
    /// Opens a log; `None` when the container has not written anything yet.
    pub fn open(path: &Path) -> io::Result<Option<Self>> {
        let Some(mut files) = files(path)? else { return Ok(None) };
        let Some((file, begin)) = files.pop() else { return Ok(None) };
        let mut reader = Self {
            reader: BufReader::with_capacity(65536, file),
            later: files,
            offset: 0,
            line: Vec::new(),
            path: path.to_owned(),
        };
        reader.seek(begin)?;
        Ok(Some(reader))
    }

    fn seek(&mut self, begin: Begin) -> io::Result<()> {
        self.reader.seek(SeekFrom::Start(begin.header))?;
        self.offset = begin.offset;
        Ok(())
    }

    /// The next entry; `None` at the end of what is written. Lines that no writer of ours
    /// made (cut off by a full disk) are left out.
    pub fn next_entry(&mut self) -> io::Result<Option<LogEntry>> {
        loop {
            self.line.clear();
            let n = self.reader.read_until(b'\n', &mut self.line)?;
            if n == 0 {
                let Some((file, begin)) = self.later.pop() else { return Ok(None) };
                self.reader = BufReader::with_capacity(65536, file);
                self.seek(begin)?;
                continue;
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

/// The files of a log, newest first, each going on where the next one ends.
fn files(path: &Path) -> io::Result<Option<Vec<(File, Begin)>>> {
    let mut found: Vec<(File, Begin)> = Vec::new();
    for _ in 0..TRIES {
        found.clear();
        let mut whole = true;
        for n in 0.. {
            let Some(file) = open_if_there(&older(path, n))? else {
                // In the midst of a rotation the newest has its new name only.
                whole = n > 0 || !older(path, 1).exists();
                break;
            };
            let begin = Begin::of(&file)?;
            if let Some((_, after)) = found.last()
                && begin.end(&file)? != after.offset
            {
                whole = false;
                break;
            }
            found.push((file, begin));
            if begin.offset == 0 {
                break;
            }
        }
        if whole {
            break;
        }
    }
    Ok(Some(found).filter(|f| !f.is_empty()))
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
        let mut w = LogWriter::open(&path, Logging::Whole).unwrap();
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

    fn numbers(path: &Path) -> Vec<(i64, u64)> {
        let mut out = Vec::new();
        if let Some(mut r) = LogReader::open(path).unwrap() {
            while let Some(e) = r.next_entry().unwrap() {
                out.push((e.at, e.offset));
            }
        }
        out
    }

    #[test]
    fn rotation_keeps_so_many_files_and_the_offsets_go_on() {
        let dir = std::env::temp_dir().join(format!("rc-log-rotated-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let path = dir.join("log");
        let keep = Logging::Rotated { size: 30, files: 3 };
        let mut w = LogWriter::open(&path, keep).unwrap();
        let mut early = None;
        // 14 bytes each: three to the first file, two to those with a header.
        let mut written: Vec<(i64, u64)> = Vec::new();
        for at in 10..30 {
            written.push((at, w.append(at, LogStream::Stdout, false, b"something").unwrap()));
            if at == 12 {
                early = LogReader::open(&path).unwrap();
            }
            if at == 20 {
                w = LogWriter::open(&path, keep).unwrap();
            }
        }
        assert_eq!(written.last(), Some(&(29, 20 * 17)));
        assert_eq!(log_end(&path).unwrap(), 20 * 17);
        let seen = numbers(&path);
        assert!(seen.len() >= 4 && seen.len() < 8, "{seen:?}");
        assert_eq!(seen[..], written[written.len() - seen.len()..]);
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 3);
        // Who has begun to read goes on in the files that are gone.
        assert_eq!(early.unwrap().next_entry().unwrap().unwrap().at, 10);
        // A crash between two renames.
        fs::rename(&path, dir.join("log.1")).unwrap();
        let mut w = LogWriter::open(&path, keep).unwrap();
        let end = w.append(30, LogStream::Stdout, false, b"something").unwrap();
        assert_eq!(end, 21 * 17);
        assert_eq!(numbers(&path).last(), Some(&(30, end)));
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn one_file_begins_anew_and_none_keeps_nothing() {
        let dir = std::env::temp_dir().join(format!("rc-log-one-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let path = dir.join("log");
        let mut w = LogWriter::open(&path, Logging::Nothing).unwrap();
        let first = w.append(7, LogStream::Stdout, false, b"lost").unwrap();
        assert!(w.append(7, LogStream::Stdout, false, b"lost").unwrap() > first);
        assert!(!path.exists());
        let mut w = LogWriter::open(&path, Logging::Rotated { size: 20, files: 1 }).unwrap();
        for at in 0..9 {
            w.append(at, LogStream::Stdout, false, b"something").unwrap();
        }
        assert_eq!(numbers(&path), [(8, 9 * 16)]);
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);
        fs::remove_dir_all(dir).unwrap();
    }
}
