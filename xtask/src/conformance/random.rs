//! Random Dockerfiles of cheap instructions, most of them right, each from its number alone.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::{Context, Result};
use rcompose_e2e::BASE;

/// Writes the build context of a number: always the same files, a Dockerfile and perhaps a .dockerignore of its own.
pub(super) fn write(number: u64, context: &Path) -> Result<()> {
    let put = |name: &str, text: &str| -> Result<()> {
        let path = context.join(name);
        fs::create_dir_all(path.parent().unwrap_or(context)).context("make the context")?;
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))
    };
    for name in
        ["a.txt", "b.md", "c d.txt", ".hidden", "dir/one", "dir/two.md", "dir/sub/three", "dir/sub/deep/four"]
    {
        put(name, name)?;
    }
    for (name, target) in
        [("link", "a.txt"), ("ldir", "dir"), ("dir/up", "../b.md"), ("dir/sub/broken", "nowhere")]
    {
        symlink(target, context.join(name)).context("make a link")?;
    }
    let mut random = Random(number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let ignore = random.ignore();
    if !ignore.is_empty() {
        put(".dockerignore", &ignore)?;
    }
    put("Dockerfile", &random.dockerfile())
}

/// xorshift64*.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % n
    }

    /// True `n` times of a hundred.
    fn percent(&mut self, n: usize) -> bool {
        self.below(100) < n
    }

    fn pick<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.below(all.len())]
    }

    fn ignore(&mut self) -> String {
        let mut text = String::new();
        if self.percent(60) {
            return text;
        }
        for _ in 0..=self.below(4) {
            let line = self.pick(&[
                "*.md",
                "dir",
                "!dir/sub",
                "dir/*",
                "**/three",
                "!**/three",
                "*",
                "!a.txt",
                "# comment",
                "",
                " link ",
                "/dir/one",
                "**/*.md",
                "dir/**",
                "!dir/sub/deep/**",
                "?.txt",
                "[a-c].txt",
                "./dir//sub/",
                "!dir",
                "Dockerfile",
                "l*",
                ".h*",
                "dir/*/deep",
            ]);
            text.push_str(line);
            text.push('\n');
        }
        text
    }

    fn dockerfile(&mut self) -> String {
        let mut text = String::new();
        if self.percent(15) {
            text.push_str("# escape=`\n");
        }
        for _ in 0..self.below(3) {
            let (name, word) = (self.name(), self.word());
            let _ = writeln!(text, "ARG {name}={word}");
        }
        let stages = 1 + self.below(3);
        for stage in 0..stages {
            let from = match self.below(10) {
                0 | 1 => "scratch".to_owned(),
                2..5 if stage > 0 => format!("s{}", self.below(stage)),
                _ => BASE.to_owned(),
            };
            let _ = writeln!(text, "{} {from} {} s{stage}", self.case("FROM"), self.case("AS"));
            for _ in 0..1 + self.below(7) {
                let line = self.instruction(stage, from != "scratch");
                let line = self.broken(&line, text.starts_with("# escape=`"));
                text.push_str(&line);
                text.push('\n');
            }
        }
        text
    }

    fn case(&mut self, word: &str) -> String {
        match self.below(8) {
            0 => word.to_lowercase(),
            _ => word.to_owned(),
        }
    }

    /// The line, perhaps in several, with comments and blanks.
    fn broken(&mut self, line: &str, backtick: bool) -> String {
        if line.contains("<<") || !self.percent(25) {
            return line.to_owned();
        }
        let escape = if backtick { '`' } else { '\\' };
        let mut out = String::from(self.pick(&["", "  ", "\t"]));
        for (n, word) in line.split(' ').enumerate() {
            if n > 0 {
                out.push(' ');
                if self.percent(20) {
                    let comment = self.pick(&["", "", "# comment\n", "  # comment \\\n", "\n"]);
                    let _ = write!(out, "{escape}{}\n{comment}  ", self.pick(&["", " ", "\t "]));
                }
            }
            out.push_str(word);
        }
        out
    }

    fn name(&mut self) -> String {
        self.pick(&["A", "B", "LONG_NAME", "p4th", "FROM_BASE", "TARGETARCH"]).to_owned()
    }

    /// A word as ENV and the like take it: quotes, escapes and variables, each closed.
    fn word(&mut self) -> String {
        let mut word = String::new();
        for _ in 0..=self.below(3) {
            let part = match self.below(14) {
                0 => format!(
                    "\"{}\"",
                    self.pick(&["two words", "a'b", "$A", "${B}x", "q\\\"q", "", "\\$A", "\\\\"])
                ),
                1 => format!("'{}'", self.pick(&["two words", "a\"b", "$A", "${B}", "", "\\", "#"])),
                2 => self.variable(),
                3 => self
                    .pick(&["\\ ", "\\$A", "\\\"", "\\'", "\\\\", "\\x", "$", "$$", "`", "=", "#"])
                    .to_owned(),
                _ => self
                    .pick(&["x", "value", "1", "a/b", ".tar.gz", "é", "-", "a.b", ":", ",", "*"])
                    .to_owned(),
            };
            word.push_str(&part);
        }
        word
    }

    fn variable(&mut self) -> String {
        let name = self.name();
        match self.below(12) {
            0 => format!("${name}"),
            1 => format!("${{{name}:-d}}"),
            2 => format!("${{{name}:+set}}"),
            3 => format!("${{{name}-}}"),
            4 => format!("${{{name}+$B}}"),
            5 => format!("${{{name}#*/}}"),
            6 => format!("${{{name}##?}}"),
            7 => format!("${{{name}%.*}}"),
            8 => format!("${{{name}%%*}}"),
            9 => format!("${{{name}/a/X}}"),
            10 => format!("${{{name}//[a-z]/_}}"),
            _ => format!("${{{name}}}"),
        }
    }

    fn instruction(&mut self, stage: usize, runs: bool) -> String {
        let kind = self.below(if runs { 21 } else { 20 });
        let (name, word) = (self.name(), self.word());
        let verb = |random: &mut Self, verb: &str| random.case(verb);
        match kind {
            0..=4 => self.copy(stage),
            5 | 6 => format!("{} {name}={word} {}={}", verb(self, "ENV"), self.name(), self.word()),
            7 => format!("ENV {name} {} {word}", self.word()),
            8 | 9 => match self.below(3) {
                0 => format!("ARG {name}"),
                1 => format!("ARG {name}={word}"),
                _ => format!("ARG {name}={word} {}={}", self.name(), self.word()),
            },
            10 => format!("LABEL {name}={word} \"k {}\"={}", self.name(), self.word()),
            11 | 12 => {
                let path = self.target();
                format!("{} {path}", verb(self, "WORKDIR"))
            }
            13 => format!("USER {}", self.pick(&["nobody", "5", "5:6", "root", "$A", "${B:-7}", "0"])),
            14 => format!(
                "EXPOSE {} {}",
                self.pick(&["80", "1-3", "$A", "53/udp"]),
                self.pick(&["81/tcp", "90-91/udp", "${B:-5}"])
            ),
            15 => format!("VOLUME {}", self.pick(&["/v", "/v /w", "[\"/v 1\", \"$A\"]", "$A/x", "rel"])),
            16 => format!(
                "CMD {}",
                self.pick(&["a b", "[\"a\", \"b c\"]", "a \"b\" $A", "['a']", "[\"a\"] b", "[]"])
            ),
            17 => format!("ENTRYPOINT {}", self.pick(&["x", "[\"x\"]", "x   y", "[ ]", "[\"\\u00e9\"]"])),
            18 => match self.below(4) {
                0 => format!("SHELL {}", self.pick(&["[\"/bin/sh\", \"-c\"]", "[\"/bin/sh\",\"-ec\"]"])),
                1 => format!(
                    "HEALTHCHECK {}",
                    self.pick(&[
                        "NONE",
                        "CMD a b",
                        "--interval=5s --retries=2 CMD [\"a\"]",
                        "--timeout=1m30s cmd x"
                    ])
                ),
                2 => format!("STOPSIGNAL {}", self.pick(&["9", "SIGTERM", "INT", "SIGRTMIN+1"])),
                _ => format!(
                    "ONBUILD {}",
                    self.pick(&["ENV A=1", "COPY a.txt /on/", "LABEL x=$A", "WORKDIR on"])
                ),
            },
            19 => format!("COPY <<EOF {}\n{} {word}\n\ttab\nEOF", self.target(), self.variable()),
            _ => format!(
                "RUN {}",
                self.pick(&[
                    "mkdir -p /d /w && ln -sfn /d /ld && echo x >/f",
                    "ln -sfn d /x",
                    "rm -rf /d /x; mkdir -m 700 -p /x/dir && chown 3:4 /x",
                    "echo $A >/run",
                    "echo \"$B\" \\\n  && echo more >>/run2",
                ])
            ),
        }
    }

    fn target(&mut self) -> String {
        let path = self.pick(&[
            "/d", "/d/", "d", "./", ".", "/x/y/", "x/../y", "/", "/ld/", "/x/dir/", "/f2", "/$A/",
            "${B:-q}/", "\"/q\"", "/d/dir", "..",
        ]);
        path.to_owned()
    }

    fn copy(&mut self, stage: usize) -> String {
        let add = self.percent(20);
        let mut line = self.case(if add { "ADD" } else { "COPY" });
        let from = (!add && stage > 0 && self.percent(25)).then(|| self.below(stage));
        if let Some(from) = from {
            let _ = write!(
                line,
                " --from={}",
                if self.percent(50) { format!("s{from}") } else { from.to_string() }
            );
        }
        if self.percent(20) {
            let _ = write!(
                line,
                " --chown={}",
                self.pick(&["1", "1:2", "nobody", "root:nogroup", "${B:+7}", ":3"])
            );
        }
        if self.percent(20) {
            let _ = write!(
                line,
                " --chmod={}",
                self.pick(&["600", "0755", "u+x", "a=rX,u+w", "go-rwx", "4711", "+t"])
            );
        }
        if self.percent(15) {
            line.push_str(self.pick(&[" --link", " --link=true", " --link=false"]));
        }
        let parents = !add && from.is_none() && self.percent(15);
        if parents {
            line.push_str(" --parents");
        }
        while self.percent(20) {
            let _ = write!(
                line,
                " --exclude={}",
                self.pick(&["*.md", "sub", "dir/sub", "**/three", "one", "*", "!a.txt", "d*/one"])
            );
        }
        if from.is_some() {
            let _ = write!(
                line,
                " {} {}",
                self.pick(&["/d", "/x", "/", "/d/.", "/x/y", "/*", "/d/*", "/f2"]),
                self.target()
            );
            return line;
        }
        let mut sources = vec![self.source(parents)];
        while self.percent(30) {
            sources.push(self.source(parents));
        }
        let mut target = self.target();
        if sources.len() > 1 && self.percent(80) && !target.ends_with('/') {
            target = "/several/".to_owned();
        }
        if self.percent(15) {
            sources.push(target);
            let _ = write!(line, " {}", serde_json::json!(sources));
        } else {
            let _ = write!(line, " {} {target}", sources.join(" "));
        }
        line
    }

    fn source(&mut self, parents: bool) -> String {
        let plain = [
            "a.txt",
            "b.md",
            "dir",
            "dir/",
            "./dir/sub",
            "dir/one",
            "*.txt",
            "dir/*",
            "*",
            "d*r",
            "?.md",
            "dir/**/four",
            "[ab].*",
        ];
        let all = [
            ".",
            "link",
            "ldir",
            "/dir/./sub",
            "../a.txt",
            "dir/up",
            "ldir/one",
            "dir/s*/",
            "**/three",
            ".hidden",
            "./",
            "dir/sub/../one",
        ];
        let from = if !parents && self.percent(40) { &all[..] } else { &plain[..] };
        self.pick(from).to_owned()
    }
}
