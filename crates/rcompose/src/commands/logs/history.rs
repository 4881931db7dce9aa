//! A container's log file as lines: pieces of long lines joined, ends chosen.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;

use rcompose_supervisor::{LogReader, LogStream};

use crate::failure::Failure;

/// The longest entry of a log; a longer line goes on in the next entry.
const LONGEST_ENTRY: usize = 16384;

/// Which lines are asked for.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Range {
    /// From here, nanoseconds since 1970.
    pub(crate) since: Option<i64>,
    /// Up to here.
    pub(crate) until: Option<i64>,
    /// The last so many.
    pub(crate) tail: Option<usize>,
}

/// One line of a container's output, without its newline.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Line {
    /// When (the begin of) it was written.
    pub(crate) at: i64,
    pub(crate) text: Vec<u8>,
}

/// An entry without a newline: the line goes on if it is as long as an entry can be, else its stream ended there.
pub(crate) fn continues(partial: bool, length: usize) -> bool {
    partial && length >= LONGEST_ENTRY
}

/// Lines of one file.
#[derive(Debug)]
pub(crate) struct History {
    reader: Option<LogReader>,
    range: Range,
    /// Lines that were read ahead (`tail`).
    ready: VecDeque<Line>,
    open: BTreeMap<bool, Line>,
    offset: u64,
}

impl History {
    /// Opens a log, which need not exist.
    pub(crate) fn open(path: &Path, range: Range) -> Result<Self, Failure> {
        let failed = |e: std::io::Error| Failure::io(format_args!("read {}", path.display()), &e);
        let reader = LogReader::open(path).map_err(failed)?;
        let mut history = Self { reader, range, ready: VecDeque::new(), open: BTreeMap::new(), offset: 0 };
        if let Some(n) = range.tail {
            let mut last = VecDeque::new();
            while let Some(line) = history.read_line()? {
                last.push_back(line);
                if last.len() > n {
                    last.pop_front();
                }
            }
            history.ready = last;
        }
        Ok(history)
    }

    /// The next line that is asked for.
    pub(crate) fn next_line(&mut self) -> Result<Option<Line>, Failure> {
        match self.range.tail {
            Some(_) => Ok(self.ready.pop_front()),
            None => self.read_line(),
        }
    }

    /// How far the file was read.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    fn read_line(&mut self) -> Result<Option<Line>, Failure> {
        let Some(reader) = &mut self.reader else { return Ok(None) };
        loop {
            let entry = reader.next_entry();
            let entry =
                entry.map_err(|e| Failure::io(format_args!("read {}", reader.path().display()), &e))?;
            // At the end, a long line whose end was never written.
            let Some(entry) = entry else { return Ok(self.open.pop_first().map(|(_, line)| line)) };
            if self.range.until.is_some_and(|u| entry.at > u) {
                return Ok(None);
            }
            self.offset = entry.offset;
            if self.range.since.is_some_and(|s| entry.at < s) {
                continue;
            }
            let key = entry.stream == LogStream::Stderr;
            let more = continues(entry.partial, entry.text.len());
            let line = match self.open.remove(&key) {
                Some(mut begin) => {
                    begin.text.extend_from_slice(&entry.text);
                    begin
                }
                None => Line { at: entry.at, text: entry.text },
            };
            if !more {
                return Ok(Some(line));
            }
            self.open.insert(key, line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcompose_supervisor::LogWriter;

    #[test]
    fn long_lines_are_joined_and_ends_chosen() {
        let path = std::env::temp_dir().join(format!("rc-history-{}", std::process::id()));
        let mut w = LogWriter::open(&path, rcompose_model::Logging::Whole).unwrap();
        let long = vec![b'x'; LONGEST_ENTRY];
        w.append(1, LogStream::Stdout, true, &long).unwrap();
        w.append(2, LogStream::Stderr, false, b"between").unwrap();
        w.append(3, LogStream::Stdout, false, b"end").unwrap();
        w.append(4, LogStream::Stdout, true, b"no newline").unwrap();
        w.append(5, LogStream::Stdout, false, b"after a restart").unwrap();
        let lines = |range| {
            let mut h = History::open(&path, range).unwrap();
            let mut out = Vec::new();
            while let Some(l) = h.next_line().unwrap() {
                out.push((l.at, l.text.len()));
            }
            out
        };
        assert_eq!(lines(Range::default()), [(2, 7), (1, LONGEST_ENTRY + 3), (4, 10), (5, 15)]);
        assert_eq!(lines(Range { tail: Some(1), ..Range::default() }), [(5, 15)]);
        assert_eq!(lines(Range { since: Some(2), until: Some(4), tail: None }), [(2, 7), (3, 3), (4, 10)]);
        std::fs::remove_file(path).unwrap();
    }
}
