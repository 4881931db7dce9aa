use crate::expand::Lex;

/// A `<<EOF` of RUN, COPY or ADD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heredoc {
    /// Its name, without quotes.
    pub name: String,
    /// The file descriptor before `<<`; empty is standard input.
    pub descriptor: String,
    /// The name wasn't quoted: variables are expanded.
    pub expand: bool,
    /// `<<-`: leading tabs are removed by who reads it, see [`Heredoc::text`].
    pub chomp: bool,
    /// The lines as they are.
    pub content: String,
}

impl Heredoc {
    /// What it says, leading tabs removed if so asked.
    pub fn text(&self) -> String {
        if !self.chomp {
            return self.content.clone();
        }
        self.content.split_inclusive('\n').map(|l| l.trim_start_matches('\t')).collect()
    }
}

/// The heredocs that a line opens. Quotes count, and the escape is always `\`.
pub(super) fn heredocs_of(line: &str) -> Vec<Heredoc> {
    let lex = Lex { raw_quotes: true, raw_escapes: true, keep_unset: true, ..Lex::new('\\') };
    // A line with an open quote has none; the shell will say so.
    let words = lex.process(line, &|_| None).map(|e| e.words).unwrap_or_default();
    words.iter().filter_map(|w| heredoc_word(w)).collect()
}

/// `[fd]<<[-]NAME`, the name possibly quoted.
pub(super) fn heredoc_word(word: &str) -> Option<Heredoc> {
    let rest = word.trim_start_matches(|c: char| c.is_ascii_digit());
    let descriptor = &word[..word.len() - rest.len()];
    let rest = rest.strip_prefix("<<")?;
    let (chomp, rest) = rest.strip_prefix('-').map_or((false, rest), |r| (true, r));
    let rest = rest.trim_start();
    if rest.is_empty() || rest.contains('<') {
        return None;
    }
    let read = |raw_quotes| {
        let lex = Lex { raw_quotes, keep_unset: true, ..Lex::new('\\') };
        let mut words = lex.process(rest, &|_| None).ok()?.words;
        words.pop().filter(|_| words.is_empty())
    };
    let (name, raw) = (read(false)?, read(true)?);
    let quotes = |text: &str| text.matches(['\'', '"']).count();
    Some(Heredoc {
        expand: quotes(&name) == quotes(&raw),
        name,
        descriptor: descriptor.to_owned(),
        chomp,
        content: String::new(),
    })
}

/// The whole text is a heredoc's word.
pub(crate) fn is_heredoc(text: &str) -> bool {
    heredoc_word(text).is_some()
}
