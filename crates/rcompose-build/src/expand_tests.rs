//! The tables of moby/buildkit frontend/dockerfile/shell, and some more.

use super::*;

fn env(name: &str) -> Option<String> {
    let value = match name {
        "PWD" => "/home",
        "SHELL" => "bash",
        "KOREAN" => "한국어",
        "NULL" => "",
        "v" => "value",
        "path" => "/a/b/c.tar.gz",
        "FOO" => "xxyy",
        "X" => "x",
        "STARS" => "a***yy*",
        "MARKS" => "???y",
        "SPECIAL" => "()[]{}^$.*?|\\x",
        "GLOB" => "/foo*/*/*.txt",
        "NEEDLE" => "\\*/",
        "TMP" => "/tmp/tmp/bar.txt",
        "SLASH" => "/tmp",
        "LINES" => "a\nb",
        "space" => "abc  def",
        "leading" => "  ab c",
        "trailing" => "ab c   ",
        _ => return None,
    };
    Some(value.to_owned())
}

#[test]
fn one_word() {
    for (word, want) in [
        ("hello", "hello"),
        ("he'll'o", "hello"),
        ("he'llo", "error"),
        (r"he\'llo", "he'llo"),
        (r"he\\'llo", "error"),
        (r"abc\tdef", "abctdef"),
        (r#""abc\tdef""#, r"abc\tdef"),
        (r#""abc\\tdef""#, r"abc\tdef"),
        (r"'abc\tdef'", r"abc\tdef"),
        (r"hello\", "hello"),
        (r"hello\\", r"hello\"),
        ("\"hello", "error"),
        (r#""hello\""#, "error"),
        ("\"hel'lo\"", "hel'lo"),
        (r"'hello\'", r"hello\"),
        (r"'hello\\there'", r"hello\\there"),
        ("\"''\"", "''"),
        ("$.", "$."),
        ("he$1x", "hex"),
        ("he$.x", "he$.x"),
        ("he$pwd.", "he."),
        ("he$PWD", "he/home"),
        (r"he\$PWD", "he$PWD"),
        (r"he\\$PWD", r"he\/home"),
        (r#""he\$PWD""#, "he$PWD"),
        (r#""he\\$PWD""#, r"he\/home"),
        (r"\${}aaa", "${}aaa"),
        ("he${}xx", "error"),
        ("he${hi}xx", "hexx"),
        ("he${.}", "error"),
        ("he${XXX:-$PWD}xx", "he/homexx"),
        ("he${XXX:-${YYY:-yyy}}xx", "heyyyxx"),
        ("he${XXX:YYY}", "error"),
        ("he${XXX?}", "error"),
        ("he${PWD:?}", "he/home"),
        ("he${NULL?}", "he"),
        ("he${NULL:?}", "error"),
        ("he${XXX:+${PWD}}xx", "hexx"),
        ("he${PWD:+${SHELL}}xx", "hebashxx"),
        ("'he${XX}'", "he${XX}"),
        ("\"he'$PWD'\"", "he'/home'"),
        (r"'\$PWD'", r"\$PWD"),
        ("he${PWD", "error"),
        ("he${PWD:=000}xx", "error"),
        ("he${PWD:+${PWD}:}xx", "he/home:xx"),
        (r"he${XXX:-\$PWD:}xx", "he$PWD:xx"),
        (r"he${XXX:-\${PWD}z}xx", "he${PWDz}xx"),
        ("안'녕'하세요", "안녕하세요"),
        ("안녕$KOREAN", "안녕한국어"),
        ("${{aaa}", "error"),
        ("${aaa}}", "}"),
        ("${aaa:-bbb {foo}", "bbb {foo"),
        ("${:-bbb}", "error"),
        ("$001aaa", "aaa"),
        ("${999:-bbb}aaa", "bbbaaa"),
        ("$@@@", "@@"),
        ("${#:-bbb}", "bbb"),
        ("${0:-bbb}", "bbb"),
        ("${path#*/}", "a/b/c.tar.gz"),
        ("${path##*/}", "c.tar.gz"),
        ("${path%.*}", "/a/b/c.tar"),
        ("${path%%.*}", "/a/b/c"),
        (r"${SPECIAL#()[]{\}^$.\*\?|\\}", "x"),
        (r"${STARS%%\**}", "a"),
        (r"${STARS%%\**\*}", "a"),
        ("${FOO#*x*y}", "y"),
        ("${FOO#*}", "xxyy"),
        ("${FOO##}", "xxyy"),
        ("${FOO#$X}", "xyy"),
        (r"${MARKS#?\?}", "?y"),
        ("${ABC:-.}${FOO%x}${ABC:-.}", ".xxyy."),
        ("${FOO:#}", "error"),
        ("${FOO:%%}", "error"),
        (r"${FOO#\a}", "error"),
        ("${LINES#*b}", "a\nb"),
        ("${GLOB/$NEEDLE/.} - ${GLOB//$NEEDLE/.}", "/foo.*/*.txt - /foo..*.txt"),
        ("${TMP/$SLASH/} - ${TMP//$SLASH/}", "/tmp/bar.txt - /bar.txt"),
        (r"${TMP//\//\/}", r"\/tmp\/tmp\/bar.txt"),
        ("${FOO/$NULL/ww}", "wwxxyy"),
        ("${FOO//$NULL/-}", "-x-x-y-y-"),
        ("${FOO//*/-}", "-"),
        ("${NULL//*/-}", "-"),
        ("${FOO//ww}", "error"),
        ("${FOO///}", "xxyy"),
        ("${v/al/AL}", "vALue"),
        ("cost $", "cost $"),
    ] {
        let got = Lex::new('\\').process(word, &env).map_or_else(|_| "error".to_owned(), |e| e.text);
        assert_eq!(got, want, "{word}");
    }
    let deep = format!("{}{}", "${a:-".repeat(5000), "}".repeat(5000));
    assert!(Lex::new('\\').process(&deep, &env).is_err());
    assert_eq!(expand("a`$v", '`', &env).unwrap(), "a$v");
    assert_eq!(expand_raw("'$v' \"x\" \\$v \\n", &env).unwrap(), "'value' \"x\" $v n");
    let give = expand("${none:?give it}", '\\', &env).unwrap_err();
    assert_eq!((give.message.as_str(), give.part.as_str()), ("none: give it", "${none:?give it}"));
    for (word, part) in [
        ("a$v/${v:q}b", "${v:q"),
        ("a${none:-b${v:q}c}d", "${v:q"),
        ("a${v", "${v"),
        ("a${}b", "${"),
        ("a'b", "'b"),
        ("$v\"${v}c", "\"${v}c"),
        ("${v#[\\}", "${v#[\\}"),
    ] {
        assert_eq!(expand(word, '\\', &env).unwrap_err().part, part, "{word}");
    }
}

#[test]
fn several_words() {
    for (text, want) in [
        ("hello", "hello"),
        ("hello${hi}bye", "hellobye"),
        ("hello${space}bye", "helloabc,defbye"),
        ("hello\"${space}\"bye", "helloabc  defbye"),
        ("hello${leading}def", "hello,ab,cdef"),
        ("hello\"${leading}\" def", "hello  ab c,def"),
        ("hello${trailing}d", "helloab,c,d"),
        ("hel\"lo${trailing}\"", "helloab c   "),
        ("hello\" there  \"", "hello there  "),
        ("hello there     ", "hello,there"),
        (r"hello\ there", "hello there"),
        (r#"hello\" there"#, "hello\",there"),
        (r#"hello"\\there""#, r"hello\there"),
        ("a << EOF b", "a,<< EOF,b"),
    ] {
        let got = Lex::new('\\').process(text, &env).unwrap();
        assert_eq!(got.words.join(","), want, "{text}");
    }
}

#[test]
fn names_found_and_not() {
    let got =
        Lex::new('\\').process("${NULL:-$PWD} ${BAZ?x}$v", &|n| env(n).or((n == "BAZ").then(String::new)));
    let got = got.unwrap();
    assert_eq!(got.matched.into_iter().collect::<Vec<_>>(), ["BAZ", "NULL", "PWD", "v"]);
    let kept = Lex { keep_unset: true, raw_quotes: true, ..Lex::new('\\') };
    let got = kept.process("\"$v\" '$v' $no ${no} ${no:-x} ${no#a} ${no/a/b}", &env).unwrap();
    assert_eq!(got.text, "\"value\" '$v' $no ${no} ${no:-x} ${no#a} ${no/a/b}");
    assert_eq!(got.unmatched.into_iter().collect::<Vec<_>>(), ["no"]);
}
