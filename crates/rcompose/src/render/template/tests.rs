use serde_json::{Value, json};

use super::{rows, values};

fn data() -> Value {
    json!({
        "Name": "web", "ID": "0123456789ab", "N": 3, "Zero": 0, "Yes": true, "None": null,
        "List": ["a", "b", "c"], "Empty": [],
        "Labels": {"com.example/x": "1", "plain": "2"},
        "Config": {"Env": ["A=1", "B=2"], "Ports": {"80/tcp": {}, "443/tcp": {}}},
    })
}

/// Expected values are those of Go 1.24's text/template with docker's functions.
#[test]
fn as_go_has_it() {
    for (template, want) in [
        ("{{.Name}}", "web"),
        ("a {{ .Name }} b", "a web b"),
        (
            "{{.List}}|{{.Labels}}|{{.N}}|{{.Yes}}|{{.None}}",
            "[a b c]|map[com.example/x:1 plain:2]|3|true|<no value>",
        ),
        ("{{json .List}}{{json .Name}}", r#"["a","b","c"]"web""#),
        ("{{.Name | upper | printf \"%s-%d\" \"x\" | len}}", "17"),
        ("{{upper .Name}} {{lower \"ABC\"}} {{title \"a bc\"}}", "WEB abc A Bc"),
        ("{{join .List \", \"}} {{index (split \"a:b\" \":\") 1}}", "a, b, c b"),
        ("{{pad .Name 1 2}}|{{pad \"\" 1 2}}|{{truncate .ID 4}}|{{slice .ID 2 5}}", " web  ||0123|234"),
        (
            "{{index .Labels \"com.example/x\"}}{{index .Labels \"gone\"}}{{.Labels.plain}}{{.Labels.gone}}",
            "12<no value>",
        ),
        ("{{index .Config.Env 1}} {{len .Config.Env}} {{(index .List 0)}}", "B=2 2 a"),
        ("{{if .Zero}}a{{else if .Empty}}b{{else}}c{{end}}", "c"),
        (
            "{{if and .Yes .Name}}1{{end}}{{if or .Zero .None}}2{{else}}3{{end}}{{if not .Zero}}4{{end}}",
            "134",
        ),
        (
            "{{if eq .N 1 2 3}}y{{end}}{{if ne .Name \"web\"}}n{{end}}{{if gt .N 2}}g{{end}}{{if le \"a\" \"b\"}}l{{end}}",
            "ygl",
        ),
        ("{{range .List}}{{.}};{{end}}", "a;b;c;"),
        ("{{range $i, $e := .List}}{{$i}}={{$e}} {{end}}", "0=a 1=b 2=c "),
        ("{{range $k, $v := .Config.Ports}}{{$k}} {{end}}", "443/tcp 80/tcp "),
        ("{{range .Empty}}x{{else}}none{{end}}", "none"),
        (
            "{{range .List}}{{if eq . \"b\"}}{{continue}}{{end}}{{.}}{{end}}{{range .List}}{{if eq . \"b\"}}{{break}}{{end}}{{.}}{{end}}",
            "aca",
        ),
        ("{{with .Config}}{{index .Env 0}}{{end}}{{with .None}}x{{else}}y{{end}}", "A=1y"),
        ("{{$x := .Name}}{{range .List}}{{$x}}{{$.N}}{{end}}", "web3web3web3"),
        ("{{$x := 1}}{{if true}}{{$x = 2}}{{end}}{{$x}}", "2"),
        ("{{println .Name}}|{{print 1 2 \"a\" 3}}", "web\n|1 2a3"),
        ("a  {{- .Name -}}  b{{/* not shown */}}c", "awebbc"),
        ("{{\"\\\"q\\\"\\t\"}}{{`raw\\n`}}{{'a'}} {{0x10}} {{1.5}}", "\"q\"\traw\\n97 16 1.5"),
        (
            "{{printf \"%q %5s|%-5s|%05d %.2f %v%%\" .Name \"a\" \"b\" 42 1.5 .List}}",
            "\"web\"     a|b    |00042 1.50 [a b c]%",
        ),
        ("{{html \"<a&'>\"}} {{urlquery \"a b/é\"}}", "&lt;a&amp;&#39;&gt; a+b%2F%C3%A9"),
        (
            "{{define \"t\"}}[{{.}}]{{end}}{{template \"t\" .Name}}{{block \"u\" .N}}<{{.}}>{{end}}",
            "[web]<3>",
        ),
        ("{{(.Config).Env}}", "[A=1 B=2]"),
    ] {
        let got = rows(template, &[data()], &[]);
        assert_eq!(got.as_deref(), Ok(format!("{want}\n").as_str()), "{template}");
    }
}

#[test]
fn what_is_wrong_is_told() {
    for (template, words) in [
        ("{{.Nam}}", "there is no field \"Nam\"; there are Name, ID"),
        ("{{.Name", "unclosed action"),
        ("{{nope .Name}}", "function \"nope\" not defined"),
        ("{{if .Name}}x", "unexpected EOF"),
        ("x{{end}}", "unexpected {{end}}"),
        ("{{}}", "missing value for command"),
        ("{{.Name | }}", "missing value for command"),
        ("{{index .List 9}}", "index out of range: 9"),
        ("{{(.Name}}", "unclosed left paren"),
        ("{{$x}}", "undefined variable: $x"),
        ("{{\"a}}", "unterminated quoted string"),
        ("{{lt .Name 1}}", "incompatible types"),
        ("{{.Name.Deep}}", "can't evaluate field Deep"),
        ("{{define \"a\"}}{{template \"a\" .}}{{end}}{{template \"a\" .}}", "too deeply"),
    ] {
        let told = rows(template, &[data()], &[]).unwrap_err();
        assert!(told.contains(words), "{template}: {told}");
    }
}

#[test]
fn tables_have_heads() {
    let all = [data(), data()];
    let heads = [("ID", "IMAGE ID")];
    assert_eq!(
        rows("table {{.Name}}\\t{{.ID}}", &all[..1], &heads).unwrap(),
        "NAME      IMAGE ID\nweb       0123456789ab\n"
    );
    assert_eq!(
        rows("table {{upper .Name}}\t{{truncate .ID 3}}", &all, &heads).unwrap(),
        "NAME      IMAGE ID\nWEB       012\nWEB       012\n"
    );
    assert_eq!(rows("table {{.Name}}\t{{.ID}}", &[], &heads).unwrap(), "NAME      IMAGE ID\n");
    assert_eq!(values("json", &all[..1]).unwrap(), format!("[{}]\n", data()));
}

#[test]
fn no_template_breaks_it() {
    let words = [
        "{{", "}}", "if", "range", ".", ".A", "(", ")", "|", "$x", ":=", "\"", "end", "else", "-", " ", "'",
        "/*",
    ];
    let mut state = 7u64;
    for _ in 0..20_000 {
        let mut text = String::new();
        for _ in 0..12 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            text.push_str(words[(state >> 33) as usize % words.len()]);
        }
        // Whatever comes of it, it comes.
        let _ = rows(&text, &[data()], &[]);
    }
}
