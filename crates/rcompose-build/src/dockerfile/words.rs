//! Words of an instruction, quotes kept, and its JSON form.

/// A word as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) text: String,
    /// Byte offset in the logical line.
    pub(super) offset: usize,
}

/// A flag as written, quotes removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RawFlag {
    pub(super) text: String,
    /// Byte offset in the logical line.
    pub(super) offset: usize,
    /// Bytes that it has there.
    pub(super) written: usize,
}

/// White space between words of a line.
pub(super) const BLANK: [char; 5] = ['\t', '\u{b}', '\u{c}', '\r', ' '];

/// An instruction's name, its flags, and the rest without blanks around it (parser/split_command.go).
pub(super) fn split_instruction(line: &str, escape: char) -> (&str, Vec<RawFlag>, &str) {
    let name = line.split(BLANK).next().unwrap_or("");
    let mut flags = Vec::new();
    let mut rest = line[name.len()..].trim_start();
    while rest.starts_with("--") {
        let offset = line.len() - rest.len();
        let (text, length) = flag_word(rest, escape);
        rest = rest[length..].trim_start();
        if text == "--" {
            break;
        }
        flags.push(RawFlag { text, offset, written: length });
    }
    (name, flags, rest.trim_end())
}

/// A word without its quotes and escapes, and how long it was.
fn flag_word(text: &str, escape: char) -> (String, usize) {
    let mut word = String::new();
    let mut quote: Option<char> = None;
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match quote {
            None if c.is_whitespace() => return (word, at),
            None if c == '\'' || c == '"' => quote = Some(c),
            Some(q) if q == c => quote = None,
            _ if c == escape => word.extend(chars.next().map(|(_, c)| c)),
            _ => word.push(c),
        }
    }
    (word, text.len())
}

/// Splits at white space outside quotes. Quotes and escapes stay in the words; an escape at the very end goes.
pub(super) fn split_words(text: &str, escape: char) -> Vec<Word> {
    let mut words: Vec<Word> = Vec::new();
    let mut open: Option<Word> = None;
    let mut quote: Option<char> = None;
    let mut chars = text.char_indices();
    while let Some((offset, c)) = chars.next() {
        if quote.is_none() && c.is_whitespace() {
            words.extend(open.take());
            continue;
        }
        let word = open.get_or_insert_with(|| Word { text: String::new(), offset });
        if c == escape && quote != Some('\'') {
            if let Some((_, next)) = chars.next() {
                word.text.extend([c, next]);
            }
            continue;
        }
        word.text.push(c);
        match quote {
            Some(q) if q == c => quote = None,
            None if c == '"' || c == '\'' => quote = Some(c),
            _ => {}
        }
    }
    words.extend(open.filter(|w| !w.text.is_empty()));
    words
}

/// Splits at white space, quotes or not.
pub(super) fn blank_words(text: &str) -> Vec<Word> {
    let mut words = Vec::new();
    let mut offset = 0;
    for part in text.split(BLANK) {
        if !part.is_empty() {
            words.push(Word { text: part.to_owned(), offset });
        }
        offset += part.len() + 1;
    }
    words
}

/// `["a", "b"]`. What isn't JSON is the shell form; an array of other things is a mistake.
pub(super) fn json_form(text: &str) -> Result<Option<Vec<String>>, &'static str> {
    let text = text.trim_start();
    if !text.starts_with('[') {
        return Ok(None);
    }
    let Ok(list) = serde_json::from_str::<Vec<serde_json::Value>>(text) else { return Ok(None) };
    let all: Option<Vec<String>> = list.into_iter().map(|v| v.as_str().map(str::to_owned)).collect();
    all.map(Some).ok_or("the JSON form takes strings only")
}

/// The nearest of some names, if near enough to be a slip.
pub(crate) fn nearest<'a>(wrong: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wrong = wrong.to_lowercase();
    names
        .into_iter()
        .map(|n| (distance(&wrong, &n.to_lowercase()), n))
        .min()
        .filter(|&(d, n)| d <= 2.max(n.len() / 3).min(3) && d < n.len())
        .map(|(_, n)| n)
}

/// Edits, a swap of neighbours being one (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(100).collect(), b.chars().take(100).collect());
    let mut rows = vec![vec![0usize; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    for (j, cell) in rows[0].iter_mut().enumerate() {
        *cell = j;
    }
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let change = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = change.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[a.len()][b.len()]
}

/// Edits from one word to another, a swap being two (Levenshtein).
pub(crate) fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, c) in a.chars().enumerate() {
        let mut before = std::mem::replace(&mut row[0], i + 1);
        for (j, d) in b.iter().enumerate() {
            let change = before + usize::from(c != *d);
            before = row[j + 1];
            row[j + 1] = change.min(before + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
